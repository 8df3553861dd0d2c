"""How a gradient becomes an update: clipped, scaled by Adam or not, at a rate that has a schedule.

What it remembers, the average of the weights among it, is part of the optimiser's state, so that a
checkpoint has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import optax

import rnn_jax as rnn
from rnn_jax.language.config import Config
from rnn_jax.language.model import map_vectors


def optimizer(config: Config, updates: int) -> optax.GradientTransformation:
    """The optimiser of a config, for a run of so many updates."""
    decay = optax.add_decayed_weights(config.weight_decay, _decayed(config))
    parts = [
        *([rnn.training.clip_by_global_norm(config.clip)] if config.clip else []),
        *([optax.scale_by_adam()] if config.optimizer == "adam" else []),
        *([decay] if config.weight_decay else []),
        optax.scale_by_learning_rate(schedule(config, updates)),
        *([rnn.training.scale_by_halving()] if config.schedule == "halving" else []),
        *([rnn.training.average_params(config.average)] if config.average else []),
    ]
    return optax.chain(*parts)


def _decayed(config: Config) -> Callable[[rnn.Params], Any]:
    """Which params decay: matrices alone, for a bias or a time scale of 0 is no simpler."""
    if not config.freeze_vectors:
        return rnn.training.matrices
    return lambda params: map_vectors(_none, rnn.training.matrices(params))


def _none(mask: Any) -> Any:
    return jax.tree.map(lambda _: False, mask)


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
