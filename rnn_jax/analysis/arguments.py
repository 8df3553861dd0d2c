"""What every analysis is given, looked at before it starts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnn_jax.arguments.arrays import array, is_array, one_key, reals, taken, taken_tree
from rnn_jax.arguments.settings import Rule, increasing, integer, integers, short
from rnn_jax.arguments.trees import difference
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.checks import check_layer, check_params, check_steps
from rnn_jax.errors import ArgumentError, DtypeError, ShapeError, StructureError
from rnn_jax.recurrence.steps import select
from rnn_jax.unroll import step, unroll


class Marks(NamedTuple):
    """Which steps happen and where sequences begin, by the names and the meaning of `unroll`."""

    lengths: Any = None
    mask: Any = None
    reset: Any = None


class Sequences(NamedTuple):
    """A batch of sequences as arrays, looked at."""

    params: Params
    xs: Any
    """`(T, *batch, ...)`: zeros where no step happens."""
    carry: Carry
    """`(*batch, ...)`: where to start; NaN where a length is none."""
    batch_shape: tuple[int, ...]
    happens: jax.Array | None
    """`(T, *batch)` of bool; None where all steps happen."""
    reset: jax.Array | None
    """`(T, *batch)` of bool: before which steps a new sequence begins; None where none does."""


def sequences(
    caller: str,
    cell: Cell,
    params: Params,
    xs: Any,
    carry: Carry | None,
    marks: Marks,
) -> Sequences:
    """The rule of what `unroll` is given as well.

    Raises what `unroll` does, `StructureError` for a cell that carries nothing, `DtypeError` for
    one that carries what has no gradient, and `ShapeError` where there is no step.
    """
    check_layer(caller, cell, Cell)
    given = {"params": params, "xs": xs, "carry": carry}
    params, xs, carry = (taken_tree(cell, name, tree) for name, tree in given.items())
    jax.eval_shape(lambda: unroll(cell, params, xs, carry, **marks._asdict()))
    params, xs = jax.tree.map(jnp.asarray, (params, xs))
    batch_shape = tuple(xs.shape[1 : xs.ndim - len(cell.input.shape)])
    if carry is None:
        carry = cell.initial_carry(params, batch_shape)
    carry = jax.tree.map(jnp.asarray, carry)
    remembers(caller, cell, carry)
    if not xs.shape[0]:
        raise ShapeError(f"{caller}: xs has no steps; give it one at least.")
    lengths, happens, reset = check_steps(cell, xs.shape[0], batch_shape, *marks)
    if lengths is not None:
        # All steps of a sequence whose length is none happen, so that its NaN is seen everywhere.
        none = lengths < 0
        carry = jax.tree.map(lambda c: select(none, jnp.full_like(c, jnp.nan), c), carry)
        steps = lax.broadcasted_iota(lengths.dtype, (xs.shape[0], *lengths.shape), 0)
        before_end = (steps < lengths[None]) | none[None]
        happens = before_end if happens is None else before_end & happens
    if happens is not None:
        xs = select(happens, xs, jnp.zeros_like(xs))
    return Sequences(params, xs, carry, batch_shape, happens, reset)


def remembers(caller: str, cell: Cell, carry: Carry) -> None:
    """Raise where there is no carry, or one that has no gradient."""
    leaves = jax.tree.leaves(carry)
    if not leaves:
        raise StructureError(
            f"{caller}: {cell!r} carries nothing from step to step, so nothing goes through time; "
            "give a cell with a carry."
        )
    if any(not jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves):
        raise DtypeError(f"{caller}: the carry of {cell!r} has a leaf that is not floating.")


def cell_params(caller: str, cell: Cell, params: Params) -> Params:
    """The rule of a cell and its params, without a sequence."""
    check_layer(caller, cell, Cell)
    params = taken_tree(cell, "params", params)
    check_params(cell, params, None)
    return jax.tree.map(jnp.asarray, params)


def starts_of(
    caller: str, cell: Cell, params: Params, x: Any, starts: Any
) -> tuple[Params, Any, Carry]:
    """The rule of carries with one axis of starts in front, and one step of input."""
    check_layer(caller, cell, Cell)
    given = {"params": params, "x": x, "starts": starts}
    params, x, starts = (taken_tree(cell, name, tree) for name, tree in given.items())
    leaves = jax.tree.leaves(starts)
    if not leaves or not all(map(is_array, leaves)):
        raise StructureError(
            f"{caller}: starts must be carries of {cell!r}, which must have one, with an axis "
            f"of starts in front; got {short(starts)}."
        )
    if any(jnp.ndim(leaf) < 1 or leaf.shape[0] != leaves[0].shape[0] for leaf in leaves):
        raise ShapeError(
            f"{caller}: every leaf of starts must have the axis of starts in front, got shapes "
            f"{[jnp.shape(leaf) for leaf in leaves]}."
        )
    if not leaves[0].shape[0]:
        raise ShapeError(f"{caller}: starts has none; give one at least.")
    one = jax.tree.map(lambda leaf: leaf[0], starts)
    jax.eval_shape(lambda: step(cell, params, x, one))
    return jax.tree.map(jnp.asarray, (params, x, starts))


def spans(name: str, lags: Sequence[int] | None, steps: int) -> np.ndarray:
    """The rule of lags that are numbers of factors: from 1 to T, all of them if None."""
    return np.arange(1, steps + 1) if lags is None else increasing(name, lags, steps)


def distances(name: str, lags: Sequence[int] | None, steps: int) -> list[int]:
    """The rule of lags from 0 to T - 1: 0 and the powers of two if None."""
    if lags is None:
        return [0, *(2**n for n in range(steps.bit_length()) if 2**n < steps)]
    return integers(name, lags, steps - 1).tolist()


def leading(name: str, tree: Any, axes: tuple[int, ...], what: str) -> Any:
    """The rule of a pytree of arrays whose first axes are `axes`."""
    tree = jax.tree.map(lambda leaf: taken(name, leaf), tree)
    for leaf in jax.tree.leaves(tree):
        if jnp.shape(leaf)[: len(axes)] != axes:
            raise ShapeError(
                f"{name} must have the axes of {what}, {axes}, in front, got shape "
                f"{jnp.shape(leaf)}."
            )
    return jax.tree.map(jnp.asarray, tree)


def _of_axes(axes: int, what: str) -> Rule:
    def rule(name: str, value: Any) -> jax.Array:
        found = reals(name, value)
        if found.ndim != axes or not found.size:
            raise ShapeError(f"{name} must be a {what}, got shape {found.shape}.")
        return found

    return rule


vector = _of_axes(1, "vector")
"""One axis of real numbers, such as that of a grid."""
matrix = _of_axes(2, "matrix")
"""A matrix of real numbers."""


def square(name: str, value: Any) -> jax.Array:
    """The rule of a square matrix."""
    found = reals(name, value)
    if found.ndim != 2 or not found.size or found.shape[0] != found.shape[1]:
        raise ShapeError(
            f"{name} must be a square matrix, got shape {found.shape}; of a gated cell "
            "recurrent_matrices takes the gates apart."
        )
    return found


def rows(name: str, value: Any) -> jax.Array:
    """The rule of real numbers on a last axis, for any axes before it."""
    found = reals(name, value)
    if not found.ndim or not found.shape[-1]:
        raise ShapeError(f"{name} must have an axis of numbers, got shape {found.shape}.")
    return found


def up_to(name: str, value: Any, size: int) -> int:
    """The rule of a number of directions of a carry of `size` numbers."""
    found = integer(value)
    if found is None or not 1 <= found <= size:
        raise ArgumentError(
            f"{name} must be an integer from 1 to {size}, the numbers in the carry of one "
            f"sequence; got {value!r}."
        )
    return found


def first_key(name: str, value: Any) -> jax.Array:
    """The rule of a key that is `jax.random.key(0)` if None."""
    return jax.random.key(0) if value is None else one_key(name, value)


def floats(name: str, tree: Any) -> Any:
    """The rule of a pytree of floating arrays, such as params."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    if not leaves:
        raise StructureError(f"{name} must hold arrays, got {short(tree)}.")
    for path, leaf in leaves:
        leaf = taken(f"{name}{jax.tree_util.keystr(path)}", leaf)
        if not is_array(leaf) or not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise StructureError(
                f"{name}{jax.tree_util.keystr(path)} must be a floating array, got {short(leaf)}."
            )
    return jax.tree.map(lambda leaf: jnp.asarray(taken(name, leaf)), tree)


def like(name: str, expected: Any, tree: Any) -> Any:
    """Raise where a pytree is not of the form, the shapes and the dtypes of another one."""
    found = difference(expected, tree)
    if found is not None:
        where = f"{name}{found.path}"
        raise StructureError(f"{where} must be of the form {found.expected}, got {found.got}.")
    pairs = zip(jax.tree_util.tree_leaves_with_path(expected), jax.tree.leaves(tree), strict=True)
    for (path, one), leaf in pairs:
        leaf = array(f"{name}{jax.tree_util.keystr(path)}", leaf)
        if (one.shape, one.dtype) != (leaf.shape, leaf.dtype):
            raise ShapeError(
                f"{name}{jax.tree_util.keystr(path)} must be {short(one)}, got {short(leaf)}."
            )
    return jax.tree.map(jnp.asarray, tree)


def one_number(name: str, found: Any) -> None:
    """Raise where what a loss returned is not one floating number."""
    if not is_array(found) or found.shape or not jnp.issubdtype(found.dtype, jnp.floating):
        raise ShapeError(f"{name} must return one floating number, got {short(found)}.")
