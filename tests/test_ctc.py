"""CTC against all paths that there are, in NumPy: the loss, and both ways to decode."""

import itertools

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from rnn_jax.decoding import ctc_beam, ctc_greedy

pytestmark = pytest.mark.usefixtures("no_rank_promotion")

STEPS, BATCH, CLASSES = 4, (3, 2), 3


def log_softmax(logits):
    return logits - np.logaddexp.reduce(logits, -1, keepdims=True)


def merged(path, blank):
    """What a path says."""
    return tuple(label for label, _ in itertools.groupby(path) if label != blank)


def by_labels(logits, blank):
    """`{labels: log-probability}` of logits `(T, V)`, by adding up all V^T paths."""
    log_p, found = log_softmax(np.asarray(logits, np.float64)), {}
    for path in itertools.product(range(log_p.shape[-1]), repeat=len(log_p)):
        labels = merged(path, blank)
        of_path = sum(log_p[t, label] for t, label in enumerate(path))
        found[labels] = np.logaddexp(found.get(labels, -np.inf), of_path)
    return found


def after_ends(x, lengths, fill):
    """x `(T, *batch, ...)` with something else after the end of each sequence."""
    past = np.arange(len(x)).reshape(-1, *(1,) * lengths.ndim) >= lengths
    return np.where(past.reshape(past.shape + (1,) * (x.ndim - past.ndim)), fill, x)


class Drawn:
    """Logits, labels and lengths of every kind, with what must not matter in the padding."""

    def __init__(self, seed, blank=0):
        rng = np.random.default_rng(seed)
        self.blank = blank
        self.lengths = rng.integers(0, STEPS + 1, BATCH)
        self.label_lengths = rng.integers(0, 3, BATCH)
        logits = rng.normal(size=(STEPS, *BATCH, CLASSES)) * rng.uniform(0.1, 4)
        labels = rng.choice([v for v in range(CLASSES) if v != blank], (2, *BATCH))
        self.logits = after_ends(logits, self.lengths, np.nan)
        self.labels = after_ends(labels, self.label_lengths, 99)

    def loss(self, logits):
        return rnn.ctc_loss(logits, self.labels, self.lengths, self.label_lengths, self.blank)

    def alone(self):
        """`[(place, logits, labels)]` of each sequence without its padding."""
        return [
            (b, self.logits[: self.lengths[b], *b], self.labels[: self.label_lengths[b], *b])
            for b in np.ndindex(BATCH)
        ]


blanks = st.sampled_from([0, 2])
seeds = st.integers(0, 2**32 - 1)


# -- The loss ------------------------------------------------------------------------------------


@hypothesis.settings(max_examples=20)
@hypothesis.given(seeds, blanks)
def test_the_loss_adds_up_all_paths(seed, blank):
    drawn = Drawn(seed, blank)
    found = np.asarray(drawn.loss(drawn.logits))
    assert found.dtype == np.float64
    for b, logits, labels in drawn.alone():
        expected = -by_labels(logits, blank).get(tuple(labels.tolist()), -np.inf)
        assert found[b] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_gradients_know_nothing_of_padding():
    """Those of each sequence alone; zeros in the padding, and where there is no path at all."""
    drawn = Drawn(1)
    weights = np.arange(1.0, 7).reshape(BATCH)
    found = jax.grad(lambda logits: (weights * drawn.loss(logits)).sum())(drawn.logits)
    assert np.isinf(drawn.loss(drawn.logits)).any()
    assert (after_ends(np.zeros_like(found), drawn.lengths, found) == 0).all()
    for b, logits, labels in drawn.alone():
        if not len(logits):
            continue
        step = 1e-5
        for place in np.ndindex(logits.shape):
            ends = []
            for sign in (1, -1):
                moved = logits.copy()
                moved[place] += sign * step
                ends.append(by_labels(moved, 0).get(tuple(labels.tolist()), 0.0))
            expected = -weights[b] * (ends[0] - ends[1]) / (2 * step)
            assert found[(place[0], *b, place[1])] == pytest.approx(expected, abs=1e-7)


def test_a_long_and_poor_prediction_still_has_its_loss():
    """Label and blank have e^-30 a step, e^-300000 in all: less than what optax takes for zero."""
    steps = 10_000
    logits = jnp.broadcast_to(jnp.array([-30.0, -30.0, 0.0]), (steps, 3))
    # One label is said in one run: a path for each beginning and end.
    expected = 30 * steps - np.log(steps * (steps + 1) / 2)
    assert float(rnn.ctc_loss(logits, np.array([1]))) == pytest.approx(expected, rel=1e-9)


def test_what_costs_infinity_or_nan():
    logits = np.zeros((3, 4, 3))
    logits[0, 1, 1:] = -np.inf  # the first step can say no label
    labels = np.array([[1, 1, 1, 3], [1, 2, 2, 1]])
    found = np.asarray(rnn.ctc_loss(logits, labels, np.array([2, 2, 3, 3])))
    # 1 1 in two steps; 1 2 in the one step that is left; 1 2 in three; no class.
    assert found[:2].tolist() == [np.inf, np.inf]
    assert found[2] == pytest.approx(np.log(27 / 5))
    assert np.isnan(found[3])
    assert np.isnan(rnn.ctc_loss(logits[:, 0], np.array([1, 0])))  # a blank among the labels
    under_jit = jax.jit(lambda n: rnn.ctc_loss(logits, labels, n))(np.array([4, -1, 3, 3]))
    assert np.isnan(under_jit).tolist() == [True, True, False, True]


