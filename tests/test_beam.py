"""Beam search against all sequences that there are, and against what the model says of its own."""

import importlib
import itertools

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from rnn_jax.decoding import TopK, beam, sample
from tests import reference

WORDS, END, LENGTH = 3, 2, 3
MODEL = rnn.stack(rnn.Embedding(WORDS, 3), rnn.Elman(3, 4), rnn.Dense(4, WORDS))
LAYERS = rnn.stack(rnn.Embedding(7, 4), rnn.LSTM(4, 6), rnn.Dense(6, 7))


def drawn(model, seed, scale):
    """Params of any size, in NumPy."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.float64))
    return jax.tree.map(lambda p: rng.normal(size=p.shape) * scale, shapes)


def log_softmax(logits):
    return logits - np.logaddexp.reduce(logits, -1, keepdims=True)


# -- All sequences -------------------------------------------------------------------------------

recur = reference.elman(np.tanh)


def log_p(params, prompt, words):
    """Of some words after a prompt, by NumPy alone."""
    embedding, elman, dense = (p._asdict() for p in params)
    carry, total = {"h": np.zeros(4)}, 0.0
    read = [*prompt, *words]
    for t, word in enumerate(read[:-1]):
        carry, h = recur(elman, carry, embedding["w"][word])
        if t >= len(prompt) - 1:
            total += log_softmax(reference.dense(dense, (), h)[1])[read[t + 1]]
    return total


def every_sequence(params, prompt, penalty):
    """`[(score, words)]`: those that end, the best first, and then those that are cut off."""
    ended, cut = [], []
    for n in range(1, LENGTH + 1):
        for words in itertools.product(range(WORDS), repeat=n):
            if END in words[:-1] or (n < LENGTH and words[-1] != END):
                continue  # it goes on after its end, or it goes on
            score = log_p(params, prompt, words) / ((5 + n) / 6) ** penalty
            (ended if words[-1] == END else cut).append((score, list(words)))
    return sorted(ended, reverse=True) + sorted(cut, reverse=True)


@hypothesis.settings(max_examples=20)
@hypothesis.given(st.integers(0, 2**32 - 1), st.floats(0.1, 4), st.floats(-1, 3))
def test_a_wide_beam_finds_the_best_of_all(seed, scale, penalty):
    params = drawn(MODEL, seed, scale)
    prompts = np.array([[0, 1, 2], [1, 0, 0]])
    found = beam(MODEL, params, prompts, LENGTH, 16, END, n_best=16, length_penalty=penalty)
    found = jax.tree.map(np.asarray, found)
    for b, prompt in enumerate(prompts.T):
        every = every_sequence(params, prompt, penalty)
        assert len(every) == 15
        for n, (score, words) in enumerate(every):
            assert found.scores[n, b] == pytest.approx(score, rel=1e-9, abs=1e-12)
            assert found.lengths[n, b] == len(words)
            assert found.tokens[:, n, b].tolist() == words + [END] * (LENGTH - len(words))
        # There are no more than that.
        assert found.scores[15, b] == -np.inf
        assert found.lengths[15, b] == 0


@hypothesis.settings(max_examples=20)
@hypothesis.given(st.integers(0, 2**32 - 1), st.floats(0.1, 4), st.floats(-1, 3))
def test_it_does_not_stop_before_the_best_is_found(seed, scale, penalty):
    """With one place to keep what ended, the search stops as early as it may."""
    params = drawn(MODEL, seed, scale)
    prompts = np.array([[0, 1, 2]])
    found = beam(MODEL, params, prompts, LENGTH, 12, END, length_penalty=penalty)
    for b, prompt in enumerate(prompts.T):
        score, words = every_sequence(params, prompt, penalty)[0]
        assert found.scores[0, b] == pytest.approx(score, rel=1e-9, abs=1e-12)
        assert found.tokens[: len(words), 0, b].tolist() == words


# -- Laws ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def params():
    return drawn(LAYERS, 11, 1.0)


@pytest.fixture
def prompt(rng):
    """Of one shape for all, so that most of the tests below share a program."""
    return rng.integers(0, 7, (2, 3, 2))


def search(params, prompt, penalty=0.7, **more):
    return beam(LAYERS, params, prompt, 6, 5, 4, n_best=3, length_penalty=penalty, **more)


def test_scores_are_what_the_model_says_of_the_sequences(params, prompt):
    """So each beam was followed with its own carry. Also: the order, and no sequence twice."""
    tokens, lengths, scores = map(np.asarray, search(params, prompt))
    assert tokens.shape == (6, 3, 3, 2)
    assert len(set(lengths.ravel().tolist())) > 2
    assert (tokens[5] == 4).all()  # all have ended, so they are in order
    assert (np.diff(scores, axis=0) <= 0).all()
    read = np.concatenate([np.broadcast_to(prompt[:, None], (2, 3, 3, 2)), tokens])
    said = log_softmax(np.asarray(rnn.unroll(LAYERS, params, read)[1]))[1:-1]
    of_each = np.take_along_axis(said, tokens[..., None], -1)[..., 0]
    log_p = of_each.sum(0, where=np.arange(6)[:, None, None, None] < lengths)
    assert scores == pytest.approx(log_p / ((5 + lengths) / 6) ** 0.7)
    for b in np.ndindex(3, 2):
        assert len({tuple(tokens[:, n, *b]) for n in range(3)}) == 3


def test_a_width_of_one_is_greedy(params, rng, key):
    prompt = rng.integers(0, 7, (2, 30))
    found = beam(LAYERS, params, prompt, 6, 1, 4)
    greedy = sample(LAYERS, params, prompt, 6, key, TopK(1), end=4)
    assert {1, 4} < set(np.asarray(greedy.lengths).tolist())
    assert (found.tokens[:, 0] == greedy.tokens).all()
    assert (found.lengths[0] == greedy.lengths).all()


@pytest.mark.slow
def test_prompts_of_different_lengths_from_carries(params, prompt):
    """One of one token, in a batch of longer ones, after what was read before."""
    carry, _ = rnn.unroll(LAYERS, params, prompt[:1])
    more = np.concatenate([prompt[1:], prompt])
    lengths = np.array([[3, 1], [2, 3], [1, 2]])
    found = search(params, more, lengths=lengths, carry=carry)
    alone = search(params, prompt)
    for one, other in zip(found, alone, strict=True):
        assert np.allclose(one[..., lengths == 1], other[..., lengths == 1])
        assert not np.allclose(one, other)


def test_it_stops_when_nothing_can_become_better(params):
    """A million steps take hours. The penalty lets long ones hope, and the model ends at once."""
    *rest, dense = params
    ending = (*rest, dense._replace(b=np.where(np.arange(7) == 4, 30.0, 0.0)))
    found = beam(LAYERS, ending, jnp.array([[1, 2]]), 10**6, 2, 4, length_penalty=0.5)
    assert found.lengths.tolist() == [[1, 1]]


def test_what_is_nan_is_told(params, prompt):
    """The sequences beside it are what they are without it."""
    alone, wrong = search(params, prompt), prompt.copy()
    wrong[0, 1, 1] = 7
    found, there = search(params, wrong), (wrong == 7).any(0)
    assert (found.tokens[..., there] == -1).all()
    assert (found.lengths[:, there] == 1).all()
    assert jnp.isnan(found.scores[:, there]).all()
    for one, other in zip(found, alone, strict=True):
        assert (one[..., ~there] == other[..., ~there]).all()


@pytest.mark.slow
def test_it_is_one_function_of_its_arguments(params, prompt):
    compiled = jax.jit(search)
    for penalty in (0.0, 2.0):
        found = search(params, prompt, penalty)
        for one, other in zip(compiled(params, prompt, penalty), found, strict=True):
            assert np.allclose(one, other)
    assert compiled._cache_size() == 1
    programs = importlib.import_module("rnn_jax.decoding.beam")._beam._cache_size
    before = programs()
    search(params, prompt, 0.3)
    assert programs() == before
