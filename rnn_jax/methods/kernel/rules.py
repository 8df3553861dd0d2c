"""What an operation of a step makes in a kernel, where that is not the operation as it is.

A product with a weight is worked out where it is cut, and what is in parts part by part.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from rnn_jax.methods.kernel.cuts import is_last
from rnn_jax.methods.kernel.deferred import Deferred, Joined, Weight, pieces, value

Rule = Callable[[Any, Sequence[Any]], list[Any]]
"""What an operation makes: `(equation, operands) -> results`."""


def bound(equation: Any, operands: Sequence[Any]) -> list[Any]:
    """What an operation makes of arrays."""
    found = equation.primitive.bind(*operands, **equation.params)
    return list(found) if equation.primitive.multiple_results else [found]


class _Product(Deferred):
    """`x @ w`, not worked out yet."""

    def __init__(self, x: Any, weight: Weight, axis: int, equation: Any) -> None:
        self._x, self._weight, self._axis, self._equation = x, weight, axis, equation
        self._whole: jax.Array | None = None

    def cut(self, start: int, size: int) -> jax.Array:
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
            self._whole = self.cut(0, self._weight.shape[1 - self._axis])
        return self._whole


def plain(equation: Any, operands: Sequence[Any]) -> list[Any]:
    """As it is."""
    return bound(equation, list(map(value, operands)))


def by_part(rule: Rule, sizes: Sequence[int]) -> Rule:
    """A rule for rows that are in parts of these sizes: each part by itself."""

    def of_each(equation: Any, operands: Sequence[Any]) -> list[Any]:
        found: list[Any] = []
        for i, size in enumerate(sizes):
            own = [x.parts[i] if isinstance(x, Joined) else x for x in operands]
            params = dict(equation.params)
            if "shape" in params:
                params["shape"] = (*params["shape"][:-1], size)
            found += rule(equation.replace(params=params), own)
        return [Joined(found, sizes)]

    return of_each


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
    (x,), sizes = operands, list(map(int, equation.params["sizes"]))
    if not isinstance(x, Joined):
        return plain(equation, operands)
    return pieces(x, sizes)


def _concatenate(equation: Any, operands: Sequence[Any]) -> list[Any]:
    if not is_last(equation.params["dimension"], equation.outvars[0]):
        return plain(equation, operands)
    parts: list[Any] = []
    sizes: list[int] = []
    for variable, x in zip(equation.invars, operands, strict=True):
        in_parts = isinstance(x, Joined)
        parts += x.parts if in_parts else [value(x)]
        sizes += x.sizes if in_parts else [variable.aval.shape[-1]]
    return [Joined(parts, sizes)]


def _reduction(combine: Callable[[jax.Array, jax.Array], jax.Array]) -> Rule:
    """That of rows in parts is that of what it makes of each."""

    def rule(equation: Any, operands: Sequence[Any]) -> list[Any]:
        (x,) = operands
        if (
            not isinstance(x, Joined)
            or equation.invars[0].aval.ndim - 1 not in equation.params["axes"]
        ):
            return plain(equation, operands)
        found = (bound(equation, [part])[0] for part in x.parts)
        return [functools.reduce(combine, found)]

    return rule


def _widened(equation: Any, operands: Sequence[Any]) -> list[Any]:
    """In float32: chips have no such function of narrower numbers."""
    (x,), (out,) = map(value, operands), equation.outvars
    if not _is_narrow(out.aval.dtype):
        return plain(equation, operands)
    return [y.astype(out.aval.dtype) for y in bound(equation, [x.astype(jnp.float32)])]


def _is_narrow(dtype: Any) -> bool:
    return jnp.issubdtype(dtype, jnp.floating) and jnp.dtype(dtype).itemsize < 4


_TRANSCENDENTAL = "cos erf exp exp2 expm1 log log1p logistic rsqrt sin sqrt tan tanh"

RULES: dict[str, Rule] = {
    "concatenate": _concatenate,
    "dot_general": _dot_general,
    "reduce_max": _reduction(lax.max),
    "reduce_min": _reduction(lax.min),
    "reduce_sum": _reduction(lax.add),
    "split": _split,
    "transpose": _transpose,
    **dict.fromkeys(_TRANSCENDENTAL.split(), _widened),
}
