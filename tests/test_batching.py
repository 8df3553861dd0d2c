"""However sequences are laid into batches, each is there once, in order, and learns the same."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rnn_jax as rnn
from rnn_jax import batching
from tests.cases import assert_close, params_of

pytestmark = pytest.mark.usefixtures("no_rank_promotion")

LENGTHS = st.lists(st.integers(0, 9), min_size=1, max_size=14)
RNGS = st.none() | st.builds(np.random.default_rng, st.integers(0, 5))


def tagged(lengths):
    """Pairs of tokens `(n,)` and features `(n, 2)`; no number other than 0 comes twice."""
    numbers = itertools.count(1)
    tokens = [np.array(list(itertools.islice(numbers, n)), np.int32) for n in lengths]
    return [(own, np.stack([own, -own], axis=1) / 2) for own in tokens]


def pieces(batch):
    """The sequences that `unroll` would see, by the meaning of its marks."""
    tokens, features = batch.xs
    marks = {name: np.asarray(mark) for name, mark in batch.marks.items()}
    everywhere = np.ones(tokens.shape, bool)
    valid = marks.get("mask", everywhere).copy()
    if "lengths" in marks:
        valid &= np.arange(len(tokens))[:, None] < marks["lengths"]
    np.testing.assert_array_equal(valid, batch.mask)
    assert not tokens[~valid].any()
    assert not features[~valid].any()
    np.testing.assert_array_equal(features, np.stack([tokens, -tokens], axis=-1) / 2)
    for row in range(tokens.shape[1]):
        piece = []
        for t in range(len(tokens)):
            if marks.get("reset", ~everywhere)[t, row] and piece:
                yield piece
                piece = []
            if valid[t, row]:
                piece.append(int(tokens[t, row]))
        if piece:
            yield piece


def check(sequences, batches):
    """Every sequence comes once, whole and in order, is found by its index, and nothing else."""
    found = sorted(piece for batch in batches for piece in pieces(batch))
    assert found == [tokens.tolist() for tokens, _ in sequences if len(tokens)]
    split = [item for batch in batches for item in batch.split(batch.xs).items()]
    assert len(dict(split)) == len(split)
    for index, own in split:
        jax.tree.map(np.testing.assert_array_equal, own, sequences[index])
    return dict(split)


@given(lengths=LENGTHS, extra=st.none() | st.integers(1, 3))
def test_padding_holds_every_sequence_once(lengths, extra):
    sequences = tagged(lengths)
    length = None if extra is None else max(lengths) + extra
    batch = batching.pad(sequences, length)
    assert check(sequences, [batch]).keys() == set(range(len(sequences)))
    assert batch.xs[1].shape == (max(lengths) if length is None else length, len(lengths), 2)
    assert batch.xs[0].dtype == np.int32


@given(lengths=LENGTHS, number=st.integers(1, 4), batch_size=st.integers(1, 5), rng=RNGS)
def test_buckets_hold_every_sequence_once_in_one_shape_a_bucket(lengths, number, batch_size, rng):
    sequences = tagged(lengths)
    ends = batching.boundaries(lengths, number, batch_size)
    for buckets in (number, ends, [3, *range(9, 8 + number)]):
        if buckets is not number and buckets[-1] < max(lengths):
            continue
        batches = list(batching.bucket(sequences, buckets, batch_size, rng))
        assert check(sequences, batches).keys() == set(range(len(sequences)))
        shapes = {batch.xs[0].shape for batch in batches}
        known = ends if buckets is number else buckets
        assert shapes <= {(end, batch_size) for end in known}
        for batch in batches:
            shorter = [end for end in known if end < len(batch.xs[0])]
            assert (batch.lengths[batch.indices >= 0] > max(shorter, default=-1)).all()


@given(
    lengths=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20),
    number=st.integers(1, 4),
    batch_size=st.integers(1, 5),
    rng=RNGS,
)
def test_buckets_of_pairs_hold_every_pair_once_each_side_no_longer_than_its_bucket(
    lengths, number, batch_size, rng
):
    sides = [tagged(side) for side in zip(*lengths, strict=True)]
    batches = list(batching.bucket_pairs(*sides, number, batch_size, rng))
    for sequences, own in zip(sides, zip(*batches, strict=True), strict=True):
        assert check(sequences, own).keys() == set(range(len(lengths)))
    shapes = {}
    for source, target in batches:
        np.testing.assert_array_equal(source.indices, target.indices)
        shapes.setdefault((len(source.xs[0]), len(target.xs[0])), []).append((source, target))
    assert len(shapes) <= number
    for ends, own in shapes.items():
        for end, side in zip(ends, zip(*own, strict=True), strict=True):
            assert end == max(1, *(batch.lengths.max() for batch in side))


@given(lengths=LENGTHS, spare=st.integers(1, 9), batch_size=st.integers(1, 5), rng=RNGS)
def test_packing_holds_every_sequence_once_in_one_shape(lengths, spare, batch_size, rng):
    sequences = tagged(lengths)
    length = max(lengths) + spare
    batches = list(batching.pack(sequences, length, batch_size, rng))
    assert check(sequences, batches).keys() == {i for i, n in enumerate(lengths) if n}
    assert {batch.xs[0].shape for batch in batches} <= {(length, batch_size)}
    rows = sum(int(batch.reset[0].sum()) for batch in batches)
    assert len(batches) == -(-rows // batch_size)
    assert rows == best_fit_decreasing(lengths, length)


def best_fit_decreasing(lengths, length):
    """The number of rows, by looking at every row for every sequence."""
    free = []
    for n in sorted(filter(None, lengths), reverse=True):
        fits = [row for row, space in enumerate(free) if space >= n]
        row = min(fits, key=lambda row: free[row]) if fits else len(free)
        free[row:] = free[row:] or [length]
        free[row] -= n
    return len(free)


def test_johnsons_example_is_packed_without_a_wasted_step():
    """In the order of arrival, first fit takes 17 rows; the best packing takes 10."""
    lengths = [6] * 7 + [10] * 7 + [16] * 3 + [34] * 10 + [51] * 10
    (batch,) = batching.pack(tagged(lengths), length=101, batch_size=10)
    assert batch.mask.all()


def test_a_sequence_goes_to_the_fullest_row_that_holds_it():
    """The 3 to the 5; with the 4, which leaves more room, it would cost the 2s a third row."""
    (batch,) = batching.pack(tagged([2, 2, 3, 4, 5]), length=8, batch_size=2)
    assert batch.mask.all()


@given(
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=9),
    number=st.integers(1, 4),
    batch_size=st.integers(1, 3),
)
def test_no_other_boundaries_compute_fewer_steps(lengths, number, batch_size):
    def steps(ends):
        homes = np.searchsorted(ends, lengths)
        filled = [-(-np.sum(homes == k) // batch_size) * batch_size for k in range(len(ends))]
        return np.dot(filled, ends)

    longest = max(*lengths, 1)
    others = [
        [*below, longest]
        for size in range(number)
        for below in itertools.combinations(range(1, longest), size)
    ]
    ends = batching.boundaries(lengths, number, batch_size)
    assert ends[-1] == longest
    assert len(ends) <= number
    assert steps(ends) == min(map(steps, others))


def test_the_generator_alone_decides_which_sequences_share_a_batch():
    sequences = tagged([3] * 20 + [5] * 20)
    for make in (
        lambda rng: batching.bucket(sequences, 2, 4, rng),
        lambda rng: batching.pack(sequences, 11, 4, rng),
    ):
        orders = [
            [list(batch.split(batch.xs)) for batch in make(rng and np.random.default_rng(rng))]
            for rng in (None, 1, 1, 2)
        ]
        assert orders[1] == orders[2]
        for one, other in itertools.combinations([orders[0], *orders[2:]], 2):
            assert {frozenset(batch) for batch in one} != {frozenset(batch) for batch in other}
    (shapes, same) = (
        [b.xs[0].shape for b in batching.bucket(sequences, 2, 4, rng)]
        for rng in (np.random.default_rng(0), None)
    )
    assert shapes != same == sorted(shapes)


# -- Training ------------------------------------------------------------------------------------

MODEL = rnn.stack(rnn.Embedding(6, 2), rnn.Elman(2, 3), rnn.Dense(3, 1))


def loss(params, batch):
    """Of inputs and targets that travel together: a sum over the steps that exist."""
    inputs, targets = batch.xs
    _, ys = rnn.unroll(MODEL, params, inputs, **batch.marks)
    return jnp.sum(jnp.square(ys[..., 0] - targets), where=batch.mask)


def test_every_batching_has_the_loss_and_the_gradient_of_the_sequences_alone():
    rng = np.random.default_rng(0)
    sequences = [(rng.integers(0, 6, n), rng.normal(size=n)) for n in (4, 1, 5, 0, 1, 4, 1)]
    params = params_of(MODEL)

    def alone(params, xs, targets):
        _, ys = rnn.unroll(MODEL, params, xs)
        return jnp.sum(jnp.square(ys[:, 0] - targets))

    one = jax.jit(jax.value_and_grad(alone))
    values = [one(params, xs, targets) for xs, targets in sequences]
    expected = jax.tree.map(lambda *terms: sum(terms), *values)
    for shapes, batches in (
        (1, [batching.pad(sequences)]),
        (2, batching.bucket(sequences, 2, 2)),
        (1, batching.pack(sequences, 6, 2)),
    ):
        step = batching.jit_at_most(jax.value_and_grad(loss), shapes)
        values = [step(params, batch) for batch in batches]
        assert len(values) >= shapes == step._cache_size()
        assert_close(jax.tree.map(lambda *terms: sum(terms), *values), expected, 1e-12)


def test_split_gives_each_sequence_its_own_outputs():
    """Of a jitted function, as arrays of a device, and in any pytree."""
    sequences = [np.arange(n, dtype=np.float32) + 10 * n for n in (3, 1, 4, 2, 4)]
    run = jax.jit(lambda batch: {"twice": 2 * batch.xs})
    for batches in (batching.bucket(sequences, 2, 2), batching.pack(sequences, 6, 2)):
        found = {}
        for batch in batches:
            found |= jax.device_put(batch).split(run(batch))
        for index, own in enumerate(sequences):
            np.testing.assert_array_equal(found[index]["twice"], 2 * own)


# -- The guard -----------------------------------------------------------------------------------


def test_one_shape_more_than_buckets_is_refused_by_name():
    sequences = tagged([2, 3, 7, 8])
    step = batching.jit_at_most(lambda scale, batch: scale * batch.xs[1].max(), 2)
    for batch in [*batching.bucket(sequences, 2, 2), *batching.bucket(sequences[::-1], 2, 2)]:
        step(jnp.ones(()), batch)
    with pytest.raises(rnn.ShapeError) as caught:
        step(jnp.ones(()), batching.pad(sequences[:2], 5))
    message = str(caught.value)
    assert "<lambda> would be compiled once more, but 2 are allowed" in message
    assert "  batch.xs[0]: int32[5,2], before int32[3,2] and int32[8,2]\n" in message
    assert "batch.lengths" not in message, "what stayed the same is not named"
    assert "scale" not in message
    assert step(jnp.ones(()), batching.pad(sequences[2:], 8)) > 0, "what is compiled still runs"


def test_a_refused_compilation_names_what_differs_beside_shapes():
    step = batching.jit_at_most(lambda x, y=None, mode=1: x, 1, static_argnames="mode")
    step(jnp.ones(3))
    for arguments, difference in (
        ((jnp.ones(3), jnp.ones(2)), "  y: float64[2], before absent\n"),
        ((jnp.ones(3), None, 2), "  mode: 2, before absent\n"),
        ((1.0,), "  x: ~float64[], before float64[3]\n"),
        ((jnp.ones(3, jnp.float32),), "  x: float32[3], before float64[3]\n"),
    ):
        with pytest.raises(rnn.ShapeError) as caught:
            step(*arguments)
        assert difference in str(caught.value)


def test_known_shapes_in_a_new_combination_are_named():
    step = batching.jit_at_most(lambda x, y: None, 2)
    step(jnp.ones(1), jnp.ones(2))
    step(jnp.ones(3), jnp.ones(4))
    with pytest.raises(rnn.ShapeError, match=r"x: float64\[1\], before .*\n  y: float64\[4\], bef"):
        step(jnp.ones(1), jnp.ones(4))


def test_a_failed_trace_is_no_compilation():
    @jax.tree_util.Partial
    def add(x, y):
        return x + y

    step = batching.jit_at_most(add, 1)
    with pytest.raises(TypeError):
        step(jnp.ones(3), jnp.ones(2))
    assert step(jnp.ones(3), jnp.ones(3)).shape == (3,)


# -- Mistakes ------------------------------------------------------------------------------------

ONE = np.zeros(3)


@pytest.mark.parametrize(
    ("mistake", "error", "says"),
    [
        (lambda: batching.pad([]), rnn.ArgumentError, "there are no sequences"),
        (lambda: batching.pad([ONE, [1, 2]]), rnn.StructureError, r"sequences\[1\] must be an arr"),
        (lambda: batching.pad([ONE, ()]), rnn.StructureError, r"sequences\[1\] must be an array"),
        (lambda: batching.pad([np.zeros(())]), rnn.ShapeError, "axis 0 is time"),
        (lambda: batching.pad([(ONE, ONE[1:])]), rnn.ShapeError, "arrays of 2 and 3 steps"),
        (lambda: batching.pad([ONE, (ONE,)]), rnn.StructureError, r"sequences\[1\] has another s"),
        (lambda: batching.pad([ONE, ONE[:, None]]), rnn.ShapeError, r"\(1,\).*expected \[\(\)\]"),
        (lambda: batching.pad([ONE, ONE > 0]), rnn.DtypeError, "bool.*expected .*float64"),
        (
            lambda: batching.pad([ONE], 2),
            rnn.ArgumentError,
            r"ces\[0\] has 3 steps, but .* 2",
        ),
        (lambda: batching.pad([ONE], 0), rnn.ArgumentError, "length must be a positive integer"),
        (lambda: batching.bucket([ONE], [2], 1), rnn.ArgumentError, "add a bucket"),
        (lambda: batching.bucket_pairs([ONE], [ONE, ONE], 1, 1), rnn.ArgumentError, "1 sources"),
        (lambda: batching.bucket([ONE], [3, 3], 1), rnn.ArgumentError, "increasing .*got \\[3, 3"),
        (lambda: batching.bucket([ONE], [], 1), rnn.ArgumentError, "increasing positive"),
        (lambda: batching.bucket([ONE], [0, 3], 1), rnn.ArgumentError, "increasing positive"),
        (lambda: batching.bucket([ONE], [3.5], 1), rnn.ArgumentError, "increasing positive"),
        (lambda: batching.bucket([ONE], 0, 1), rnn.ArgumentError, "buckets must be a positive"),
        (lambda: batching.bucket([ONE], 1, 0), rnn.ArgumentError, "batch_size must be"),
        (lambda: batching.pack([ONE], 3, 0), rnn.ArgumentError, "batch_size must be"),
        (lambda: batching.pack([ONE] * 5, 2, 1), rnn.ArgumentError, "and 2 more.*take length=3"),
        (lambda: batching.jit_at_most(len, 0), rnn.ArgumentError, "compilations must be"),
    ],
)
def test_a_mistake_is_named_before_the_first_batch_is_made(mistake, error, says):
    with pytest.raises(error, match=says):
        mistake()
