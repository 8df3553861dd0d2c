"""Initialisers whose every number is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_a_chain_has_its_weights_beside_the_diagonal(dtype):
    w = rnn.Chain(1.5, feedback=0.25)(jax.random.key(0), (4, 4), dtype)
    expected = 1.5 * np.diag(np.ones(3), 1) + 0.25 * np.diag(np.ones(3), -1)
    assert w.dtype == dtype
    np.testing.assert_array_equal(np.asarray(w, np.float64), expected)


def test_a_chain_is_a_delay_line(rng):
    """Of a linear network: unit i says what was read i steps ago, so many links larger."""
    cell = rnn.Elman(
        1,
        5,
        activation=lambda a: a,
        input_init=rnn.initializers.identity,
        recurrent_init=rnn.Chain(2.0),
    )
    xs = rng.normal(size=(12, 1))
    _, hs = rnn.unroll(cell, cell.init(jax.random.key(0), jnp.float64), xs)
    for i in range(5):
        np.testing.assert_array_equal(hs[i:, i], 2.0**i * xs[: 12 - i, 0])
        np.testing.assert_array_equal(hs[:i, i], 0)
