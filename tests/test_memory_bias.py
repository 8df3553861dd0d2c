"""What the memory's gates start with: the draws, and where each cell puts them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn

KEY = jax.random.key(0)
CHRONO = rnn.Chrono(longest=784)


def biases(cell, gates, dtype=jnp.float64):
    """`b_h` of fresh params, a row for each gate."""
    return np.asarray(cell.init(KEY, dtype).b_h).reshape(gates, -1)


def test_chrono_draws_spans_uniformly_up_to_the_longest():
    size = 20_000
    remember, write = CHRONO(KEY, size, jnp.float64)
    u = np.sort(np.exp(np.asarray(remember)))
    assert 1 <= u[0] < 1.5
    assert 782.5 < u[-1] <= 783
    # Kolmogorov and Smirnov: beyond 1.63 / sqrt(n), one draw in a hundred of the true law.
    distance = np.abs((u - 1) / 782 - np.arange(size) / size).max()
    assert distance < 1.63 / np.sqrt(size)
    assert (write == -remember).all()


def test_chrono_of_longest_three_draws_from_one_to_two():
    remember, _ = rnn.Chrono(longest=3)(KEY, 1000, jnp.float64)
    assert 0 <= remember.min() < 0.01
    assert jnp.log(1.99) < remember.max() <= jnp.log(2)


def test_a_narrow_dtype_holds_the_draw_of_a_wide_one():
    narrow, write = CHRONO(KEY, 256, jnp.bfloat16)
    wide, _ = CHRONO(KEY, 256, jnp.float32)
    assert (narrow == wide.astype(jnp.bfloat16)).all()
    assert (write == -narrow).all()


@pytest.mark.parametrize(
    "cell", [rnn.LSTM(2, 5), rnn.LayerNormLSTM(2, 5), rnn.ProjectedLSTM(2, 5, 3)], ids=repr
)
def test_an_lstm_remembers_at_f_and_writes_at_i(cell):
    none = np.zeros(5)
    assert (biases(cell, 4) == [none, none + 1, none, none]).all()
    i, f, g, o = biases(dataclasses.replace(cell, memory_bias=CHRONO), 4)
    assert len(set(f)) == 5
    assert (f > 0).all()
    assert (i == -f).all()
    assert (g == 0).all()
    assert (o == 0).all()


@pytest.mark.parametrize(
    "cell", [rnn.GRU(2, 5), rnn.ResetBeforeGRU(2, 5), rnn.LayerNormGRU(2, 5)], ids=repr
)
def test_a_gru_remembers_at_z(cell):
    assert (biases(cell, 3) == 0).all()
    r, z, n = biases(dataclasses.replace(cell, memory_bias=CHRONO), 3)
    assert len(set(z)) == 5
    assert (z > 0).all()
    assert (r == 0).all()
    assert (n == 0).all()


def test_an_mgu_remembers_where_f_is_low():
    assert (biases(rnn.MGU(2, 5), 2) == 0).all()
    f, n = biases(rnn.MGU(2, 5, memory_bias=CHRONO), 2)
    assert (f < 0).all()
    assert (n == 0).all()


@pytest.mark.parametrize("kind", [rnn.LSTM, rnn.GRU, rnn.MGU])
def test_a_unit_left_alone_forgets_over_the_span_that_was_drawn(kind):
    """Without input and recurrent weights, the memory is `(1 - 1 / span)^t` of what it was."""
    cell = kind(1, 6, memory_bias=rnn.Chrono(longest=50))
    params = cell.init(KEY, jnp.float64)
    remember, _ = cell.memory_biases(KEY, jnp.float64)
    span = 1 + jnp.exp(remember)
    assert 2 <= span.min() < span.max() <= 50
    params = params._replace(w_xh=0 * params.w_xh, w_hh=0 * params.w_hh)
    carry = jax.tree.map(jnp.ones_like, cell.initial_carry(params))
    last, _ = rnn.unroll(cell, params, jnp.zeros((20, 1), jnp.float64), carry)
    memory = last.c if kind is rnn.LSTM else last.h
    np.testing.assert_allclose(memory, (1 - 1 / span) ** 20, rtol=1e-12)


@pytest.mark.parametrize("kind", [rnn.LSTM, rnn.GRU, rnn.MGU, rnn.LayerNormLSTM])
def test_the_weights_do_not_depend_on_the_memory_bias(kind):
    one, other = kind(2, 3).init(KEY), kind(2, 3, memory_bias=CHRONO).init(KEY)
    assert (one.w_xh == other.w_xh).all()
    assert (one.w_hh == other.w_hh).all()


def test_a_memory_bias_is_a_value():
    assert rnn.Chrono(longest=784) == CHRONO != rnn.Chrono(longest=783)
    assert hash(rnn.Chrono(longest=784)) == hash(CHRONO)
    assert rnn.ForgetBias(1) == rnn.ForgetBias(1.0) != rnn.ForgetBias(0.0)
    assert rnn.LSTM(2, 3) == rnn.LSTM(2, 3, memory_bias=rnn.ForgetBias(1.0))
    assert rnn.LSTM(2, 3, memory_bias=CHRONO) == rnn.LSTM(2, 3, memory_bias=rnn.Chrono(784))
    assert len({rnn.GRU(2, 3), rnn.GRU(2, 3, memory_bias=CHRONO), rnn.GRU(2, 3)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        CHRONO.longest = 3
