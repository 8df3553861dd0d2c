"""Layer normalisation, and what the cells that have it inherit from it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import rnn_jax as rnn
from rnn_jax.cells.normalization import layer_norm, normalize
from tests import hlo
from tests.cases import normal, params_of

CELLS = [rnn.LayerNormElman(2, 3), rnn.LayerNormLSTM(2, 3), rnn.LayerNormGRU(2, 3)]
every_cell = pytest.mark.parametrize("cell", CELLS, ids=lambda cell: type(cell).__name__)


def test_vectors_of_known_variance_are_normalised_exactly():
    x = jnp.array([[1.0, 2.0, 3.0, 4.0], [-30.0, -10.0, 10.0, 30.0]])  # variances 5/4 and 500
    expected = np.array([-3.0, -1.0, 1.0, 3.0]) / np.sqrt(5)
    np.testing.assert_allclose(normalize(x, 1e-14), [expected, expected], rtol=1e-12)
    np.testing.assert_allclose(normalize(x[0], 3.75), expected / 2, rtol=1e-12)
    gain, bias = jnp.array([1.0, 0.0, -1.0, 2.0]), jnp.array([0.0, 5.0, 1.0, 1.0])
    assert jnp.allclose(layer_norm(x[0], gain, bias, 1e-14), gain * expected + bias)


def test_the_statistics_of_a_narrow_dtype_are_taken_in_float32():
    """In bfloat16 itself, a sum of 1024 numbers near 64 would be off by more than they differ."""
    x = 64 + jax.random.normal(jax.random.key(0), (1024,), jnp.float32)
    low = normalize(x.astype(jnp.bfloat16), 1e-5)
    exact = np.asarray(x.astype(jnp.bfloat16), np.float64)
    exact = (exact - exact.mean()) / exact.std()
    assert low.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(low, np.float64), exact, rtol=2**-8, atol=1e-4)


@pytest.mark.parametrize("dtype", [jnp.float64, jnp.bfloat16], ids=lambda dtype: dtype.__name__)
def test_a_constant_vector_gives_zeros_and_a_finite_gradient(dtype):
    x = jnp.full(4, 3, dtype)
    assert (normalize(x, 1e-5) == 0).all()
    jacobian = jax.jacobian(normalize)(x, 1e-5)
    expected = (np.eye(4) - 1 / 4) / np.sqrt(1e-5)  # what centring leaves, over sqrt(epsilon)
    np.testing.assert_allclose(np.asarray(jacobian, np.float64), expected, rtol=2**-7)


@pytest.mark.parametrize(
    "cell",
    [CELLS[0], *(pytest.param(cell, marks=pytest.mark.slow) for cell in CELLS[1:])],
    ids=lambda cell: type(cell).__name__,
)
def test_constant_rows_in_a_cell_give_finite_gradients(cell):
    """All weights equal: every vector that is normalised is constant, at every step."""
    params = jax.tree.map(jnp.ones_like, params_of(cell))
    xs = normal((6, 2, 2), seed=1)

    def loss(params, method):
        _, ys = rnn.unroll(cell, params, xs, method=method)
        return jnp.sum(jnp.sin(ys + jnp.arange(3.0)))

    @jax.jit
    def outcomes(params):
        grads = [jax.value_and_grad(loss)(params, m) for m in (rnn.BPTT(chunk=4), rnn.Scan())]
        return [ravel_pytree(leaf)[0] for leaf in grads]

    collected, by_scan = outcomes(params)
    assert jnp.isfinite(collected).all()
    assert jnp.abs(collected).max() > 0
    np.testing.assert_allclose(collected, by_scan, rtol=1e-9, atol=1e-9)


def test_the_scale_of_the_weights_cancels():
    cell = rnn.LayerNormElman(2, 3, epsilon=1e-12)
    params = params_of(cell)
    larger = params._replace(w_xh=1000 * params.w_xh, w_hh=1000 * params.w_hh)
    xs = normal((6, 2), seed=1)
    _, hs = rnn.unroll(cell, params, xs)
    np.testing.assert_allclose(rnn.unroll(cell, larger, xs)[1], hs, rtol=1e-9)


@every_cell
def test_fresh_gains_are_one(cell):
    params = cell.init(jax.random.key(0))._asdict()
    gains = [leaf for name, leaf in params.items() if name.startswith("gain")]
    assert gains
    assert all((gain == 1).all() for gain in gains)


def test_the_weight_gradients_of_a_normalised_cell_are_collected():
    """One matmul a chunk; a loop that computed them would have one a step."""
    cell, steps, chunk = rnn.LayerNormLSTM(7, 11), 32, 8
    params, xs = cell.init(jax.random.key(0)), jnp.ones((steps, 5, 7), jnp.float32)

    def loss(params):
        return jnp.sum(rnn.unroll(cell, params, xs, method=rnn.BPTT(chunk=chunk))[1])

    counts = hlo.matmuls(hlo.compiled(jax.grad(loss), params))
    for rows in (7, 11):
        assert counts[rows, 44] + counts[44, rows] == steps // chunk
