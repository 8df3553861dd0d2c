"""The tasks are what their papers say: targets derived again, chance levels found by playing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from rnn_jax import tasks

pytestmark = pytest.mark.usefixtures("no_rank_promotion")

ALL = [tasks.adding, tasks.temporal_order, tasks.copy_memory, tasks.delayed_xor]
every_task = pytest.mark.parametrize("task", ALL, ids=lambda task: task.__name__)


@functools.cache
def compiled(task):
    return jax.jit(task, static_argnames=("length", "batch_size", "dtype"))


def drawn_of(task, length, batch, seed=0):
    return compiled(task)(jax.random.key(seed), length=length, batch_size=batch)


def draw(task, length, batch, seed=0):
    drawn = drawn_of(task, length, batch, seed)
    return np.asarray(drawn.xs), np.asarray(drawn.targets)


@pytest.mark.parametrize("length", [2, 3, 40])
def test_adding_marks_one_number_of_each_half_and_asks_for_their_sum(length):
    xs, targets = draw(tasks.adding, length, 200)
    assert xs.shape == (length, 200, 2)
    assert set(np.unique(xs[..., 1])) <= {0, 1}
    for b, target in enumerate(targets):
        first, second = np.flatnonzero(xs[:, b, 1])
        assert first < length // 2 <= second
        assert target == xs[first, b, 0] + xs[second, b, 0]


@pytest.mark.parametrize("length", [10, 37])
def test_temporal_order_asks_for_the_order_of_two_symbols_in_their_tenths(length):
    xs, targets = draw(tasks.temporal_order, length, 200)
    assert xs.shape == (length, 200, 6)
    assert (np.sort(xs, axis=-1) == [0, 0, 0, 0, 0, 1]).all()
    for b, target in enumerate(targets):
        symbols = xs[:, b].argmax(-1)
        first, second = np.flatnonzero(symbols < 2)
        assert length // 10 <= first < 2 * length // 10
        assert 5 * length // 10 <= second < 6 * length // 10
        names = "AB"[symbols[first]] + "AB"[symbols[second]]
        assert ["AA", "AB", "BA", "BB"][target] == names


@pytest.mark.parametrize(("length", "symbols", "copied"), [(1, 8, 10), (2, 2, 1), (30, 5, 10)])
def test_copy_memory_asks_for_some_symbols_after_the_sign(length, symbols, copied):
    drawn = tasks.copy_memory(jax.random.key(0), length, 5, symbols=symbols, copied=copied)
    xs, targets, repeated = map(np.asarray, drawn)
    assert xs.shape == (length + 2 * copied, 5, symbols + 2)
    shown, blank, go = xs.argmax(-1), symbols, symbols + 1
    assert xs.sum() == xs[..., 0].size
    assert (shown[:copied] < symbols).all()
    assert (shown[copied:] == blank).sum() == 5 * (length + copied - 1)
    assert (shown[length + copied - 1] == go).all()
    assert (targets[: length + copied] == blank).all()
    assert (targets[length + copied :] == shown[:copied]).all()
    assert (repeated == shown[:copied]).all()


def test_copy_memory_is_by_default_that_of_the_unitary_networks():
    drawn = tasks.copy_memory(jax.random.key(0), 30, 2)
    assert drawn.xs.shape == (50, 2, 10)
    assert drawn.shown.shape == (10, 2)


@pytest.mark.parametrize("delays", [(4,), (2, 5), [1, 3, 6]])
def test_delayed_xor_asks_for_the_parity_of_past_bits(delays):
    drawn = tasks.delayed_xor(jax.random.key(0), 7, 50, delays=delays)
    bits, targets = np.asarray(drawn.xs)[..., 0], np.asarray(drawn.targets)
    assert bits.shape == (7 + delays[-1], 50)
    assert set(np.unique(bits)) == {0, 1}
    for i, row in enumerate(targets):
        t = i + delays[-1]
        np.testing.assert_array_equal(row, sum(bits[t - d] for d in delays) % 2)


def test_adding_has_its_chance_level():
    drawn = drawn_of(tasks.adding, 2, 100_000)
    error = np.mean((np.asarray(drawn.targets, np.float64) - 1) ** 2)
    assert drawn.chance == 1 / 6
    assert abs(error - drawn.chance) < 0.004
    assert abs(np.mean(drawn.targets) - 1) < 0.004


def test_temporal_order_has_its_chance_level():
    """And the second symbol alone leaves two answers that are as likely."""
    drawn = drawn_of(tasks.temporal_order, 10, 40_000)
    share = np.bincount(drawn.targets, minlength=4) / 40_000
    assert abs(-np.mean(np.log(share[np.asarray(drawn.targets)])) - drawn.chance) < 1e-3
    assert np.abs(share - 1 / 4).max() < 0.01
    of_second = np.bincount(drawn.targets[np.asarray(drawn.xs)[5, :, 0] == 1], minlength=4)
    assert np.abs(of_second / of_second.sum() - [0.5, 0, 0.5, 0]).max() < 0.01


@pytest.mark.parametrize(("symbols", "copied"), [(8, 10), (2, 5)])
def test_copy_memory_has_its_chance_level(symbols, copied):
    """Of one who knows all but the symbols."""
    drawn = tasks.copy_memory(jax.random.key(0), 30, 2000, symbols=symbols, copied=copied)
    last = np.asarray(drawn.targets)[-copied:]
    share = np.bincount(last.ravel(), minlength=symbols) / last.size
    guessed = -np.log(share[last]).sum() / drawn.targets.size
    assert drawn.chance == pytest.approx(copied * np.log(symbols) / (30 + 2 * copied))
    assert abs(guessed - drawn.chance) < 1e-3


def test_delayed_xor_has_its_chance_level():
    """Also of one who knows one of its two bits."""
    drawn = tasks.delayed_xor(jax.random.key(0), 50, 2000, delays=(3, 8))
    targets, known = np.asarray(drawn.targets), np.asarray(drawn.xs)[5:-3, :, 0]
    assert drawn.chance == np.log(2)
    assert abs(targets.mean() - 0.5) < 0.01
    assert abs((targets == known).mean() - 0.5) < 0.01


@every_task
def test_tasks_run_under_jit_in_the_dtype_asked_for(task):
    drawn = task(jax.random.key(3), 12, 3)
    again = drawn_of(task, 12, 3, seed=3)
    assert drawn.xs.dtype == jnp.float32
    assert all((a == b).all() for a, b in zip(drawn, again, strict=True))
    assert type(again.chance) is float
    assert again.chance == drawn.chance
    half = compiled(task)(jax.random.key(3), length=12, batch_size=3, dtype=jnp.bfloat16)
    assert half.xs.dtype == jnp.bfloat16


@every_task
def test_another_key_is_another_batch(task):
    assert (draw(task, 12, 3, seed=0)[0] != draw(task, 12, 3, seed=1)[0]).any()


@pytest.mark.parametrize(
    ("task", "length"), [(tasks.adding, 1), (tasks.temporal_order, 9), (tasks.copy_memory, 0)]
)
def test_impossible_lengths_are_named(task, length):
    with pytest.raises(rnn.ArgumentError, match=f"length must be .*, got {length}"):
        task(jax.random.key(0), length, 3)


@every_task
@pytest.mark.parametrize("sizes", [(-3, 2), (20, 0), (20, 2.0), (20, True)], ids=str)
def test_impossible_sizes_are_named(task, sizes):
    with pytest.raises(rnn.ArgumentError, match=r"must be an? (positive )?integer"):
        task(jax.random.key(0), *sizes)
