"""What counting alone achieves, against counting in dictionaries, and against theory."""

import collections
import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnn_jax.errors import ArgumentError, DtypeError, ShapeError
from rnn_jax.language.baselines import baselines, ngram
from rnn_jax.language.baselines.counting import count, preceded
from rnn_jax.language.baselines.dirichlet import dirichlet, strengths
from rnn_jax.language.baselines.discounts import modified, plain
from rnn_jax.language.baselines.kneser_ney import kneser_ney
from rnn_jax.language.baselines.mixture import best_weight, mixture, perplexity

SIZE = 4
texts = st.lists(st.integers(0, SIZE - 2), max_size=40)  # the last token is never seen


def distributions(model, inputs):
    """p of every token after each of the inputs, (T, V)."""
    each = (np.full(len(inputs), token) for token in range(model.size))
    return np.stack([model.probabilities(np.asarray(inputs), token) for token in each], axis=1)


# -- Kneser-Ney ------------------------------------------------------------------------------------


class Dictionaries:
    """Kneser-Ney as the definition says it, one n-gram after the other."""

    def __init__(self, text, order, discounts):
        self.counts, self.discounts = {}, {}
        for n in range(1, order + 1):
            grams = [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]
            longer = {tuple(text[i : i + n + 1]) for i in range(len(text) - n)}
            if n == order:
                counts = collections.Counter(grams)
            else:
                counts = {gram: sum(more[1:] == gram for more in longer) for gram in grams}
            self.counts[n] = counts
            values = list(counts.values())
            self.discounts[n] = discounts([values.count(k) for k in (1, 2, 3, 4)])

    def discount(self, n, k):
        return self.discounts[n][min(k, 3) - 1] if k else 0.0

    def p(self, context, token):
        if len(context) + 1 > max(self.counts):
            return self.p(context[1:], token)
        counts = self.counts[len(context) + 1]
        below = self.p(context[1:], token) if context else 1 / SIZE
        after = [counts.get((*context, x), 0) for x in range(SIZE)]
        if not sum(after):
            return below
        n = len(context) + 1
        kept = after[token] - self.discount(n, after[token])
        reserved = sum(self.discount(n, k) for k in after)
        return (kept + reserved * below) / sum(after)


@given(texts, texts, st.integers(1, 5), st.sampled_from([plain, modified]))
def test_kneser_ney_is_what_dictionaries_count(text, inputs, order, discounts):
    found = distributions(kneser_ney(np.array(text), SIZE, order, discounts), inputs)
    slow = Dictionaries(text, order, discounts)
    expected = [
        [slow.p(tuple(inputs[: t + 1]), token) for token in range(SIZE)] for t in range(len(inputs))
    ]
    np.testing.assert_allclose(found, np.reshape(expected, (-1, SIZE)), rtol=1e-12)


@given(texts, texts, st.integers(1, 5), st.sampled_from([plain, modified]))
def test_kneser_ney_is_a_proper_distribution(text, inputs, order, discounts):
    # Contexts that were seen, that were not, and whose ends alone were seen.
    inputs = [*inputs, SIZE - 1, *text[:7], SIZE - 1, *text[-3:]]
    found = distributions(kneser_ney(np.array(text), SIZE, order, discounts), inputs)
    assert (found > 0).all()
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-12)


