"""Which steps of a sequence have a loss: each of them, or the last alone."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.arguments.settings import function
from rnn_jax.losses.loss import Loss


@dataclasses.dataclass(frozen=True)
class EachStep:
    """A loss of each step."""

    loss: Loss
    call = "loss(ys, targets)"
    one = "step and sequence"
    per_step = True

    def counted(self, happens: jax.Array) -> jax.Array:
        """Which steps have a loss, of those that happen; all `(T, *batch)`."""
        return happens

    def read(self, ys: jax.Array, counted: jax.Array) -> jax.Array:
        """What the loss reads."""
        del counted
        return ys


@dataclasses.dataclass(frozen=True)
class Last:
    """A loss of each sequence's last step alone; made by `last`."""

    loss: Callable[[jax.Array, Any], jax.Array]
    call = "loss(y, targets)"
    one = "sequence"
    per_step = False

    def counted(self, happens: jax.Array) -> jax.Array:
        """The last of the steps that happen."""
        to_come = jnp.cumsum(happens[::-1], axis=0, dtype=jnp.int32)[::-1]
        return happens & (to_come == 1)

    def read(self, ys: jax.Array, counted: jax.Array) -> jax.Array:
        """That step's y alone."""
        chosen = counted.reshape(*counted.shape, *(1,) * (ys.ndim - counted.ndim))
        return jnp.sum(jnp.where(chosen, ys, 0), axis=0, dtype=ys.dtype)


def last(loss: Callable[[jax.Array, Any], jax.Array]) -> Last:
    """A loss of the last step alone, for every analysis that takes a loss.

    `loss(y, targets) -> (*batch)` reads the last y of each sequence, `(*batch, ...)`, and the
    targets as they are given, one for a sequence: what a classifier of sequences is trained on.
    With `lengths` or a `mask` it is each sequence's own last step. The other steps have no loss,
    which is not a loss of zero: where an analysis takes a mean over losses, they do not count.

    Raises `ArgumentError` for what is not a function.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Elman(1, 1, activation=lambda a: a)
    >>> params = rnn.ElmanParams(jnp.ones((1, 1)), jnp.full((1, 1), 0.5), jnp.zeros(1))
    >>> loss = rnn.analysis.last(lambda y, target: (y[..., 0] - target) ** 2 / 2)
    >>> xs, targets = jnp.ones((3, 2, 1)), jnp.zeros(2)
    >>> given = {"loss": loss, "targets": targets, "lengths": [3, 2]}
    >>> found = jax.jit(lambda params: rnn.analysis.gradient_map(cell, params, xs, **given))(params)
    >>> [round(float(norm), 3) for norm in jnp.exp(found.log_norms[1])]  # y is 1.5 at step 1
    [0.375, 0.75, 0.0]
    """
    return Last(function("last: loss", loss))


def as_loss(name: str, loss: Any) -> EachStep | Last:
    """The rule of a loss: a function, which is one of each step, or what `last` makes."""
    return loss if isinstance(loss, Last) else EachStep(function(name, loss))
