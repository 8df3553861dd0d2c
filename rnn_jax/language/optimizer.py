"""How a gradient becomes an update: clipped, scaled by Adam or not, at a rate that has a schedule.

What it remembers, the average of the weights among it, is part of the optimiser's state, so that a
checkpoint has it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

import rnn_jax as rnn
from rnn_jax.language.config import Config

ENOUGH = 1.003
"""By what factor a validation must be better than the best before, or the rate is halved."""


def optimizer(config: Config, updates: int) -> optax.GradientTransformation:
    """The optimiser of a config, for a run of so many updates."""
    parts = [
        *([clip(config.clip)] if config.clip else []),
        *([optax.scale_by_adam()] if config.optimizer == "adam" else []),
        *([decay(config.weight_decay)] if config.weight_decay else []),
        optax.scale_by_learning_rate(schedule(config, updates)),
        *([scale_by_halvings()] if config.schedule == "halving" else []),
        *([average(config.average)] if config.average else []),
    ]
    return optax.chain(*parts)


def clip(largest: float) -> optax.GradientTransformation:
    """Scale a gradient whose global norm is larger down to `largest`.

    `optax.clip_by_global_norm` divides every number by the norm and keeps that beside the gradient;
    one factor for all needs no second gradient of the vectors of 10,000 words. Source: Pascanu,
    Mikolov & Bengio, On the difficulty of training recurrent neural networks, ICML 2013.
    """

    def scaled(updates: Any, params: Any) -> Any:
        del params
        factor = jnp.minimum(1, largest / optax.tree.norm(updates))
        return jax.tree.map(lambda u: factor * u, updates)

    return optax.stateless(scaled)


def decay(rate: float) -> optax.GradientTransformation:
    """Decoupled weight decay, of matrices alone: a bias or a time scale of 0 is no simpler."""
    return optax.add_decayed_weights(
        rate, mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params)
    )


ENDS_WITH_THE_RUN = ("linear", "cosine")
"""The schedules whose every step size follows from the length of the run."""


def schedule(config: Config, updates: int) -> optax.Schedule:
    """Update -> step size: up from 0 in `warmup` updates, then as the schedule has it.

    `linear` and `cosine` reach 0 with the last update.
    """
    rate, left = config.learning_rate, max(1, updates - config.warmup)
    then = {
        "linear": lambda: optax.linear_schedule(rate, 0.0, left),
        "cosine": lambda: optax.cosine_decay_schedule(rate, left),
    }.get(config.schedule, lambda: optax.constant_schedule(rate))()
    if not config.warmup:
        return then
    # The first update is one step up already: at 0 it would do nothing.
    up = optax.linear_schedule(rate / config.warmup, rate, max(1, config.warmup - 1))
    return optax.join_schedules([up, then], [config.warmup])


class Halvings(NamedTuple):
    """What the step size is multiplied by."""

    factor: jax.Array


def scale_by_halvings() -> optax.GradientTransformation:
    """Multiply updates by a factor that is 1 until `after_validation` halves it."""

    def init(params: rnn.Params) -> Halvings:
        return Halvings(jnp.ones((), jnp.result_type(*jax.tree.leaves(params))))

    def update(updates: Any, state: Halvings, params: Any = None) -> tuple[Any, Halvings]:
        del params
        return jax.tree.map(lambda u: u * state.factor, updates), state

    return optax.GradientTransformation(init, update)


def after_validation(opt_state: Any, loss: float, best: float) -> Any:
    """The state with the step size halved, if a loss is not enough below the best before.

    From the first time on it is halved every time. Source: Mikolov et al., RNNLM, 2011.
    """
    factor = optax.tree.get(opt_state, "factor")
    if factor is None or (float(factor) == 1 and loss * ENOUGH < best):
        return opt_state
    return optax.tree.set(opt_state, factor=factor / 2)


class Average(NamedTuple):
    """The decaying sum of params, and how many updates it is of."""

    total: rnn.Params
    summed: jax.Array


def average(decay: float) -> optax.GradientTransformation:
    """Keep the exponential moving average of the params beside them; must come last in a chain.

    Source: Polyak & Juditsky, 1992; with decay, and its bias corrected as in Kingma & Ba, 2015.
    """

    def init(params: rnn.Params) -> Average:
        return Average(jax.tree.map(jnp.zeros_like, params), jnp.zeros((), jnp.int32))

    def update(updates: Any, state: Average, params: Any = None) -> tuple[Any, Average]:
        new = optax.apply_updates(params, updates)
        total = jax.tree.map(lambda t, p: decay * t + (1 - decay) * p, state.total, new)
        return updates, Average(total, state.summed + 1)

    return optax.GradientTransformation(init, update)


def averaged(opt_state: Any, decay: float) -> rnn.Params:
    """The average that `average(decay)` has kept: sum_k decay^k p_{n-k} / sum_k decay^k."""
    total, summed = (optax.tree.get(opt_state, name) for name in Average._fields)
    weight = -math.expm1(int(summed) * math.log(decay))
    return jax.tree.map(lambda t: t / weight, total)