def test_the_counts_of_a_large_text_are_right(rng):
    # Tiny texts fall back to fixed discounts; this one has numbers of its own.
    text = np.minimum(rng.geometric(0.25, 3000), SIZE) - 1
    text[::7] = rng.integers(0, SIZE, len(text[::7]))
    inputs = rng.integers(0, SIZE, 12)
    for discounts in (plain, modified):
        slow = Dictionaries(text.tolist(), 5, discounts)
        assert discounts is plain or slow.discounts[5] != (0.5, 1.0, 1.5)
        found = distributions(kneser_ney(text, SIZE, 5, discounts), inputs)
        expected = [[slow.p(tuple(inputs[: t + 1]), w) for w in range(SIZE)] for t in range(12)]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_kneser_ney_by_hand():
    # The pairs 01 01 10 12 20 are counted 2 1 1 1, and each loses 1/2. Of the 4 different ones two
    # end in 0, one in 1, one in 2.
    text = np.array([0, 1, 2, 0, 1, 0])
    model = kneser_ney(text, 3, order=2, discounts=lambda n: (0.5, 0.5, 0.5))
    unigram = np.array([1.5, 0.5, 0.5]) / 4 + 1.5 / 4 / 3
    expected = [
        np.array([0, 1.5, 0]) / 2 + 0.5 / 2 * unigram,
        np.array([0.5, 0, 0.5]) / 2 + 1 / 2 * unigram,
        np.array([0.5, 0, 0]) / 1 + 0.5 / 1 * unigram,
    ]
    np.testing.assert_allclose(distributions(model, [0, 1, 2]), expected, rtol=1e-14)


@given(st.lists(st.integers(0, SIZE - 1), min_size=2, max_size=40))
def test_kneser_ney_keeps_the_frequencies_of_the_tokens(text):
    # What the counts of the lower order are made for (Kneser & Ney 1995): averaged over the
    # contexts of the text, a token is as probable as it is frequent.
    text = np.array(text)
    each = iter([(0, 0, 0), (0.7, 0.7, 0.7)])
    model = kneser_ney(text, SIZE, order=2, discounts=lambda n: next(each))
    found = distributions(model, text[:-1]).sum(0)
    np.testing.assert_allclose(found, np.bincount(text[1:], minlength=SIZE), atol=1e-12)


def test_a_token_of_one_context_is_not_thought_likely_elsewhere():
    # Chen & Goodman's example: 'Francisco' is frequent, and always after 'San'.
    san, francisco = 0, 1
    text = np.array([san, francisco] * 100 + [2, 3, 2, 4, 3, 4, 2, 3] * 12)
    after_four = np.array([4])
    p = {
        model: {w: fitted.probabilities(after_four, np.array([w]))[0] for w in (francisco, 2)}
        for model, fitted in [("kn", kneser_ney(text, 5, 2)), ("prior", dirichlet(text, 5, 1))]
    }
    assert p["prior"][francisco] > p["prior"][2]
    assert p["kn"][francisco] < p["kn"][2] / 10


def test_a_longer_memory_finds_what_a_shorter_cannot(rng):
    # The token after x y z is that of x: nothing short of a 4-gram sees it.
    blocks = rng.integers(0, 3, (3000, 3))
    text = (blocks[:, [0, 1, 2, 0]] + [0, 3, 6, 9]).ravel()
    before, after = text[:8000], text[8000:]

    def surprise(order):
        p = kneser_ney(before, 12, order).probabilities(after[:-1], after[1:])
        return perplexity(p[2::4])  # the last of each block

    assert surprise(3) == pytest.approx(3, rel=0.02)
    assert surprise(4) < 1 / (1 - 1.5 / 74)  # 2000 blocks of 27 kinds; 3/2 is taken from each count


@pytest.mark.parametrize(
    ("n", "plainly", "modifiedly"),
    [
        ([8, 4, 2, 1], (1 / 2,) * 3, (1 / 2, 5 / 4, 2)),
        ([12, 3, 2, 1], (2 / 3,) * 3, (2 / 3, 2 / 3, 5 / 3)),
        ([0, 4, 2, 1], (1 / 2,) * 3, (1 / 2, 1, 3 / 2)),
        ([8, 4, 2, 0], (1 / 2,) * 3, (1 / 2, 1, 3 / 2)),
        ([8, 1, 9, 1], (4 / 5,) * 3, (1 / 2, 1, 3 / 2)),  # D2 would be negative
        ([8, 4, 4, 6], (1 / 2,) * 3, (1 / 2, 1, 3 / 2)),  # D3 would be 0
        ([0, 0, 0, 0], (1 / 2,) * 3, (1 / 2, 1, 3 / 2)),
    ],
)
def test_discounts_come_from_counts_of_counts(n, plainly, modifiedly):
    assert plain(np.array(n)) == pytest.approx(plainly)
    assert modified(np.array(n)) == pytest.approx(modifiedly)


