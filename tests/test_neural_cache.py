"""The neural cache: what followed states like the present one, beside the network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from rnn_jax.language import evaluate
from rnn_jax.language.baselines.mixture import best_weight, mix, perplexity
from rnn_jax.language.config import Config
from rnn_jax.language.evaluate import token_losses
from rnn_jax.language.learner import Learner
from rnn_jax.language.model import reader
from rnn_jax.language.neural_cache import SHARPNESSES, cached, recall

SIZE = 7
"""Tokens there are."""


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def speaker(request):
    model = Learner(Config(cell="elman", hidden=6, embedding=5, tied=request.param), SIZE).model
    return model, model.init(jax.random.key(1))


def by_hand(model, params, inputs, targets, size):
    """Token by token, in float64, with the whole distribution of each."""
    below, params = reader(model, params)
    hs = np.asarray(rnn.unroll(below, params, jnp.asarray(inputs))[1], np.float64)
    hs /= np.linalg.norm(hs, axis=1, keepdims=True)
    found = np.zeros((len(SHARPNESSES), len(inputs)))
    for row, sharpness in enumerate(SHARPNESSES):
        for t in range(1, len(inputs)):
            distribution = np.zeros(SIZE)
            for i in range(max(0, t - size), t):
                distribution[targets[i]] += np.exp(sharpness * hs[t] @ hs[i])
            found[row, t] = distribution[targets[t]] / distribution.sum()
    return found


@pytest.mark.parametrize("size", [1, 4, 100])
def test_a_cache_is_what_followed_the_last_states(speaker, rng, monkeypatch, size):
    tokens = rng.integers(0, SIZE, 24).astype(np.int32)
    expected = by_hand(*speaker, tokens[:-1], tokens[1:], size)
    found = recall(*speaker, tokens[:-1], tokens[1:], size)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    monkeypatch.setattr(evaluate, "_CHUNK", 5)
    in_chunks = recall(*speaker, tokens[:-1], tokens[1:], size)
    np.testing.assert_allclose(in_chunks, expected, rtol=1e-4, atol=1e-6)


def test_a_text_that_repeats_is_remembered(speaker):
    tokens = np.tile(np.array([3, 1, 4, 1, 5], np.int32), 60)
    pairs = tokens[:-1], tokens[1:]
    network = np.exp(-token_losses(*speaker, *pairs))
    found = cached(network, recall(*speaker, *pairs, 20))
    assert found.perplexity < 0.7 * perplexity(network)
    assert found.weight < 0.5


def test_nobody_chooses_for_itself(rng):
    network, other = rng.uniform(0.1, 0.9, (2, 40))
    recalled, elsewhere = rng.uniform(0, 1, (2, len(SHARPNESSES), 40))

    def best(p, qs):
        weights = [best_weight(p, q) for q in qs]
        return min(
            (perplexity(mix(p, q, w)), w, row)
            for row, (q, w) in enumerate(zip(qs, weights, strict=True))
        )

    _, weight, row = best(other, elsewhere)
    expected = weight, SHARPNESSES[row], perplexity(mix(network, recalled[row], weight))
    assert cached(network, recalled, (other, elsewhere)) == pytest.approx(expected)

    halves = slice(0, 20), slice(20, 40)
    found = []
    for mine, others in (halves, halves[::-1]):
        _, weight, row = best(network[others], recalled[:, others])
        found.append(mix(network[mine], recalled[row, mine], weight))
    _, weight, row = best(network, recalled)
    expected = weight, SHARPNESSES[row], perplexity(np.concatenate(found))
    assert cached(network, recalled) == pytest.approx(expected)
    assert cached(network[:1], recalled[:, :1]).perplexity == pytest.approx(1 / network[0])
