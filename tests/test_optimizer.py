"""The optimiser of a run: its schedule, and its parts in their order."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rnn_jax as rnn
from rnn_jax.language.config import Config
from rnn_jax.language.optimizer import optimizer, schedule

# What a test is not about, switched off.
PLAIN = {"schedule": "constant", "warmup": 0, "weight_decay": 0.0}


def config_of(**settings):
    return Config(**PLAIN | settings)


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("constant", [1, 1, 1, 1]),
        ("halving", [1, 1, 1, 1]),
        ("linear", [1, 0.75, 0.5, 0.25]),
        ("cosine", [(1 + math.cos(math.pi * k / 4)) / 2 for k in range(4)]),
    ],
)
def test_step_sizes_rise_and_then_do_as_the_schedule_says(name, rates):
    config = config_of(learning_rate=2.0, schedule=name)
    of = schedule(config, 4)
    assert [float(of(k)) for k in range(4)] == pytest.approx([2 * rate for rate in rates])
    of = schedule(config_of(learning_rate=2.0, schedule=name, warmup=2), 6)
    assert [float(of(k)) for k in range(6)] == pytest.approx([1, 2, *(2 * r for r in rates)])


def steps_of(config, gradients, start):
    """The params after each gradient."""
    with jax.numpy_dtype_promotion("standard"):
        transform = optimizer(config, len(gradients))
        params = {"w": jnp.asarray(start)}
        state, found = transform.init(params), []
        for gradient in gradients:
            updates, state = transform.update({"w": jnp.asarray(gradient)}, state, params)
            params = optax.apply_updates(params, updates)
            found.append(np.asarray(params["w"]))
    return found, state


def test_sgd_clips_decays_and_averages(rng):
    config = config_of(optimizer="sgd", learning_rate=0.5, clip=1.0, weight_decay=0.1, average=0.8)
    gradients, w = rng.normal(size=(5, 3, 1)), np.ones((3, 1))
    found, state = steps_of(config, gradients, w)
    total = weight = 0.0
    for gradient, after in zip(gradients, found, strict=True):
        w = w - 0.5 * (gradient / max(1, np.linalg.norm(gradient)) + 0.1 * w)
        total, weight = 0.8 * total + w, 0.8 * weight + 1
        assert after == pytest.approx(w)
    assert np.asarray(rnn.training.averaged_params(state)["w"]) == pytest.approx(total / weight)


def test_clipping_can_be_off():
    (found,), _ = steps_of(config_of(optimizer="sgd", learning_rate=1.0, clip=0.0), [[1e6]], [0.0])
    assert found == pytest.approx([-1e6])
