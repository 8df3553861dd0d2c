"""Where the rows of a step are cut into parts and joined from parts.

The gates of a cell are parts of one row, which a kernel never has as a whole. So what is cut
behind some arithmetic, as gates that are normalised together, is in parts before it as well, and
what is joined is in parts for as long as nothing needs it whole.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from jax.extend.core import Literal

ELEMENTWISE = frozenset(
    "abs add add_any and atan2 ceil clamp convert_element_type copy cos div eq erf exp exp2 expm1 "
    "floor ge gt integer_pow is_finite le log log1p logistic lt max min mul ne neg not or pow "
    "reduce_precision rem round rsqrt select_n sign sin sqrt square sub tan tanh xor".split()
)
"""What a part of the result needs of its operands is the same part, or is the same for all."""
BY_PART = ELEMENTWISE | {"broadcast_in_dim", "squeeze"}
"""The same, and what adds axes and drops them."""


def parts(equations: Sequence[Any]) -> dict[Any, tuple[int, ...]]:
    """The sizes of the parts of each variable that is cut somewhere."""
    places: dict[Any, frozenset[int]] = {}
    changed = True
    while changed:
        changed = False
        for equation in equations:
            for group in _alike(equation):
                every = frozenset(
                    place + at for x, at in group for place in places.get(x, frozenset())
                ) | frozenset(at for _, at in group)
                for x, at in group:
                    own = frozenset(p - at for p in every if 0 < p - at < _lanes(x))
                    if own - places.get(x, frozenset()):
                        places[x] = places.get(x, frozenset()) | own
                        changed = True
    return {x: tuple(_sizes(where, _lanes(x))) for x, where in places.items()}


def _alike(equation: Any) -> Iterator[list[tuple[Any, int]]]:
    """Variables that are cut at the same places, with where each begins in the longest."""
    name, params = equation.primitive.name, equation.params
    (first, *_), (out, *_) = equation.invars, equation.outvars
    if name == "split" and is_last(params["axis"], first):
        yield [*_one_after_another(equation.outvars), *_variables([first])]
    elif name == "concatenate" and is_last(params["dimension"], out):
        yield [*_one_after_another(equation.invars), *_variables([out])]
    elif name in ELEMENTWISE and out.aval.ndim:
        yield _variables(x for x in [*equation.invars, out] if _lanes(x) == _lanes(out) > 1)
    elif name == "broadcast_in_dim":
        kept = params["broadcast_dimensions"][-1:] == (out.aval.ndim - 1,)
        yield _variables([first, out] if kept and _lanes(first) == _lanes(out) else [out])
    elif name == "squeeze" and first.aval.ndim - 1 not in params["dimensions"]:
        yield _variables([first, out])


def is_last(axis: int, x: Any) -> bool:
    """Whether it is the last axis of a variable."""
    return axis == x.aval.ndim - 1


def _one_after_another(xs: Iterable[Any]) -> Iterator[tuple[Any, int]]:
    xs = list(xs)
    starts = itertools.accumulate(map(_lanes, xs), initial=0)
    return ((x, at) for x, at in zip(xs, starts, strict=False) if not isinstance(x, Literal))


def _variables(xs: Iterable[Any]) -> list[tuple[Any, int]]:
    return [(x, 0) for x in xs if not isinstance(x, Literal)]


def _lanes(x: Any) -> int:
    return x.aval.shape[-1] if x.aval.ndim else 1


def _sizes(places: Iterable[int], lanes: int) -> list[int]:
    return [b - a for a, b in itertools.pairwise([0, *sorted(places), lanes])]
