"""Sampling: a network that is fed what it has just said, and how the next token is chosen."""

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis.extra import numpy as hnp

import rnn_jax as rnn
from rnn_jax.decoding import MinP, Temperature, TopK, TopP, sample
from rnn_jax.decoding.choosing import draw
from tests.cases import params_of

WORDS = 4
MODEL = rnn.stack(rnn.Embedding(WORDS, 5), rnn.GRU(5, 6), rnn.Dense(6, WORDS))


@pytest.fixture(scope="module")
def params():
    params = params_of(MODEL)
    return jax.tree.map(lambda p: 2 * p, params)  # so that it has preferences


def say(params, said):
    """The logits after each of some sequences `(T, B)`."""
    return np.asarray(rnn.unroll(MODEL, params, jnp.asarray(said))[1])


def shares(logits):
    exp = np.exp(logits - logits.max(-1, keepdims=True))
    return exp / exp.sum(-1, keepdims=True)


@pytest.mark.parametrize(
    ("batch", "greedy"), [((), Temperature(0)), ((3,), TopK(1)), ((2, 2), TopP(0.0))]
)
def test_a_cold_sample_says_the_likeliest(params, rng, key, batch, greedy):
    prompt = rng.integers(0, WORDS, (2, *batch)).astype(np.int32)
    found = sample(MODEL, params, prompt, 5, key, greedy)
    tokens = np.asarray(found.tokens)
    assert tokens.shape == (5, *batch)
    assert tokens.dtype == np.int32
    assert (np.asarray(found.lengths) == np.full(batch, 5)).all()
    whole = np.concatenate([prompt, tokens])
    # What it says at each step is what reading all of it in one go makes likeliest there.
    assert (say(params, whole)[1:-1].argmax(-1) == tokens).all()


def of_two(logits):
    """The shares of the two likeliest alone, at a temperature of 1/2."""
    found = shares(2 * logits)
    found[found < np.sort(found, -1)[..., -2:-1]] = 0
    return found / found.sum(-1, keepdims=True)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [((), shares), ((Temperature(0.5), TopK(2)), of_two)],
    ids=["as it is", "filtered"],
)
def test_sequences_have_the_frequencies_of_the_model(params, key, filters, expected):
    """Of two tokens, so that the second is drawn after the first has been read."""
    draws = 20_000
    prompt = jnp.full((1, draws), 2)
    first, second = sample(MODEL, params, prompt, 2, key, *filters).tokens
    found = np.bincount(np.asarray(first * WORDS + second), minlength=WORDS**2) / draws
    # Every first token after the prompt, and what the model says then.
    every = np.stack([np.full(WORDS, 2), np.arange(WORDS)])
    after_prompt, after_first = expected(say(params, every))
    wanted = after_prompt[0][:, None] * after_first
    assert np.ptp(wanted) > 0.05  # or nothing would be told apart
    assert found == pytest.approx(wanted.ravel(), abs=4 * np.sqrt(0.25 / draws))


# -- Filters -------------------------------------------------------------------------------------


def by_top_k(logits, k):
    return sorted(range(len(logits)), key=lambda token: -logits[token])[: round(k)]


def by_top_p(logits, p):
    """The shortest list that has p, from the likeliest on."""
    together, kept = 0.0, []
    for token in by_top_k(logits, len(logits)):
        if kept and together >= p:
            break
        kept.append(token)
        together += shares(logits)[token]
        hypothesis.assume(abs(together - p) > 1e-9)  # rounding would decide
    return kept


def by_min_p(logits, p):
    ratios = shares(logits) / shares(logits).max()
    hypothesis.assume((abs(ratios - p) > 1e-9).all())
    return np.flatnonzero(ratios > p).tolist()


filtered = jax.jit(lambda filter, logits: filter(logits))


@hypothesis.settings(max_examples=60)
@hypothesis.given(
    hnp.arrays(np.float64, 6, elements=st.floats(-20, 20)),
    st.floats(0.01, 0.99),
    st.sampled_from([(TopK, by_top_k, 6), (TopP, by_top_p, 1), (MinP, by_min_p, 1)]),
)
def test_a_filter_keeps_what_its_definition_says(logits, share, case):
    kind, definition, most = case
    number = max(1, round(most * share)) if kind is TopK else share
    kept = definition(logits, number)
    expected = np.full(6, -np.inf)
    expected[kept] = logits[kept]
    assert (np.asarray(filtered(kind(number), logits)) == expected).all()


def test_the_ends_of_a_filter():
    logits = np.log([0.1, 0.3, 0.3, 0.1, 0.1, 0.1])
    for each in [TopK(6), TopK(99), TopP(1), MinP(0), Temperature(1)]:
        assert np.allclose(shares(np.asarray(filtered(each, logits))), np.exp(logits))
    for each in [TopK(1), TopP(0.0), TopP(0.3), Temperature(0)]:
        assert np.flatnonzero(np.isfinite(filtered(each, logits))).tolist() == [1]
    assert np.flatnonzero(np.isfinite(filtered(MinP(1.0), logits))).tolist() == [1, 2]
    # However cold or hot, nothing overflows.
    for t in (1e-300, 1e-9, 1e300):
        assert not np.isnan(filtered(Temperature(t), logits)).any()


