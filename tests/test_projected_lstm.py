"""The projection: an LSTM where it is the identity, and where its matmuls run."""

import jax
import jax.numpy as jnp
import numpy as np

import rnn_jax as rnn
from tests import hlo

KEY = jax.random.key(0)


def test_an_identity_projection_is_an_lstm():
    params = rnn.LSTM(2, 3).init(KEY, jnp.float64)
    projected = rnn.ProjectedLSTMParams(*params, w_hr=jnp.eye(3, dtype=jnp.float64))
    xs = jax.random.normal(KEY, (6, 4, 2), jnp.float64)
    last, hs = rnn.unroll(rnn.LSTM(2, 3), params, xs)
    carry, rs = rnn.unroll(rnn.ProjectedLSTM(2, 3, 3), projected, xs)
    np.testing.assert_allclose(rs, hs, rtol=1e-12)
    np.testing.assert_allclose(carry.m, last.h, rtol=1e-12)
    np.testing.assert_allclose(carry.c, last.c, rtol=1e-12)


def test_a_projected_lstm_starts_with_orthogonal_blocks():
    params = rnn.ProjectedLSTM(2, 6, 4).init(KEY, jnp.float64)
    np.testing.assert_allclose(params.w_hr.T @ params.w_hr, np.eye(4), atol=1e-12)
    for block in jnp.split(params.w_hh, 4, axis=-1):
        np.testing.assert_allclose(block @ block.T, np.eye(4), atol=1e-12)


def test_a_projected_lstm_fits_in_a_stack_by_what_it_emits():
    model = rnn.stack(rnn.ProjectedLSTM(2, 6, 4), rnn.Dense(4, 1))
    _, ys = rnn.unroll(model, model.init(KEY), jnp.ones((5, 2), jnp.float32))
    assert ys.shape == (5, 1)


def test_outputs_are_projected_at_once_and_weight_gradients_are_collected():
    cell, steps, batch, chunk = rnn.ProjectedLSTM(7, 11, 3), 32, 5, 8
    params, xs = cell.init(KEY), jnp.ones((steps, batch, 7), jnp.float32)

    def outputs(params):
        return rnn.unroll(cell, params, xs, method=rnn.BPTT(chunk=chunk))[1]

    forward = hlo.matmuls(hlo.compiled(outputs, params))
    assert forward[batch, 3] == forward[batch, 44] == steps
    assert forward[steps * batch, 3] + forward[steps, batch, 3] == 1

    counts = hlo.matmuls(hlo.compiled(jax.grad(lambda p: jnp.sum(outputs(p))), params))
    assert counts[3, 44] + counts[44, 3] == steps // chunk
    assert counts[11, 3] + counts[3, 11] == steps // chunk + 1  # and the outputs' own
