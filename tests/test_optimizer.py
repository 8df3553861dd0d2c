"""The optimiser of a run: schedules, clipping, decay and averages, by hand or by optax."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rnn_jax.language.config import Config
from rnn_jax.language.optimizer import after_validation, averaged, clip, optimizer, schedule
from tests.cases import assert_close

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
    assert np.asarray(averaged(state, 0.8)["w"]) == pytest.approx(total / weight)


def test_clipping_can_be_off():
    (found,), _ = steps_of(config_of(optimizer="sgd", learning_rate=1.0, clip=0.0), [[1e6]], [0.0])
    assert found == pytest.approx([-1e6])


def test_the_rate_is_halved_from_the_first_stall_on():
    config = config_of(optimizer="sgd", learning_rate=1.0, schedule="halving", clip=0.0)
    _, state = steps_of(config, [[0.0]], [0.0])
    factors = []
    best = math.inf
    for loss in (5.0, 4.0, 3.999, 3.0, 2.0):
        state = after_validation(state, loss, best)
        best = min(best, loss)
        factors.append(float(optax.tree.get(state, "factor")))
    assert factors == [1, 1, 0.5, 0.25, 0.125]
    with jax.numpy_dtype_promotion("standard"):
        updates, _ = optimizer(config, 1).update({"w": jnp.ones(1)}, state, {"w": jnp.ones(1)})
    assert float(updates["w"][0]) == -0.125
    _, plain = steps_of(config_of(), [[0.0]], [0.0])
    assert after_validation(plain, 2.0, 1.0) is plain


def test_clipping_is_that_of_optax(rng):
    updates = {"w": jnp.asarray(rng.normal(size=(3, 2))), "b": jnp.asarray(rng.normal(size=3))}
    for largest in (0.1, 100.0):
        ours, theirs = clip(largest), optax.clip_by_global_norm(largest)
        found, expected = (rule.update(updates, rule.init(updates))[0] for rule in (ours, theirs))
        assert_close(found, expected, 1e-12)
    zeros = jax.tree.map(jnp.zeros_like, updates)
    assert_close(clip(1.0).update(zeros, clip(1.0).init(zeros))[0], zeros)


def test_weight_decay_is_of_matrices():
    rule = optimizer(config_of(weight_decay=0.5, optimizer="sgd", learning_rate=0.1), 1)
    params = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}
    updates, _ = rule.update(jax.tree.map(jnp.zeros_like, params), rule.init(params), params)
    assert_close(updates, {"w": jnp.full((2, 2), -0.05), "b": jnp.zeros(2)}, 1e-7)
