"""A step size that is halved where validation says so."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from rnn_jax.arguments.arrays import reals
from rnn_jax.arguments.settings import short
from rnn_jax.cell import Params
from rnn_jax.errors import ArgumentError, ShapeError
from rnn_jax.training.states import states_of, with_each

ENOUGH = 1.003
"""By what factor a validation must be better than the best before, or the rate is halved."""


class ScaleByHalvingState(NamedTuple):
    """What the step size is multiplied by."""

    factor: jax.Array
    """A scalar, 1 at first."""


def scale_by_halving() -> optax.GradientTransformation:
    """Multiply updates by a factor that is 1 until `halve_on_stall` halves it.

    `optax.contrib.reduce_on_plateau` reads the training loss at every update; here updates read
    nothing, and whoever validates says what came of it.

    >>> import jax.numpy as jnp, optax, rnn_jax as rnn
    >>> optimizer = optax.chain(optax.sgd(1.0), rnn.training.scale_by_halving())
    >>> state = optimizer.init(jnp.array(0.0))
    >>> best = float("inf")
    >>> for loss in (5.0, 4.0, 3.999, 3.0):  # of the validation after each epoch
    ...     state = rnn.training.halve_on_stall(state, loss, best)
    ...     best = min(best, loss)
    ...     float(optimizer.update(jnp.array(-1.0), state)[0])
    1.0
    1.0
    0.5
    0.25
    """

    def init(params: Params) -> ScaleByHalvingState:
        return ScaleByHalvingState(jnp.ones((), jnp.result_type(*jax.tree.leaves(params))))

    def update(
        updates: Any, state: ScaleByHalvingState, params: Any = None
    ) -> tuple[Any, ScaleByHalvingState]:
        del params
        return jax.tree.map(lambda u: u * state.factor, updates), state

    return optax.GradientTransformation(init, update)


def halve_on_stall(opt_state: optax.OptState, loss: Any, best: Any) -> optax.OptState:
    """The state after a validation: with the step size halved, if that was the stall or came later.

    It stalls where `1.003 loss >= best`; from that validation on the step size is halved after
    every one, better or not. Source: Mikolov, Kombrink, Deoras, Burget & Cernocky, RNNLM: recurrent
    neural network language modeling toolkit, ASRU 2011. Pure, and can be compiled.

    Args:
      opt_state: Of an optimiser that has `scale_by_halving` somewhere in it.
      loss: What validation has found, a positive scalar that is better the smaller it is.
      best: The least that earlier ones have found; infinity before the first.

    Raises:
      ArgumentError: The optimiser has no `scale_by_halving`.
      StructureError, DtypeError, ShapeError: A loss that is not one number.
    """
    if not states_of(opt_state, ScaleByHalvingState):
        raise ArgumentError(
            f"halve_on_stall: the state must be of an optimiser that has scale_by_halving() in it, "
            f"got {short(opt_state)}."
        )
    for name, value in (("loss", loss), ("best", best)):
        if reals(f"halve_on_stall: {name}", value).shape:
            raise ShapeError(
                f"halve_on_stall: {name} must be one number, got shape {jnp.shape(value)}; take "
                "the mean."
            )
    better = loss * ENOUGH < best

    def after(state: ScaleByHalvingState) -> ScaleByHalvingState:
        stays = (state.factor == 1) & better
        return ScaleByHalvingState(jnp.where(stays, state.factor, state.factor / 2))

    return with_each(opt_state, ScaleByHalvingState, after)
