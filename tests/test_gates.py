"""Gates in their tails, where a long memory is decided; and memories of half precision."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rnn_jax as rnn
from rnn_jax.arithmetic import gate, sigmoid

EPSILON = float(jnp.finfo(jnp.float32).eps)


def exact(x):
    """The logistic function and its derivative, in float64 by the tail that is small."""
    odds = np.exp(-abs(np.float64(x)))
    small, slope = odds / (1 + odds), odds / np.square(1 + odds)
    return (small if x < 0 else 1 / (1 + odds)), slope


@jax.jit
def gate_and_slope(x):
    return jax.value_and_grad(sigmoid)(x)


@given(x=st.floats(-80, 80, width=32))
def test_a_gate_and_its_derivative_are_exact_to_the_last_digits_in_both_tails(x):
    # The exponential itself has a relative error of a few digits where it is small.
    np.testing.assert_allclose(gate_and_slope(jnp.float32(x)), exact(x), rtol=8 * EPSILON)


@jax.jit
def mixed(x, one, other):
    return jax.value_and_grad(lambda x: gate(x).blend(one, other))(x)


@given(x=st.floats(-80, 80, width=32))
def test_a_blend_moves_by_the_small_side(x):
    value, slope = map(np.asarray, mixed(jnp.float32(x), jnp.float32(1), jnp.float32(0)))
    share, steep = exact(x)
    assert abs(value - share) <= 2 * EPSILON * (1 if x > 0 else share * 4)
    np.testing.assert_allclose(slope, steep, rtol=8 * EPSILON)
    # From 0 towards 1 a step is as small as the gate is.
    value, _ = map(np.asarray, mixed(jnp.float32(x), jnp.float32(0), jnp.float32(1)))
    assert abs(value - exact(-x)[0]) <= 2 * EPSILON * (1 if x < 0 else exact(-x)[0] * 4)


def test_a_gate_without_a_preactivation_has_a_derivative():
    # As every one that starts without a bias: |x| has none at 0.
    zero, two = jnp.zeros(()), jnp.full((), 2.0)
    assert jax.grad(lambda x: gate(x).share())(zero) == 0.25
    assert jax.grad(lambda x: gate(x).blend(two, zero))(zero) == 0.5
    assert jax.grad(jax.grad(lambda x: gate(x).blend(two, zero)))(zero) == 0
    assert jax.grad(jax.grad(jax.grad(sigmoid)))(zero) == -0.125


LONG = {
    "gru": (rnn.GRU(3, 32, memory_bias=rnn.Chrono(784)), 784, 0.04),
    "mgu": (rnn.MGU(3, 32, memory_bias=rnn.Chrono(784)), 784, 0.04),
    "lstm": (rnn.LSTM(3, 32, memory_bias=rnn.Chrono(2000)), 2000, 0.1),
    "time-scales": (rnn.time_scales(rnn.Elman(3, 32), 1, 1000), 1000, 0.02),
    "leaky": (rnn.leaky(rnn.Elman(3, 32), 0.999), 1000, 0.08),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in {"gru", "lstm"} else pytest.mark.slow) for n in LONG],
)
def test_a_long_memory_of_half_precision_is_that_of_the_equations(name):
    """By the gate that is near 1 the states were off by 0.2 to 2, and units never moved."""
    cell, steps, tolerance = LONG[name]
    narrow = cell.init(jax.random.key(0), jnp.bfloat16)
    xs = jax.random.normal(jax.random.key(1), (steps, 4, 3), jnp.bfloat16)

    @jax.jit
    def last(params, xs):
        wide = jax.tree.map(lambda x: x.astype(jnp.float64), (params, xs))
        runs = (cell, params, xs), (rnn.wide_carry(cell), params, xs), (cell, *wide)
        return [rnn.unroll(layer, p, x, method=rnn.Scan())[1] for layer, p, x in runs]

    short, beside, exact = last(narrow, xs)
    assert short.dtype == beside.dtype == jnp.bfloat16
    assert (short != 0).any(axis=(0, 1)).all()

    def error(ys):
        return jnp.linalg.norm(ys[-1].astype(jnp.float64) - exact[-1]) / jnp.linalg.norm(exact[-1])

    assert error(short) < tolerance
    # A carry of float32 leaves the rounding of what is emitted: bfloat16 has 8 bits.
    assert error(beside) < 2**-7


def test_training_in_windows_keeps_a_wide_carry():
    cell = rnn.wide_carry(rnn.GRU(2, 3))
    trainer = rnn.truncated_bptt(cell, lambda ys, _: ys.sum(-1), optax.sgd(0.1), window=4)
    state = trainer.init(cell.init(jax.random.key(0), jnp.bfloat16), (2,))
    xs = jnp.ones((4, 2, 2), jnp.bfloat16)
    after, metrics = jax.jit(trainer.update)(state, xs, None)
    dtypes = {leaf.dtype.name for leaf in jax.tree.leaves((state.carry, after.carry))}
    assert dtypes == {"float32"}
    assert after.params.w_hh.dtype == metrics.loss.dtype == jnp.bfloat16
    assert np.isfinite(metrics.grad_norm)