def test_discounts_may_not_take_more_than_there_is():
    with pytest.raises(ArgumentError, match=r"from 0 to k of a count of k .* got \(2, 2, 2\)"):
        kneser_ney(np.array([0, 1]), 2, discounts=lambda n: (2, 2, 2))


# -- n-grams ---------------------------------------------------------------------------------------


@given(texts)
def test_every_ngram_is_counted_once(text):
    for n, (counted, longer) in enumerate(itertools.pairwise(count(np.array(text), SIZE, 4)), 1):
        grams = [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]
        expected = collections.Counter(grams)
        # Sorted by key is sorted as tuples are, for the places of the contexts are in order too.
        assert counted.times.tolist() == [expected[gram] for gram in sorted(expected)]
        assert [grams[i] for i in counted.first] == sorted(expected)
        assert [sorted(expected)[place] for place in counted.places] == grams
        before = collections.defaultdict(set)
        for i, gram in enumerate(grams[1:]):
            before[gram].add(text[i])
        assert preceded(counted, longer).tolist() == [len(before[g]) for g in sorted(expected)]


@pytest.mark.parametrize("fit", [kneser_ney, dirichlet])
def test_a_model_reads_only_what_came_before(fit, rng, monkeypatch):
    text, inputs, targets = rng.integers(0, 5, 300), rng.integers(0, 5, 30), rng.integers(0, 5, 30)
    model = fit(text, 5)
    whole = model.probabilities(inputs, targets)
    assert model.probabilities(inputs[:17], targets[:17]).tolist() == whole[:17].tolist()
    monkeypatch.setattr(ngram, "_BLOCK", 7)
    assert model.probabilities(inputs, targets).tolist() == whole.tolist()
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.size = 6


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: kneser_ney(np.array([0, 3]), 3), ArgumentError, "from 0 to 2.* got 0 to 3"),
        (lambda: dirichlet(np.array([0, -1]), 3), ArgumentError, "from 0 to 2.* got -1 to 0"),
        (lambda: kneser_ney(np.zeros(3), 3), DtypeError, "must be integers, got float64"),
        (
            lambda: kneser_ney(np.zeros((2, 2), int), 3),
            ShapeError,
            r"vector \(T,\), got .*\(2, 2\)",
        ),
        (
            lambda: kneser_ney(np.array([0]), 3, order=0),
            ArgumentError,
            "longest must be a positive",
        ),
        (
            lambda: kneser_ney(np.array([0]), 3).probabilities(np.array([0]), np.array([0, 1])),
            ShapeError,
            r"one token each a step, got \(1,\) and \(2,\)",
        ),
    ],
)
def test_texts_that_cannot_be_counted_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


# -- smoothed by a prior ---------------------------------------------------------------------------


@given(texts, texts)
def test_the_bigram_is_a_proper_distribution(text, inputs):
    found = distributions(dirichlet(np.array(text), SIZE), [*inputs, SIZE - 1, *text[:3]])
    assert (found > 0).all()
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-12)


def test_the_unigram_and_the_bigram_are_what_a_loop_counts(rng):
    size = 5
    train, held = rng.integers(0, size, 200), rng.integers(0, size, 40)
    strength, b = strengths(train, size, 2)
    total = {"unigram": 0.0, "bigram": 0.0}
    contexts = [train[-1], *held[:-1]]
    for context, token in zip(contexts, held, strict=True):
        p = (np.sum(train == token) + strength / size) / (len(train) + strength)
        pairs = sum(x == context and y == token for x, y in itertools.pairwise(train))
        q = (pairs + b * p) / (np.sum(train[:-1] == context) + b)
        total["unigram"] -= math.log(p)
        total["bigram"] -= math.log(q)
    found = baselines(train, np.array(contexts), held, size)
    assert found.unigram == pytest.approx(math.exp(total["unigram"] / len(held)))
    assert found.bigram == pytest.approx(math.exp(total["bigram"] / len(held)))


