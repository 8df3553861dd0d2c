"""Which axes of a program's arguments and results are the same, read from the program."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax.extend.core import Jaxpr, Literal

from rnn_jax.recurrence.dependence import ELEMENTWISE, called


class Axis:
    """An axis of one array, or the axis that several arrays have in common."""

    def __init__(self) -> None:
        """One that is like no other so far."""
        self.is_row = False
        """Whether the program looks entries of it up by their number, as rows of a table."""
        self.is_summed = False
        """Whether a product of the program sums over it."""
        self._same: Axis | None = None

    @property
    def one(self) -> "Axis":
        """The same object for all that are the same."""
        return self if self._same is None else self._same.one

    def join(self, other: "Axis") -> None:
        """From now on both are the same."""
        mine, others = self.one, other.one
        if mine is not others:
            others._same = mine
            mine.is_row |= others.is_row
            mine.is_summed |= others.is_summed


class Named(NamedTuple):
    """An array and its axes, one a dimension."""

    shape: tuple[int, ...]
    axes: tuple[Axis, ...]

    def join(self, other: "Named") -> None:
        """From now on both have the same axes."""
        _join(self.axes, other.axes)


def axes(f: Callable[..., Any], arguments: Sequence[Any]) -> tuple[Any, Any]:
    """The axes of all arguments, given by their shapes, and of all results: pytrees of `Named`.

    Two are the same where an operation number by number meets them, where a product sums over
    both, and where one is made of parts of the other: side by side, as gates are, or by a reshape,
    of which the first factor counts. What an operation that is not known here makes has axes of
    its own, and so has what a loop makes.
    """
    program, shapes = jax.make_jaxpr(f, return_shape=True)(*arguments)
    leaves, given_as = jax.tree.flatten(tuple(arguments))
    given = list(map(_fresh, leaves))
    found = _follow(program.jaxpr, given)
    made_as = jax.tree.structure(shapes)
    return jax.tree.unflatten(given_as, given), jax.tree.unflatten(made_as, found)


def _fresh(like: Any) -> Named:
    return Named(tuple(like.shape), tuple(Axis() for _ in like.shape))


def _follow(jaxpr: Jaxpr, arguments: Sequence[Named]) -> list[Named]:
    known = {variable: _fresh(variable.aval) for variable in jaxpr.constvars}
    known |= dict(zip(jaxpr.invars, arguments, strict=True))

    def read(x: Any) -> Named:
        return _fresh(x.aval) if isinstance(x, Literal) else known[x]

    for equation in jaxpr.eqns:
        operands = list(map(read, equation.invars))
        program = called(equation)
        if program is not None:
            results = _follow(program.jaxpr, operands)
        else:
            results = [_fresh(variable.aval) for variable in equation.outvars]
            _RULES.get(equation.primitive.name, _unknown)(equation.params, operands, results)
        known |= dict(zip(equation.outvars, results, strict=True))
    return list(map(read, jaxpr.outvars))


Rule = Callable[[Any, list[Named], list[Named]], None]


def _unknown(params: Any, operands: list[Named], results: list[Named]) -> None:
    del params, operands, results


def _place_by_place(params: Any, operands: list[Named], results: list[Named]) -> None:
    """Dimension by dimension, of whatever sizes: numbers in their places, and parts of arrays."""
    del params
    for one in (*operands, *results):
        if len(one.axes) == len(results[0].axes):
            _join(results[0].axes, one.axes)


def _of_the_first(params: Any, operands: list[Named], results: list[Named]) -> None:
    """As before, where the other operands only say which part is meant."""
    _place_by_place(params, operands[:1], results)


def _transpose(params: Any, operands: list[Named], results: list[Named]) -> None:
    _join(results[0].axes, [operands[0].axes[i] for i in params["permutation"]])


def _broadcast(params: Any, operands: list[Named], results: list[Named]) -> None:
    for i, place in enumerate(params["broadcast_dimensions"]):
        if operands[0].shape[i] == results[0].shape[place]:
            results[0].axes[place].join(operands[0].axes[i])


def _reduce(params: Any, operands: list[Named], results: list[Named]) -> None:
    for operand, result in zip(operands, results, strict=False):
        kept = [axis for i, axis in enumerate(operand.axes) if i not in params["axes"]]
        _join(result.axes, kept)


def _squeeze(params: Any, operands: list[Named], results: list[Named]) -> None:
    kept = [axis for i, axis in enumerate(operands[0].axes) if i not in params["dimensions"]]
    _join(results[0].axes, kept)


def _reshape(params: Any, operands: list[Named], results: list[Named]) -> None:
    """Run by run of equal size, the first axis of one that of the other."""
    del params
    left, right = (
        [(size, axis) for size, axis in zip(*one, strict=True) if size != 1]
        for one in (operands[0], results[0])
    )
    while left and right:
        (rows, one), (columns, other) = left.pop(0), right.pop(0)
        one.join(other)
        while rows != columns and (left if rows < columns else right):
            if rows < columns:
                rows *= left.pop(0)[0]
            else:
                columns *= right.pop(0)[0]


def _product(params: Any, operands: list[Named], results: list[Named]) -> None:
    (summed, batch) = params["dimension_numbers"]
    for i, k in zip(*summed, strict=True):
        operands[0].axes[i].join(operands[1].axes[k])
        operands[0].axes[i].one.is_summed = True
    for i, k in zip(*batch, strict=True):
        operands[0].axes[i].join(operands[1].axes[k])
    free = [
        axis
        for operand, of_sum, of_batch in zip(operands, summed, batch, strict=True)
        for i, axis in enumerate(operand.axes)
        if i not in (*of_sum, *of_batch)
    ]
    _join(results[0].axes, [*(operands[0].axes[i] for i in batch[0]), *free])


def _look_up(params: Any, operands: list[Named], results: list[Named]) -> None:
    numbers, table = params["dimension_numbers"], operands[0]
    gone = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    kept = [i for i in range(len(table.axes)) if i not in gone]
    for i, place in zip(kept, numbers.offset_dims, strict=True):
        if table.shape[i] == results[0].shape[place]:
            results[0].axes[place].join(table.axes[i])
    for i in numbers.start_index_map:
        if i in gone:
            table.axes[i].one.is_row = True


def _join(some: Sequence[Axis], others: Sequence[Axis]) -> None:
    for one, other in zip(some, others, strict=True):
        one.join(other)


_RULES: dict[str, Rule] = {
    **dict.fromkeys((*ELEMENTWISE, "concatenate", "split"), _place_by_place),
    **dict.fromkeys(
        ("slice", "dynamic_slice", "dynamic_update_slice", "pad", "rev", "cumsum", "cummax"),
        _of_the_first,
    ),
    **dict.fromkeys(
        ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "argmax", "argmin"), _reduce
    ),
    "broadcast_in_dim": _broadcast,
    "dot_general": _product,
    "gather": _look_up,
    "reshape": _reshape,
    "squeeze": _squeeze,
    "transpose": _transpose,
}