def test_filters_are_values():
    assert (Temperature(0.5), TopK(3)) == (Temperature(0.5), TopK(3))
    assert repr(TopP(0.9)) == "TopP(p=0.9)"
    doubled = jax.tree.map(lambda p: 2 * p, (Temperature(0.5), TopK(3), MinP(0.1)))
    assert doubled == (Temperature(1.0), TopK(3), MinP(0.2))


# -- One function of its arguments ---------------------------------------------------------------


def test_it_is_one_function_of_its_arguments(params, key):
    """Compiled with whatever is an array traced, it draws the same; another key, another draw."""
    prompt = np.array([[1, 2], [3, 0]])
    compiled = jax.jit(
        lambda params, prompt, t, key: sample(MODEL, params, prompt, 30, key, Temperature(t)).tokens
    )
    found = sample(MODEL, params, prompt, 30, key, Temperature(0.8)).tokens
    assert (compiled(params, prompt, 0.8, key) == found).all()
    assert (compiled(params, prompt, 0.8, jax.random.key(5)) != found).any()
    # In narrow integers it is the same prompt.
    narrow = sample(MODEL, params, prompt.astype(np.int8), 30, key, Temperature(0.8)).tokens
    assert (narrow == found).all()


def test_other_numbers_are_no_other_program(params, key):
    traced = []

    def counted(logits):
        traced.append(logits.shape)
        return logits

    for number in (0.2, 0.5, 1.0):
        chain = Temperature(number), TopP(number), MinP(number), counted
        sample(MODEL, params, jnp.array([0, 1]), 3, key, *chain)
    assert len(set(traced)) == 1
    assert len(traced) <= 2  # JAX may look at the body of a loop twice


def test_what_is_no_token_is_said_to_be_none(params, key):
    """The sequences beside it are what they are without it."""
    prompt = np.array([[1, WORDS, 3]])
    found = sample(MODEL, params, prompt, 5, key, TopK(1))
    alone = sample(MODEL, params, np.array([[1, 0, 3]]), 5, key, TopK(1))
    assert (found.tokens[:, 1] == -1).all()
    assert found.lengths.tolist() == [5, 1, 5]
    assert (found.tokens[:, ::2] == alone.tokens[:, ::2]).all()


@pytest.mark.parametrize("said", [np.nan, np.inf, -np.inf])
def test_where_there_is_no_distribution_no_token_is_drawn(key, said):
    """Not even where a filter drops what is no number, or all that is one."""
    logits = jnp.array([[0.0, 1.0], [said, said if said < 0 else 1.0]])
    dropped = lambda logits: logits.at[:, 0].set(-jnp.inf)  # noqa: E731
    for filters in [(), (TopK(1),), (dropped,)]:
        first, second = draw(filters, logits, key)
        assert first in (0, 1)
        assert second == -1
    assert (
        draw((dropped, TopK(1), lambda logits: logits.at[:, 1].set(-jnp.inf)), logits, key)[0] == -1
    )


# -- Ends, prompts, carries ----------------------------------------------------------------------


def test_a_sequence_ends_where_it_says_so(params, rng, key):
    prompt = rng.integers(0, WORDS, (1, 40))  # among them what ends: in a prompt it ends nothing
    free = np.asarray(sample(MODEL, params, prompt, 6, key).tokens)
    tokens, lengths = map(np.asarray, sample(MODEL, params, prompt, 6, key, end=1))
    assert set(lengths.tolist()) > {1, 6}
    for own, ended, n in zip(free.T, tokens.T, lengths, strict=True):
        until = [*own.tolist(), 1].index(1) + 1
        assert n == min(until, 6)
        assert ended.tolist() == own[:n].tolist() + [1] * (6 - n)


def test_it_stops_when_all_have_ended(params, key):
    steps = []

    def counted(logits):
        jax.debug.callback(lambda: steps.append(1))
        return logits

    found = sample(MODEL, params, jnp.array([[1, 2, 3]]), 40, key, counted, end=1)
    jax.effects_barrier()
    assert len(steps) == found.lengths.max() < 40


def test_prompts_of_different_lengths_from_carries(params, rng, key):
    """In two parts, with what is no token behind the shorter ones."""
    prompt = rng.integers(0, WORDS, (3, 3))
    carry, _ = rnn.unroll(MODEL, params, prompt[:1])
    lengths = np.array([2, 0, 1])  # of the rest
    rest = np.where(np.arange(2)[:, None] < lengths, prompt[1:], WORDS)
    whole = sample(MODEL, params, prompt, 4, key, TopK(1)).tokens
    shorter = sample(MODEL, params, prompt[:2], 4, key, TopK(1)).tokens
    # What is no length has no tokens under jit, where nothing can be raised.
    go_on = jax.jit(
        lambda n: sample(MODEL, params, rest, 4, key, TopK(1), lengths=n, carry=carry).tokens
    )
    found = go_on(lengths)
    assert (found[:, 0] == whole[:, 0]).all()
    assert (found[:, 1] == -1).all()
    assert (found[:, 2] == shorter[:, 2]).all()
    assert (go_on(np.array([3, 1, 1]))[:, 0] == -1).all()