def test_the_strengths_are_the_best_for_the_last_tenth(rng):
    # Where pairs tell nothing the bigram leans on the unigram, and where they tell all it does not.
    assert strengths(rng.integers(0, 5, 3000), 5, 2)[1] > 10
    assert strengths(np.arange(3000) % 5, 5, 2)[1] == pytest.approx(1e-3)


# -- side by side ----------------------------------------------------------------------------------


def test_the_baselines_of_a_cycle():
    ids = np.arange(400) % 4
    found = baselines(ids, ids[:-1], ids[1:], 4)
    assert found.unigram == pytest.approx(4, rel=0.01)
    assert found.bigram < 1.1
    assert found.kneser_ney < 1.1


def test_each_baseline_is_its_model(rng):
    train, held = rng.integers(0, 6, 500).cumsum() % 6, rng.integers(0, 6, 50)
    contexts = np.append(train[-1:], held[:-1])
    found = baselines(train, contexts, held, 6)
    models = [dirichlet(train, 6, 1), dirichlet(train, 6, 2), kneser_ney(train, 6, 5, modified)]
    expected = [perplexity(model.probabilities(contexts, held)) for model in models]
    assert dataclasses.astuple(found) == pytest.approx(expected)


# -- mixtures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_two_oracles_are_mixed_as_often_as_each_is_right(share):
    # One is certain of some tokens, the other of the rest: the best perplexity is exp of the
    # entropy of who is right.
    right = np.arange(400) % 20 < 20 * share
    found = mixture(right.astype(float), (~right).astype(float))
    entropy = -sum(x * math.log(x) for x in (share, 1 - share) if x)
    assert found.weight == pytest.approx(share, abs=1e-9)
    assert found.perplexity == pytest.approx(math.exp(entropy))


@given(st.lists(st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)), min_size=1, max_size=30))
def test_no_weight_is_better_than_the_best(pairs):
    p, q = np.array(pairs).T
    weight = best_weight(p, q)
    best = np.log(weight * p + (1 - weight) * q).sum()
    for other in np.linspace(0, 1, 41):
        assert best >= np.log(other * p + (1 - other) * q).sum() - 1e-9


def test_the_weight_of_a_token_comes_from_the_other_half_alone():
    # Each half is one model's alone: what suits one half is the worst for the other.
    p = np.array([0.5] * 10 + [0.01] * 10)
    assert mixture(p, p[::-1]).perplexity == pytest.approx(100)
    assert mixture(p, p[::-1]).weight == pytest.approx(0.5)


def test_mixing_in_counts_helps_a_model_of_pairs(rng):
    # The model knows pairs but not the blocks that come again word for word; counts know both.
    blocks = rng.integers(0, 30, (40, 6))
    text = blocks[rng.integers(0, 40, 600)].ravel()
    train, held = text[:3000], text[3000:]
    contexts = np.append(train[-1:], held[:-1])
    p = dirichlet(train, 30).probabilities(contexts, held)
    q = kneser_ney(train, 30).probabilities(contexts, held)
    found = mixture(p, q)
    assert 0 <= found.weight < 0.5
    assert found.perplexity <= perplexity(q) * 1.01 < perplexity(p)


@pytest.mark.parametrize(
    ("p", "q", "error", "message"),
    [
        ([0.5], [0.5, 0.5], ShapeError, r"two vectors of one length.*\(1,\) and \(2,\)"),
        ([0.5], [0.5], ShapeError, "two halves is needed, got 1"),
        ([0.5, 1.5], [0.5, 0.5], ArgumentError, r"p\[1\] is 1.5.*no probability.*np.exp\(-losses"),
        ([0.5, 0.5], [math.nan, 0.5], ArgumentError, r"q\[0\] is nan"),
        ([0.5, 0.0], [0.5, 0.0], ArgumentError, "the token 1 has probability 0 in both"),
    ],
)
def test_probabilities_that_cannot_be_mixed_are_refused(p, q, error, message):
    with pytest.raises(error, match=message):
        mixture(np.array(p), np.array(q))
