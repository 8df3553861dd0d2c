"""What an optimiser can be made of: averages, halving, clipping, masks; by hand or by optax."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rnn_jax as rnn
from tests.cases import assert_close

pytestmark = pytest.mark.usefixtures("no_rank_promotion")
PARAMS = {"w": jnp.ones((3, 2)), "b": jnp.zeros(3)}


@jax.numpy_dtype_promotion("standard")  # optax is not strict
def follow(rule, gradients, params):
    """The params after each gradient, and the last state of the rule."""
    state, found = rule.init(params), []
    for gradient in gradients:
        updates, state = rule.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        found.append(params)
    return found, state


# -- averages --------------------------------------------------------------------------------------


def test_an_average_is_the_sum_that_it_says(rng):
    gradients = [jnp.asarray(g) for g in rng.normal(size=(5, 3, 1))]
    rule = optax.chain(optax.sgd(0.5), rnn.training.average_params(0.8))
    found, state = follow(rule, gradients, jnp.zeros((3, 1)))
    weights = 0.8 ** np.arange(5)[::-1]
    expected = np.tensordot(weights, np.stack(found), 1) / weights.sum()
    assert_close(rnn.training.averaged_params(state), expected, 1e-12)
    assert_close(jax.jit(rnn.training.averaged_params)(state), expected, 1e-12)


def test_params_that_stay_are_their_own_average():
    """In float32, where 0.9998 is another number, and its powers lose what 1 is away."""
    rule, params = rnn.training.average_params(0.9998), jnp.float32([3.0])
    state = rule.init(params)
    update = jax.jit(lambda state: rule.update(jnp.zeros_like(params), state, params)[1])
    for _ in range(50):
        state = update(state)
        assert_close(rnn.training.averaged_params(state), params, 1e-6)


def test_an_average_is_found_within_wrappers():
    inside = optax.chain(optax.sgd(1.0), rnn.training.average_params(0.5))
    rule = optax.apply_if_finite(inside, 3)
    (after,), state = follow(rule, [jax.tree.map(jnp.ones_like, PARAMS)], PARAMS)
    assert_close(rnn.training.averaged_params(state), after, 1e-12)


# -- halving ---------------------------------------------------------------------------------------


def test_the_rate_is_halved_from_the_first_stall_on():
    rule = optax.chain(optax.sgd(1.0), rnn.training.scale_by_halving())
    state, best, found = rule.init(PARAMS), math.inf, []
    compiled = jax.jit(rnn.training.halve_on_stall)
    for loss in (5.0, 4.0, 3.999, 3.0, 2.0):
        assert_close(compiled(state, loss, best), rnn.training.halve_on_stall(state, loss, best))
        state = rnn.training.halve_on_stall(state, loss, best)
        best = min(best, loss)
        updates, _ = rule.update(PARAMS, state)
        found.append(float(updates["w"][0, 0]))
    assert found == [-1, -1, -0.5, -0.25, -0.125]


# -- clipping --------------------------------------------------------------------------------------


def test_clipping_is_that_of_optax(rng):
    updates = {"w": jnp.asarray(rng.normal(size=(3, 2))), "b": jnp.asarray(rng.normal(size=3))}
    for largest in (0.1, 100.0):
        ours = rnn.training.clip_by_global_norm(largest)
        theirs = optax.clip_by_global_norm(largest)
        found, expected = (rule.update(updates, rule.init(updates))[0] for rule in (ours, theirs))
        assert_close(found, expected, 1e-12)
    zeros = jax.tree.map(jnp.zeros_like, updates)
    assert_close(ours.update(zeros, ours.init(zeros))[0], zeros)


# -- masks -----------------------------------------------------------------------------------------


def test_weight_decay_is_of_matrices():
    rule = optax.chain(
        optax.add_decayed_weights(0.5, mask=rnn.training.matrices), optax.scale(-0.1)
    )
    params = jax.tree.map(jnp.ones_like, PARAMS)
    updates, _ = rule.update(jax.tree.map(jnp.zeros_like, params), rule.init(params), params)
    assert_close(updates, {"w": jnp.full((3, 2), -0.05), "b": jnp.zeros(3)}, 1e-7)
