"""One pass over the program of a step, so that it runs in a kernel, on any machine.

A kernel has its matrices in memory, and the units that multiply have few forms. So a product with a
weight is not worked out where the program has it, but where it is read: of `split(h @ w)` each gate
is a product with its own part of w, and what backward is joined to be multiplied by `w^T` is a sum
of products. No operation is left that cuts or joins lanes of numbers.
"""

import abc
import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import ClosedJaxpr, Literal

from rnn_jax.methods.kernel.stored import form
from rnn_jax.recurrence.cotangent import NAME
from rnn_jax.recurrence.dependence import called


@dataclasses.dataclass(frozen=True)
class Program:
    """A step as a list of operations, without what nobody reads, and without functions."""

    closed: ClosedJaxpr
    equations: tuple[Any, ...]
    reads: tuple[bool, ...]
    """Of each argument of the function, whether the step reads it."""

    @property
    def outputs(self) -> list[Any]:
        """Their shapes and dtypes."""
        return [variable.aval for variable in self.closed.jaxpr.outvars]

    @property
    def arguments(self) -> list[Any]:
        """The variables that it reads of those of the function."""
        return list(itertools.compress(self.closed.jaxpr.invars, self.reads))

    def __call__(self, *arguments: Any, rules: Mapping[str, "Rule"] | None = None) -> list[Any]:
        """Run it for the arguments that it reads. One may be a `Weight`.

        By rules of a machine's own for some operations, given by name.
        """
        rules = {**RULES, **(rules or {})}
        jaxpr = self.closed.jaxpr
        known = dict(zip(self.arguments, arguments, strict=True))
        known.update(zip(jaxpr.constvars, self.closed.consts, strict=True))

        def read(x: Any) -> Any:
            return x.val if isinstance(x, Literal) else known[x]

        for equation in self.equations:
            operands = list(map(read, equation.invars))
            rule = rules.get(equation.primitive.name, plain)
            known.update(zip(equation.outvars, rule(equation, operands), strict=True))
        return [value(read(x)) for x in jaxpr.outvars]


def program(
    f: Callable[..., Any], arguments: Sequence[Any], carries: int
) -> tuple[Program, list[Any]]:
    """That of a step, of arrays given by shapes; and the arrays that it closes over.

    They are its last arguments, for a kernel closes over nothing. The first ones are its carry,
    and count as read.
    """
    closed = jax.make_jaxpr(f)(*arguments)
    forms = [form(jnp.asarray(x), by_row=False) for x in closed.consts]
    held = [kept.stored(jnp.asarray(x)) for kept, x in zip(forms, closed.consts, strict=True)]

    def flat(*given: Any) -> list[Any]:
        consts = zip(forms, given[len(arguments) :], strict=True)
        loaded = [kept.loaded(x) for kept, x in consts]
        return _inlined(closed.jaxpr, loaded, given[: len(arguments)])

    found = jax.make_jaxpr(flat)(*arguments, *held)
    needed = {x for x in found.jaxpr.outvars if not isinstance(x, Literal)}
    kept = []
    for equation in reversed(found.jaxpr.eqns):
        if needed.intersection(equation.outvars):
            kept.append(equation)
            needed.update(x for x in equation.invars if not isinstance(x, Literal))
    reads = tuple(i < carries or x in needed for i, x in enumerate(found.jaxpr.invars))
    return Program(found, tuple(reversed(kept)), reads), held


def _inlined(jaxpr: Any, consts: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *arguments], strict=True))

    def read(x: Any) -> Any:
        return x.val if isinstance(x, Literal) else known[x]

    for equation in jaxpr.eqns:
        operands, inside = list(map(read, equation.invars)), called(equation)
        if equation.primitive.name == NAME:  # an identity, but to a derivative
            results = operands
        elif inside is not None:
            results = _inlined(inside.jaxpr, inside.consts, operands)
        else:
            results = _bound(equation, operands)
        known.update(zip(equation.outvars, results, strict=True))
    return list(map(read, jaxpr.outvars))


def _bound(equation: Any, operands: Sequence[Any]) -> list[Any]:
    found = equation.primitive.bind(*operands, **equation.params)
    return list(found) if equation.primitive.multiple_results else [found]


class Deferred(abc.ABC):
    """What is not worked out before it is read."""

    @abc.abstractmethod
    def value(self) -> jax.Array:
        """All of it."""


Rule = Callable[[Any, Sequence[Any]], list[Any]]
"""What an operation makes: `(equation, operands) -> results`."""


class Weight(Deferred):
    """A matrix in memory, read a part at a time."""

    def __init__(
        self,
        part: Callable[[int, int, int], jax.Array],
        shape: tuple[int, ...],
        turned: bool = False,
    ) -> None:
        """`part(axis, start, size)` reads the rows or columns from `start` on."""
        self._part, self._shape, self._turned = part, shape, turned

    @property
    def shape(self) -> tuple[int, ...]:
        """As the program sees it."""
        return self._shape[::-1] if self._turned else self._shape

    def part(self, axis: int, start: int, size: int) -> jax.Array:
        """`size` rows or columns."""
        if self._turned:
            return jnp.matrix_transpose(self._part(1 - axis, start, size))
        return self._part(axis, start, size)

    def transposed(self) -> "Weight":
        """The same numbers in memory."""
        return Weight(self._part, self._shape, not self._turned)

    def value(self) -> jax.Array:
        """All of it."""
        return self.part(0, 0, self.shape[0])


