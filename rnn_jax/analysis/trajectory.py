"""What an analysis starts from: the carries that a sequence visits, and the gradient it emits."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnn_jax.analysis.arguments import checked
from rnn_jax.arguments.arrays import is_array
from rnn_jax.arguments.settings import function, short
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.errors import DtypeError, ShapeError, StructureError
from rnn_jax.training.truncated_bptt import Loss
from rnn_jax.unroll import step


class Trajectory(NamedTuple):
    """A run over a sequence, step by step."""

    carries: Carry
    """`(T, *batch, ...)`: the carry that enters each step."""
    ys: Any
    """`(T, *batch, ...)`: what each step emits."""


def trajectory(
    caller: str, cell: Cell, params: Params, xs: Any, carry: Carry | None
) -> tuple[Any, tuple[int, ...], Trajectory]:
    """The inputs as an array, the batch axes, the run; raises what `unroll` does, and for T = 0."""
    params, xs, batch_shape, carry = checked(caller, cell, params, xs, carry)
    if not xs.shape[0]:
        raise ShapeError(f"{caller}: xs has no steps, so there is no loss; give it one at least.")
    if not jax.tree.leaves(carry):
        raise StructureError(
            f"{caller}: {cell!r} has no memory, so no gradient goes back in time; "
            "give a cell with a carry."
        )

    def run(carry: Carry, x: Any) -> tuple[Carry, Trajectory]:
        after, y = step(cell, params, x, carry)
        return after, Trajectory(carry, y)

    _, path = lax.scan(run, carry, xs)
    return xs, batch_shape, path


def loss_gradients(
    caller: str, loss: Loss, ys: Any, targets: Any, batch_shape: tuple[int, ...]
) -> Any:
    """`dL_t/dy_t` of every step and sequence, for a loss of each step that reads its own y."""
    function(f"{caller}: loss", loss)
    losses, pull = jax.vjp(lambda ys: loss(ys, targets), ys)
    wanted = (ys.shape[0], *batch_shape)
    if not is_array(losses) or losses.shape != wanted:
        raise ShapeError(
            f"{caller}: loss(ys, targets) must return one number a step and sequence, an array of "
            f"shape {wanted}, got {short(losses)}; do not take its mean."
        )
    if not jnp.issubdtype(losses.dtype, jnp.floating):
        raise DtypeError(
            f"{caller}: loss(ys, targets) must be floating to have a gradient, got {losses.dtype}."
        )
    (dys,) = pull(jnp.ones_like(losses))
    return dys
