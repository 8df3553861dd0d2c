"""What every analysis is given, looked at before it starts."""

from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.arguments.arrays import array, is_array, one_key, reals, taken, taken_tree
from rnn_jax.arguments.settings import Rule, integer, short
from rnn_jax.arguments.trees import difference
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.checks import check_layer
from rnn_jax.errors import ArgumentError, ShapeError, StructureError
from rnn_jax.unroll import unroll


def checked(
    caller: str, cell: Cell, params: Params, xs: Any, carry: Carry | None
) -> tuple[Params, Any, tuple[int, ...], Carry]:
    """Params, xs, the batch axes and where to start, as arrays; raises what `unroll` does."""
    check_layer(caller, cell, Cell)
    given = {"params": params, "xs": xs, "carry": carry}
    params, xs, carry = (taken_tree(cell, name, tree) for name, tree in given.items())
    jax.eval_shape(lambda: unroll(cell, params, xs, carry))
    params, xs = jax.tree.map(jnp.asarray, (params, xs))
    batch_shape = tuple(xs.shape[1 : xs.ndim - len(cell.input.shape)])
    if carry is None:
        carry = cell.initial_carry(params, batch_shape)
    return params, xs, batch_shape, jax.tree.map(jnp.asarray, carry)


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
            f"{name} must be a square matrix, got shape {found.shape}; of a gated cell take one "
            "gate's block of w_hh."
        )
    return found


def rows(name: str, value: Any) -> jax.Array:
    """The rule of real numbers on a last axis, for any axes before it."""
    found = reals(name, value)
    if not found.ndim or not found.shape[-1]:
        raise ShapeError(f"{name} must have an axis of numbers, got shape {found.shape}.")
    return found


def count(name: str, value: Any, size: int) -> int:
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
