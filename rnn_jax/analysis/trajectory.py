"""What an analysis starts from: the carries that a sequence visits, and the gradient it emits."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnn_jax.analysis.arguments import Sequences
from rnn_jax.analysis.in_front import InFront, in_front, ordered, put_back, there
from rnn_jax.analysis.losses import Last, as_loss
from rnn_jax.arguments.arrays import is_array
from rnn_jax.arguments.settings import short
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.errors import DtypeError, ShapeError
from rnn_jax.losses.loss import Loss
from rnn_jax.recurrence.steps import select
from rnn_jax.unroll import step


class Trajectory(NamedTuple):
    """A run over sequences, step by step, the steps that happen in front."""

    params: Params
    xs: Any
    """`(T, *batch, ...)`: what each step reads."""
    carries: Carry
    """`(T, *batch, ...)`: the carry that enters each step: the initial one where a sequence
    begins."""
    ys: Any
    """`(T, *batch, ...)`: what each step emits."""
    at: InFront
    """Where the steps are."""

    @property
    def batch_axes(self) -> int:
        """How many there are."""
        return self.at.counts.ndim

    @property
    def happens(self) -> jax.Array:
        """`(T, *batch)`: which sequence has so many steps."""
        return there(self.at.counts, self.xs.shape[0])


def trajectory(cell: Cell, given: Sequences) -> Trajectory:
    """Run a cell over sequences that were looked at."""
    params, at = given.params, in_front(given)
    initial = None
    if at.reset is not None:
        initial = cell.initial_carry(params, given.batch_shape)

    def run(carry: Carry, now: tuple[Any, Any]) -> tuple[Carry, tuple[Carry, Any]]:
        x, reset = now
        start = select(reset, initial, carry)
        after, y = step(cell, params, x, start)
        return after, (start, y)

    _, (carries, ys) = lax.scan(run, given.carry, (at.xs, at.reset))
    return Trajectory(params, at.xs, carries, ys, at)


def loss_gradients(
    caller: str, loss: Loss | Last, path: Trajectory, targets: Any
) -> tuple[Any, jax.Array]:
    """`dL_t/dy_t` of every step and sequence, and which of them have a loss `(T, *batch)`.

    The loss sees the steps where they stood; what is returned has those that happen in front.
    """
    of = as_loss(f"{caller}: loss", loss)
    order = path.at.order
    happens, ys = put_back(order, (path.happens, path.ys))
    ys = select(happens, ys, jnp.zeros_like(ys))
    counted = of.counted(happens)
    losses, pull = jax.vjp(lambda ys: of.loss(of.read(ys, counted), targets), ys)
    wanted = happens.shape if of.per_step else happens.shape[1:]
    if not is_array(losses) or losses.shape != wanted:
        raise ShapeError(
            f"{caller}: {of.call} must return one number a {of.one}, an array of "
            f"shape {wanted}, got {short(losses)}; do not take its mean."
        )
    if not jnp.issubdtype(losses.dtype, jnp.floating):
        raise DtypeError(
            f"{caller}: {of.call} must be floating to have a gradient, got {losses.dtype}."
        )
    (dys,) = pull(jnp.ones_like(losses))
    # Also where targets are no numbers, as they may be where no step happens.
    dys = select(counted, dys, jnp.zeros_like(dys))
    return ordered(order, (dys, counted))
