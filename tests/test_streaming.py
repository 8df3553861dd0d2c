"""Streams in blocks."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from rnn_jax.serving import streaming
from tests.cases import assert_close, normal, params_of

MODEL = rnn.stack(rnn.LSTM(2, 3), rnn.residual(rnn.learned_carry(rnn.GRU(3, 3))))


@pytest.fixture
def params(key):
    return params_of(MODEL)


def test_a_stream_in_blocks_is_one_run(params, key):
    xs = normal((10, 2, 2))
    carry, ys = rnn.unroll(MODEL, params, xs)
    *blocks, (last, rest) = rnn.stream(MODEL, params, iter(xs), block=4)
    assert [len(out) for _, out in blocks] == [4, 4]
    assert len(rest) == 2
    assert_close(jnp.concatenate([*(out for _, out in blocks), rest]), ys, 1e-12)
    assert_close(last, carry, 1e-12)


def test_an_endless_stream_is_read_a_block_at_a_time_and_compiled_once(params):
    read = itertools.count()
    outputs = rnn.stream(
        MODEL, params, (jnp.full(2, float(next(read))) for _ in iter(int, 1)), block=3
    )
    before = streaming._unroll._cache_size()
    carries = [next(outputs)[0] for _ in range(4)]
    assert next(read) == 12
    assert streaming._unroll._cache_size() == before + 1
    assert not np.allclose(carries[0][0].h, carries[1][0].h)


def test_a_stream_that_ends_between_blocks_has_no_rest(params):
    assert len(list(rnn.stream(MODEL, params, jnp.ones((6, 2), jnp.float64), block=3))) == 2
    assert not list(rnn.stream(MODEL, params, [], block=3))


def test_a_wrong_block_is_named_before_the_first_step(params):
    with pytest.raises(rnn.ArgumentError, match="block must be a positive integer, got 0"):
        rnn.stream(MODEL, params, [], block=0)


WIDE = 2**16  # so much that the next step arrives before this one is computed


@pytest.mark.parametrize("offset", [0, 8])
@pytest.mark.parametrize("block", [1, 3])
def test_an_array_of_numpy_may_be_filled_anew_for_each_step(key, block, offset):
    cell = rnn.Elman(WIDE, 2)
    params = cell.init(key)
    xs = np.random.default_rng(0).normal(size=(9, WIDE)).astype(np.float32)
    memory = np.zeros(4 * WIDE + 128, np.uint8)
    start = -memory.ctypes.data % 64 + offset  # 0: where JAX may read without a copy of its own
    microphone = memory[start : start + 4 * WIDE].view(np.float32)

    def record():
        for x in xs:
            microphone[:] = x
            yield microphone

    heard = [ys for _, ys in rnn.stream(cell, params, record(), block=block)]
    np.testing.assert_allclose(jnp.concatenate(heard), rnn.unroll(cell, params, xs)[1], atol=1e-4)


def test_a_carry_of_numpy_is_that_of_the_call(params):
    carry = jax.tree.map(np.array, MODEL.initial_carry(params))
    outputs = rnn.stream(MODEL, params, jnp.ones((4, 2), jnp.float64), carry, block=4)
    jax.tree.map(lambda c: c.fill(9.0), carry)
    assert_close(next(outputs)[1], rnn.unroll(MODEL, params, jnp.ones((4, 2), jnp.float64))[1])


@pytest.mark.parametrize("block", [1, 3])
def test_a_step_of_jax_lives_until_its_block_has_run(params, block):
    after = jax.jit(lambda x: x + 1, donate_argnums=0)
    states = itertools.accumulate(itertools.repeat(jnp.zeros(2), 6), lambda x, _: after(x))
    outputs = rnn.stream(MODEL, params, states, block=block)
    if block == 1:
        assert len(list(outputs)) == 6
    else:
        with pytest.raises(rnn.ArgumentError, match="step 0 of a block of 3 was donated"):
            next(outputs)
