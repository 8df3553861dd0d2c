"""Known values of the gradient by lag."""

import jax
import jax.numpy as jnp
import numpy as np

import rnn_jax as rnn


def linear(a):
    return a


def sum_of_last(ys, targets):
    return ys.sum(-1)


def test_a_scalar_forgets_by_its_weight():
    """Scalar w = 0.9: the lags are 0.9^(k+1), and 28 of them hold 95% of the gradient."""
    cell = rnn.Elman(1, 1, activation=linear)
    params = rnn.ElmanParams(jnp.ones((1, 1)), jnp.full((1, 1), 0.9), jnp.zeros(1))
    xs = jnp.ones((400, 1))
    norms = rnn.analysis.gradient_by_lag(cell, params, xs, None, sum_of_last)
    np.testing.assert_allclose(norms, 0.9 ** np.arange(1, 401), rtol=1e-12)
    share = np.cumsum(norms) / np.sum(norms)
    assert share[27] < 0.95 <= share[28]


def test_an_orthogonal_matrix_forgets_nothing(key):
    cell = rnn.Elman(2, 6, activation=linear)
    params = cell.init(key, jnp.float64)
    xs = jax.random.normal(key, (50, 3, 2), jnp.float64)
    norms = rnn.analysis.gradient_by_lag(cell, params, xs, None, sum_of_last)
    np.testing.assert_allclose(norms, np.sqrt(6), rtol=1e-10)


def test_each_lag_is_the_gradient_by_the_carry_that_many_steps_back(key):
    """Through a stack with an LSTM: against jax.grad of the rest of the sequence."""
    model = rnn.stack(rnn.Embedding(5, 2), rnn.LSTM(2, 3), rnn.Dense(3, 5))
    params = model.init(key, jnp.float64)
    tokens = jax.random.randint(key, (6, 2), 0, 5)
    norms = rnn.analysis.gradient_by_lag(model, params, tokens, None, sum_of_last)
    carry, _ = rnn.unroll(model, params, tokens[:2])

    def rest(carry):
        _, ys = rnn.unroll(model, params, tokens[2:], carry)
        return ys[-1].sum()

    grads = jax.tree.leaves(jax.grad(rest)(carry))
    by_sequence = np.sqrt(sum(np.square(g).sum(-1) for g in grads))
    np.testing.assert_allclose(norms[3], by_sequence.mean(), rtol=1e-12)


def test_a_norm_whose_square_underflows_is_not_lost():
    """float32 holds 1e-30, its square not."""
    cell = rnn.Elman(1, 2, activation=linear)
    weights = jnp.diag(jnp.full(2, 0.1, jnp.float32))
    params = rnn.ElmanParams(jnp.ones((1, 2), jnp.float32), weights, jnp.zeros(2, jnp.float32))
    xs = jnp.ones((30, 1), jnp.float32)
    norms = rnn.analysis.gradient_by_lag(cell, params, xs, None, sum_of_last)
    np.testing.assert_allclose(norms[29] * 1e30, np.sqrt(2), rtol=1e-4)
