"""Sampling: a network that is fed what it has just said."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn

WORDS = 4
MODEL = rnn.stack(rnn.Embedding(WORDS, 5), rnn.GRU(5, 6), rnn.Dense(6, WORDS))


@pytest.fixture(scope="module")
def params():
    params = MODEL.init(jax.random.key(1), jnp.float64)
    return jax.tree.map(lambda p: 2 * p, params)  # so that it has preferences


def say(params, said):
    """The logits after each of some sequences `(T, B)`."""
    return np.asarray(rnn.unroll(MODEL, params, jnp.asarray(said))[1])


def shares(logits):
    exp = np.exp(logits - logits.max(-1, keepdims=True))
    return exp / exp.sum(-1, keepdims=True)


@pytest.mark.parametrize("batch", [(), (3,), (2, 2)])
def test_a_cold_sample_says_the_likeliest(params, rng, key, batch):
    prompt = rng.integers(0, WORDS, (2, *batch)).astype(np.int32)
    found = np.asarray(rnn.decoding.sample(MODEL, params, prompt, 5, 0.0, key))
    assert found.shape == (5, *batch)
    assert found.dtype == np.int32
    whole = np.concatenate([prompt, found])
    # What it says at each step is what reading all of it in one go makes likeliest there.
    assert (say(params, whole)[1:-1].argmax(-1) == found).all()


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_sequences_have_the_frequencies_of_the_model(params, key, temperature):
    """Of two tokens, so that the second is drawn after the first has been read."""
    draws = 20_000
    prompt = jnp.full((1, draws), 2)
    first, second = rnn.decoding.sample(MODEL, params, prompt, 2, temperature, key)
    found = np.bincount(np.asarray(first * WORDS + second), minlength=WORDS**2) / draws
    # Every first token after the prompt, and what the model says then.
    every = np.stack([np.full(WORDS, 2), np.arange(WORDS)])
    after_prompt, after_first = shares(say(params, every) / temperature)
    expected = after_prompt[0][:, None] * after_first
    assert np.ptp(expected) > 0.05  # or nothing would be told apart
    assert found == pytest.approx(expected.ravel(), abs=4 * np.sqrt(0.25 / draws))


def test_it_is_one_function_of_its_arguments(params, key):
    """Compiled with whatever is an array traced, it draws the same; another key, another draw."""
    prompt = np.array([[1, 2], [3, 0]])
    compiled = jax.jit(
        lambda params, prompt, temperature, key: rnn.decoding.sample(
            MODEL, params, prompt, 30, temperature, key
        )
    )
    found = rnn.decoding.sample(MODEL, params, prompt, 30, 0.8, key)
    assert (compiled(params, prompt, 0.8, key) == found).all()
    assert (compiled(params, prompt, 0.8, jax.random.key(5)) != found).any()
    # In narrow integers it is the same prompt.
    narrow = rnn.decoding.sample(MODEL, params, prompt.astype(np.int8), 30, 0.8, key)
    assert (narrow == found).all()


def test_what_is_no_token_is_said_to_be_none(params, key):
    """The sequences beside it are what they are without it."""
    prompt = np.array([[1, WORDS, 3]])
    found = rnn.decoding.sample(MODEL, params, prompt, 5, 0.0, key)
    alone = rnn.decoding.sample(MODEL, params, np.array([[1, 0, 3]]), 5, 0.0, key)
    assert (found[:, 1] == -1).all()
    assert (found[:, ::2] == alone[:, ::2]).all()