@pytest.mark.parametrize("dtype", ["bfloat16", pytest.param("float32", marks=pytest.mark.slow)])
def test_narrow_logits(dtype):
    with jax.enable_x64(False):
        logits = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), dtype)
        found = rnn.ctc_loss(logits, np.array([2], np.int8))
    assert found.dtype == jnp.float32
    expected = -by_labels(np.asarray(logits, np.float64), 0)[(2,)]
    assert float(found) == pytest.approx(expected, rel=1e-5)


# -- Decoding ------------------------------------------------------------------------------------


@hypothesis.settings(max_examples=30)
@hypothesis.given(seeds, blanks)
def test_the_labels_of_the_likeliest_path(seed, blank):
    drawn = Drawn(seed, blank)
    tokens, lengths = map(np.asarray, ctc_greedy(drawn.logits, drawn.lengths, blank))
    for b, logits, _ in drawn.alone():
        labels = merged(logits.argmax(-1).tolist(), blank)
        assert lengths[b] == len(labels)
        assert tokens[:, *b].tolist() == [*labels, *[blank] * (STEPS - len(labels))]


@hypothesis.settings(max_examples=20)
@hypothesis.given(seeds, blanks)
def test_a_wide_beam_finds_all_labels_with_their_probabilities(seed, blank):
    drawn = Drawn(seed, blank)
    found = ctc_beam(drawn.logits, 16, n_best=16, lengths=drawn.lengths, blank=blank)
    tokens, lengths, scores = map(np.asarray, found)
    for b, logits, _ in drawn.alone():
        every = sorted(by_labels(logits, blank).items(), key=lambda item: -item[1])
        assert scores[: len(every), *b] == pytest.approx([log_p for _, log_p in every], abs=1e-9)
        for n, (labels, _) in enumerate(every):
            assert lengths[n, *b] == len(labels)
            assert tokens[:, n, *b].tolist() == [*labels, *[blank] * (STEPS - len(labels))]
        assert (scores[len(every) :, *b] == -np.inf).all()
        assert (lengths[len(every) :, *b] == 0).all()


def prefix_search(logits, width):
    """Hannun et al. 2014 with a dictionary: `{labels: (by a blank, by its last label)}`."""
    beam = {(): (0.0, -np.inf)}
    for log_p in log_softmax(logits):
        after = {}

        def add(labels, by_blank=-np.inf, by_label=-np.inf, after=after):
            before = after.get(labels, (-np.inf, -np.inf))
            after[labels] = tuple(np.logaddexp(before, (by_blank, by_label)))

        for labels, (by_blank, by_label) in beam.items():
            both = np.logaddexp(by_blank, by_label)
            add(labels, by_blank=both + log_p[0])
            if labels:
                add(labels, by_label=by_label + log_p[labels[-1]])
            for label in range(1, len(log_p)):
                again = labels[-1:] == (label,)
                add((*labels, label), by_label=log_p[label] + (by_blank if again else both))
        best = sorted(after, key=lambda labels: -np.logaddexp(*after[labels]))[:width]
        beam = {labels: after[labels] for labels in best}
    return {labels: np.logaddexp(*both) for labels, both in beam.items()}


def test_a_narrow_beam_is_prefix_search(rng):
    logits = rng.normal(size=(12, 5, 4)) * 2
    tokens, lengths, scores = map(np.asarray, ctc_beam(logits, 4, n_best=4))
    for b in range(5):
        expected = prefix_search(logits[:, b], 4)
        for n, (labels, log_p) in enumerate(expected.items()):
            assert tuple(tokens[: lengths[n, b], n, b].tolist()) == labels
            assert scores[n, b] == pytest.approx(log_p)
    # At most what all paths have together.
    exact = -np.asarray(rnn.ctc_loss(logits, tokens[:, 0], label_lengths=lengths[0]))
    assert (scores[0] <= exact + 1e-12).all()
    assert (scores[0] < exact - 1e-6).any()


@pytest.mark.parametrize(
    "decode",
    [ctc_greedy, lambda logits, lengths: ctc_beam(logits, 16, n_best=16, lengths=lengths)],
    ids=["greedy", "beam"],
)
def test_what_is_nan_is_told(rng, decode):
    """The sequences beside it are what they are without it."""
    logits = rng.normal(size=(STEPS, *BATCH, CLASSES))
    lengths = np.full(BATCH, STEPS)
    alone = decode(logits, lengths)
    logits[1, 1, 1, 2] = np.nan
    found, there = decode(logits, lengths), np.isnan(logits).any((0, -1))
    assert ((np.asarray(found.tokens) == -1).any(0) == there).all()
    for one, other in zip(found, alone, strict=True):
        assert (one[..., ~there] == other[..., ~there]).all()


@pytest.mark.parametrize(
    "decode",
    [
        ctc_greedy,
        pytest.param(lambda x, n: ctc_beam(x, 2, lengths=n), marks=pytest.mark.slow),
    ],
    ids=["greedy", "beam"],
)
def test_what_is_no_length_has_no_labels(decode):
    """Under jit, where nothing can be raised."""
    logits = jnp.zeros((STEPS, 3, CLASSES)).at[..., 1].set(1)
    tokens = jax.jit(decode)(logits, np.array([4, 5, -1])).tokens
    assert (tokens == -1).any(0).ravel().tolist() == [False, True, True]
