"""A batch in parts, one after the other: the numbers of the whole, in the memory of a part."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnn_jax as rnn
from rnn_jax.training import accumulate
from tests.cases import assert_close, params_of

WINDOW, BATCH = 6, 4
CELL = rnn.learned_carry(rnn.LSTM(3, 5))


def squares(ys, targets):
    return jnp.square(ys - targets).sum(-1)


def trained(parts, stride, marks, windows, key=None):
    """The state and the metrics after some windows."""
    trainer = rnn.truncated_bptt(
        CELL, squares, optax.sgd(0.1), window=WINDOW, stride=stride, parts=parts
    )

    @jax.jit
    def run(params, windows):
        state = trainer.init(params, (BATCH,))
        for xs, targets in windows:
            state, metrics = trainer.update(state, xs, targets, key=key, **marks)
        return state, metrics

    return run(params_of(CELL), windows)


@pytest.mark.parametrize("stride", [pytest.param(WINDOW, marks=pytest.mark.slow), 4])
def test_parts_learn_what_the_whole_learns(rng, stride):
    """With gaps, of which some rows have many and one has nothing else, and with beginnings."""
    mask = rng.random((WINDOW, BATCH)) < 0.6
    mask[:, 1] = False
    marks = {"mask": jnp.asarray(mask), "reset": jnp.asarray(rng.random((WINDOW, BATCH)) < 0.2)}
    windows = [
        (rng.normal(size=(WINDOW, BATCH, 3)), rng.normal(size=(WINDOW, BATCH, 5))) for _ in range(2)
    ]
    expected = trained(1, stride, marks, windows)
    for parts in (2, 4):
        assert_close(trained(parts, stride, marks, windows), expected, 1e-10)


def test_a_window_in_which_nothing_happens_has_no_loss(rng):
    marks = {"mask": jnp.zeros((WINDOW, BATCH), bool)}
    window = rng.normal(size=(WINDOW, BATCH, 3)), rng.normal(size=(WINDOW, BATCH, 5))
    _, metrics = trained(2, WINDOW, marks, [window])
    assert (metrics.loss, metrics.grad_norm) == (0, 0)


def test_each_part_draws_noise_of_its_own():
    """A layer that drops half of the ones it reads: two parts of one row must differ."""
    layer = rnn.Dropout(64, 0.5)
    seen = []

    def watch(ys, _):
        jax.debug.callback(lambda ys: seen.append(np.asarray(ys)), ys)
        return ys.sum(-1)

    trainer = rnn.truncated_bptt(layer, watch, optax.sgd(0.0), window=1, parts=2)
    state = trainer.init(layer.init(jax.random.key(0)), (2,))
    jax.block_until_ready(trainer.update(state, jnp.ones((1, 2, 64)), None, key=jax.random.key(1)))
    jax.effects_barrier()
    assert len(seen) == 2
    assert (seen[0] != seen[1]).any()


def test_parts_need_the_memory_of_one():
    xs = jax.ShapeDtypeStruct((64, 32, 16), jnp.float32)
    cell = rnn.LSTM(16, 32)
    params = jax.eval_shape(cell.init, jax.random.key(0))

    def loss(params, xs):
        return jnp.mean(jnp.square(rnn.unroll(cell, params, xs, method=rnn.Scan())[1]))

    def temporaries(parts):
        grads = accumulate(jax.grad(loss), parts, (None, 1))
        return jax.jit(grads).lower(params, xs).compile().memory_analysis().temp_size_in_bytes

    assert temporaries(8) < temporaries(1) / 4


def test_a_mean_is_weighed_by_a_count_of_any_size():
    """Counts below 1, and a mean of integers, which is none."""
    xs = jnp.array([[1, 2, 3, 6]])
    weights = jnp.array([0.1, 0.2, 0.1, 0.0])
    mean = accumulate(
        lambda xs, w: jnp.sum(xs.astype(float) * w) / jnp.sum(w),
        2,
        (1, 0),
        count=lambda xs, w: jnp.sum(w),
    )
    np.testing.assert_allclose(mean(xs, weights), 0.8 / 0.4, rtol=1e-6)
    found = accumulate(lambda xs: jnp.max(xs), 2, (1,))(xs)
    assert (found, found.dtype) == (4.5, jnp.float32)


@settings(max_examples=6)
@given(st.data())
def test_rows_come_back_in_their_places(data):
    parts, rows = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    axis, out = data.draw(st.integers(-2, 1)), data.draw(st.integers(-2, 1))
    shape = [3, 3]
    shape[axis] = parts * rows
    xs = np.arange(np.prod(shape)).reshape(shape)

    def f(x):
        return jnp.moveaxis(x, axis, out), jnp.mean(x, axis)

    found, mean = accumulate(f, parts, (axis,), (out, None))(jnp.asarray(xs))
    np.testing.assert_array_equal(found, np.moveaxis(xs, axis, out))
    np.testing.assert_allclose(mean, xs.mean(axis), rtol=1e-6)
