"""The network of a config: what it costs and begins with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from rnn_jax.language.config import Config
from rnn_jax.language.corpus import log_frequencies
from rnn_jax.language.learner import Learner
from rnn_jax.language.model import Scored, cross_entropy, language_model
from tests import hlo
from tests.cases import assert_close, params_of

QUIET = {"dropout_inputs": 0.0, "dropout_outputs": 0.0}


@pytest.mark.parametrize(
    "settings",
    [
        {"cell": "lstm", "embedding": 4},
        {"cell": "lstm", "embedding": 4, "tied": True},
        {"cell": "elman", "embedding": 3, "tied": True, "time_scales": 9.0},
    ],
)
def test_a_scored_model_costs_what_its_logits_say(rng, settings):
    model = language_model(Config(hidden=4, **QUIET, **settings), 6)
    params = params_of(model)
    xs, targets = jnp.asarray(rng.integers(0, 6, (2, 5, 3)))
    mask = jnp.asarray(rng.random((5, 3)) < 0.7)

    @jax.jit
    def outcomes(params):
        def scored(params):
            pairs = jnp.stack([xs, targets], -1)
            carry, losses = rnn.unroll(Scored(model), params, pairs, mask=mask)
            return losses.sum(), (carry, losses)

        def plain(params):
            carry, logits = rnn.unroll(model, params, xs, mask=mask)
            losses = jnp.where(mask, cross_entropy(logits, targets), 0)
            return losses.sum(), (carry, losses)

        return [jax.value_and_grad(f, has_aux=True)(params) for f in (scored, plain)]

    found, expected = outcomes(params)
    assert_close(found, expected, 1e-12)


def test_an_update_takes_three_matmuls_over_the_words_and_makes_no_third_array_of_logits():
    words, batch, window, hidden = 3_000, 6, 10, 16
    config = Config(
        cell="elman", hidden=hidden, embedding=hidden, tied=True, batch=batch, window=window
    )
    learner = Learner(config, words)
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        state = jax.eval_shape(lambda: learner.start().train)
        ids = jax.ShapeDtypeStruct((window, batch), jnp.int32)
        program = hlo.compiled(learner.update, state, ids, ids, 0)
    rows = window * batch
    counts = hlo.matmuls(program)
    of_words = {shape: times for shape, times in counts.items() if words in shape}
    # The third is the gradient of the states; the one row is the gradient of the biases.
    assert of_words == {(rows, words): 1, (words, hidden): 1, (1, words): 1}
    assert hlo.temporaries(program) < 2.1 * rows * words * 4


def config_of_scales(longest):
    return Config(cell="elman", hidden=3, embedding=4, time_scales=longest, **QUIET)


def test_leaky_units_keep_the_share_that_their_time_scales_say():
    leaky, plain = (language_model(config_of_scales(scales), 6).layers[1] for scales in (30.0, 0.0))
    params = leaky.init(jax.random.key(0), jnp.float64)
    x, carry = jnp.ones(4), rnn.ElmanCarry(jnp.full(3, 0.5))
    found, _ = rnn.step(leaky, params, x, carry)
    new, _ = rnn.step(plain, params.layer, x, carry)
    keep = np.exp(-1 / np.array([0.3, 3.0, 30.0]))
    assert_close(found.h, keep * carry.h + (1 - keep) * new.h, 1e-12)
    short = language_model(config_of_scales(0.1), 6)
    assert short.layers[1].longest == short.layers[1].shortest == 0.1


@pytest.mark.parametrize("tied", [False, True])
def test_a_fresh_network_predicts_the_frequencies_of_the_tokens(tied):
    biases = log_frequencies(np.array([0, 0, 2]), 4)
    assert_close(np.exp(biases), np.array([3, 1, 2, 1]) / 7, 1e-6)
    params = Learner(Config(tied=tied), 4).start(biases).train.params
    assert_close(params.b if tied else params[-1].b, biases, 0)
