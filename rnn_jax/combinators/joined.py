"""Cells that read more than their input: something made within the loop is joined to it."""

from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.cell import Cell, Input, Params
from rnn_jax.combinators.fit import check_part, describe
from rnn_jax.devices.sharding import split_like
from rnn_jax.errors import ArgumentError
from rnn_jax.noise import Noisy, drawn_around
from rnn_jax.recurrence.steps import Steps


def check_joined(caller: str, cell: Any, size: int, what: str) -> None:
    """Raise where `cell` is no cell, or cannot read `size` numbers of `what` behind its input."""
    check_part(f"{caller}: the cell", cell, Cell)
    shape, kind = cell.input
    if kind is not jnp.floating or len(shape) != 1 or shape[0] <= size:
        raise ArgumentError(
            f"{caller}: the cell reads its input and, behind it, {size} numbers of {what}, so "
            f"it must read vectors of more than {size} numbers; {cell!r} reads "
            f"{describe(cell.input)} a step."
        )
    if cell.deterministic() != cell and type(cell).draw is Cell.draw:
        raise ArgumentError(
            f"{caller}: {cell!r} is random, but its noise is drawn by the layer inside, which "
            f"within the loop is too late; put it around what {caller} makes."
        )


def own_input(cell: Cell, size: int) -> Input:
    """What is left of the input of a cell that is joined with `size` numbers."""
    shape, kind = cell.input
    return Input((shape[0] - size,), kind)


def draw_joined(
    cell: Cell, params: Params, xs: jax.Array, size: int, steps: Steps
) -> tuple[Params, Any]:
    """Params and inputs with the noise of the cell inside beside them."""
    # Its numbers are never read: what is joined is made within the loop.
    like = jnp.zeros((*xs.shape[:-1], xs.shape[-1] + size), xs.dtype)
    like = split_like(like, xs, 0, xs.ndim - 1)
    # Marks are those of the whole cell, and nothing that is drawn depends on them.
    steps = steps._replace(valid=None, reset=None, initial=None)
    params, noise = drawn_around(cell, params, like, steps)
    return params, xs if noise is None else Noisy(xs, noise)


def join(xs: Any, found: jax.Array) -> Any:
    """What the cell inside reads, with its noise, of an input and of what is joined to it."""
    if isinstance(xs, Noisy):
        return xs.noise.filled(join(xs.value, found))
    return jnp.concatenate([xs, found], -1)