class _Product(Deferred):
    """`x @ w`, not worked out yet."""

    def __init__(self, x: Any, weight: Weight, axis: int, equation: Any) -> None:
        self._x, self._weight, self._axis, self._equation = x, weight, axis, equation
        self._whole: jax.Array | None = None

    def part(self, start: int, size: int) -> jax.Array:
        """So many of its columns."""
        weight, axis = self._weight, self._axis
        if not isinstance(self._x, Joined):
            return _dot(self._equation, self._x, weight.part(1 - axis, start, size), axis)
        # The rows that belong to each part, all of their columns: here nothing is cut twice.
        total: Any = None
        at = 0
        for part in self._x.parts:
            rows = weight.part(axis, at, part.shape[-1])
            term = _dot(self._equation, part, rows, axis)
            total = term if total is None else total + term
            at += part.shape[-1]
        whole = size == weight.shape[1 - axis]
        return total if whole else lax.slice_in_dim(total, start, start + size, axis=-1)

    def value(self) -> jax.Array:
        """All of its columns."""
        if self._whole is None:
            self._whole = self.part(0, self._weight.shape[1 - self._axis])
        return self._whole


class Joined(Deferred):
    """Parts side by side on the last axis, not joined yet."""

    def __init__(self, parts: Sequence[jax.Array]) -> None:
        self.parts = parts

    def value(self) -> jax.Array:
        return jnp.concatenate(self.parts, -1)


def value(x: Any) -> Any:
    """It, worked out."""
    return x.value() if isinstance(x, Deferred) else x


def plain(equation: Any, operands: Sequence[Any]) -> list[Any]:
    """As it is."""
    return _bound(equation, list(map(value, operands)))


def _dot_general(equation: Any, operands: Sequence[Any]) -> list[Any]:
    x, w = operands
    (left, right), batch = equation.params["dimension_numbers"]
    x_axes = equation.invars[0].aval.ndim
    if not isinstance(w, Weight) or (batch, left) != (((), ()), (x_axes - 1,)):
        numbers = equation.params["dimension_numbers"]
        return [_wide_sum(equation, value(x), value(w), numbers)]
    return [_Product(x if isinstance(x, Joined) else value(x), w, right[0], equation)]


def _dot(equation: Any, x: jax.Array, w: jax.Array, axis: int) -> jax.Array:
    return _wide_sum(equation, x, w, (((x.ndim - 1,), (axis,)), ((), ())))


def _wide_sum(equation: Any, x: jax.Array, w: jax.Array, numbers: Any) -> jax.Array:
    """Narrow numbers are multiplied as they are, and summed in float32."""
    (out,) = equation.outvars
    wide = jnp.dtype(jnp.float32) if _is_narrow(out.aval.dtype) else out.aval.dtype
    found = lax.dot_general(
        x, w, numbers, precision=equation.params["precision"], preferred_element_type=wide
    )
    return found.astype(out.aval.dtype)


def _transpose(equation: Any, operands: Sequence[Any]) -> list[Any]:
    (x,) = operands
    return [x.transposed()] if isinstance(x, Weight) else plain(equation, operands)


def _split(equation: Any, operands: Sequence[Any]) -> list[Any]:
    (x,) = operands
    if not isinstance(x, _Product) or equation.params["axis"] != 1:
        return plain(equation, operands)
    sizes = list(map(int, equation.params["sizes"]))
    return [x.part(sum(sizes[:i]), size) for i, size in enumerate(sizes)]


def _concatenate(equation: Any, operands: Sequence[Any]) -> list[Any]:
    if equation.params["dimension"] != equation.outvars[0].aval.ndim - 1:
        return plain(equation, operands)
    return [Joined(list(map(value, operands)))]


def _widened(equation: Any, operands: Sequence[Any]) -> list[Any]:
    """In float32: chips have no such function of narrower numbers."""
    (x,), (out,) = map(value, operands), equation.outvars
    if not _is_narrow(out.aval.dtype):
        return plain(equation, operands)
    return [y.astype(out.aval.dtype) for y in _bound(equation, [x.astype(jnp.float32)])]


def _is_narrow(dtype: Any) -> bool:
    return jnp.issubdtype(dtype, jnp.floating) and jnp.dtype(dtype).itemsize < 4


_TRANSCENDENTAL = "cos erf exp exp2 expm1 log log1p logistic rsqrt sin sqrt tan tanh"

RULES: dict[str, Rule] = {
    "concatenate": _concatenate,
    "dot_general": _dot_general,
    "split": _split,
    "transpose": _transpose,
    **dict.fromkeys(_TRANSCENDENTAL.split(), _widened),
}
