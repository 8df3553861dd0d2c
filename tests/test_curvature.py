"""Curvature by Lanczos: least squares in closed form, networks against their whole matrices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree

import rnn_jax as rnn
from rnn_jax.analysis.lanczos import lanczos
from tests.cases import normal, params_of

pytestmark = pytest.mark.usefixtures("no_rank_promotion")


@pytest.fixture
def least_squares(rng):
    """1/2n ||X w - y||^2: the Hessian is X'X/n, also the Gauss-Newton matrix."""
    x, y = rng.normal(size=(20, 6)), rng.normal(size=20)
    params = (jnp.zeros(4), jnp.zeros(2))

    def predictions(params):
        return x @ jnp.concatenate(params)

    def half_mean_squares(predictions):
        return jnp.mean(jnp.square(predictions - y)) / 2

    return predictions, half_mean_squares, params, x.T @ x / 20


def matrix(product, like):
    """All of it, one unit vector at a time."""
    flat, unravel = ravel_pytree(like)
    each = jax.jit(jax.vmap(lambda v: ravel_pytree(product(unravel(v)))[0]))
    return np.asarray(each(np.eye(flat.size)))


@functools.partial(jax.jit, static_argnums=2)
def extremes(a, key, iterations):
    return rnn.analysis.extreme_eigenvalues(lambda v: a @ v, a[0], key=key, iterations=iterations)


def test_the_hessian_of_least_squares_is_the_covariance(least_squares, key):
    predictions, loss, params, covariance = least_squares
    product = rnn.analysis.hessian_product(lambda p: loss(predictions(p)), params)
    again = rnn.analysis.gauss_newton_product(predictions, params, loss=loss)
    np.testing.assert_allclose(matrix(product, params), covariance, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(matrix(again, params), covariance, rtol=1e-11, atol=1e-14)
    some = functools.partial(rnn.analysis.extreme_eigenvalues, product, params, iterations=6)
    found = jax.jit(some)(key=key)
    np.testing.assert_allclose(found.eigenvalues, np.linalg.eigvalsh(covariance), rtol=1e-10)
    assert found.errors.max() < 1e-12


@pytest.fixture(scope="module")
def network():
    """A GRU that learns a target at every step: params, hs of params, the loss of hs."""
    cell = rnn.GRU(2, 3)
    params = params_of(cell)
    xs = normal((5, 2, 2), seed=2)
    targets = jnp.sin(jnp.arange(30.0)).reshape(5, 2, 3)
    return (
        params,
        lambda p: rnn.unroll(cell, p, xs)[1],
        lambda ys: jnp.mean(jnp.square(ys - targets)) / 2,
    )


def test_products_and_extremes_are_those_of_the_whole_matrices(network):
    """Through BPTT: against `jax.hessian`, and J'HJ of `jax.jacrev`."""
    params, model, loss = network
    flat, unravel = ravel_pytree(params)

    @jax.jit
    def outcomes(flat):
        params = unravel(flat)
        whole = jax.hessian(lambda flat: loss(model(unravel(flat))))(flat)
        jacobian = jax.jacrev(lambda flat: model(unravel(flat)).reshape(-1))(flat)
        products = (
            rnn.analysis.hessian_product(lambda p: loss(model(p)), params),
            rnn.analysis.gauss_newton_product(model, params, loss=loss),
        )
        extremes = functools.partial(rnn.analysis.extreme_eigenvalues, like=params, iterations=40)
        found = [extremes(p, key=jax.random.key(3)) for p in products]
        return whole, jacobian, found

    whole, jacobian, (by_hessian, by_gauss_newton) = outcomes(flat)
    expected = np.linalg.eigvalsh(whole)
    for end in (0, -1):
        np.testing.assert_allclose(by_hessian.eigenvalues[end], expected[end], rtol=1e-9)
    # Half the mean of 30 squares: H_L = I/30. The kernel J J' has the same non-zero eigenvalues.
    kernel = np.linalg.eigvalsh(jacobian @ jacobian.T / 30)
    nonzero = kernel[kernel > 1e-12]
    assert 20 < len(nonzero) <= 30
    found = np.asarray(by_gauss_newton.eigenvalues)
    np.testing.assert_allclose(found[-1], kernel[-1], rtol=1e-9)
    np.testing.assert_allclose(found[-len(nonzero) :][-10:], nonzero[-10:], rtol=1e-8)
    # Its rank is at most 30: what is left of 40 steps are zeros, neither noise nor copies.
    assert np.all(np.abs(found[: 40 - 30]) < 1e-12)


@settings(max_examples=20)
@given(
    spectrum=st.lists(st.sampled_from([-2.0, 0.0, 1.0, 1.5, 3.0]), min_size=7, max_size=7),
    seed=st.integers(0, 99),
)
def test_all_eigenvalues_are_found_with_their_multiplicity(spectrum, seed):
    """However few distinct ones there are: where Lanczos breaks down it starts afresh."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(7, 7)))
    found = extremes(q @ np.diag(spectrum) @ q.T, jax.random.key(seed), 20)
    assert found.eigenvalues.shape == (7,)
    np.testing.assert_allclose(found.eigenvalues, np.sort(spectrum), atol=1e-12)


def test_errors_bound_the_distance_from_an_eigenvalue(rng, key):
    a = rng.normal(size=(60, 60))
    a = a + a.T
    found = extremes(a, key, 15)
    exact = np.linalg.eigvalsh(a)
    nearest = np.abs(np.asarray(found.eigenvalues)[:, None] - exact).min(1)
    assert np.all(nearest <= found.errors + 1e-12)
    assert found.errors[7] > 0.1
    assert exact[0] <= found.eigenvalues[0]
    assert found.eigenvalues[-1] <= exact[-1]


def test_the_basis_stays_orthogonal_over_many_steps(key):
    """Eigenvalues from 1e-8 to 1 make Lanczos without care find the largest many times over."""
    spectrum = jnp.logspace(-8, 0, 100)
    found = extremes(jnp.diag(spectrum), key, 100)
    np.testing.assert_allclose(found.eigenvalues, spectrum, atol=1e-14)


def test_the_density_integrates_polynomials_exactly(rng, key):
    """`sum_i weights_i nodes_i^j = v' A^j v` up to degree 2m - 1, v the probe."""
    a = rng.normal(size=(12, 12))
    a = (a + a.T) / 5
    found = rnn.analysis.spectral_density(
        lambda v: a @ v, jnp.zeros(12), key=key, iterations=4, probes=3
    )
    assert found.nodes.shape == found.weights.shape == (3, 4)
    np.testing.assert_allclose(found.weights.sum(1), 1, rtol=1e-12)
    for i, probe in enumerate(jax.random.split(key, 3)):
        v = np.asarray(jax.random.normal(jax.random.split(probe, 5)[0], (12,), jnp.float64))
        v = v / np.linalg.norm(v)
        for j in range(8):
            moment = v @ np.linalg.matrix_power(a, j) @ v
            np.testing.assert_allclose(
                found.weights[i] @ found.nodes[i] ** j, moment, rtol=1e-9, atol=1e-12
            )


def test_the_density_of_many_probes_is_that_of_the_eigenvalues(key):
    """Two thirds of 300 eigenvalues at 0 and a third at 2."""
    spectrum = jnp.where(jnp.arange(300) < 200, 0.0, 2.0)
    found = jax.jit(
        lambda: rnn.analysis.spectral_density(
            lambda v: spectrum * v, spectrum, key=key, iterations=5, probes=20
        )
    )()
    heavy = np.sum(found.weights, axis=1, where=np.asarray(found.nodes) > 1)
    np.testing.assert_allclose(heavy.mean(), 1 / 3, atol=0.02)
    grid = jnp.linspace(-3, 5, 801)
    curve = np.asarray(rnn.analysis.smoothed(found, grid, width=0.1))
    np.testing.assert_allclose(curve.sum() * 0.01, 1, rtol=1e-6)
    peaks = 1 / (0.1 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(curve[[300, 500]], [peaks * 2 / 3, peaks / 3], rtol=0.1)


def test_a_zero_matrix_and_a_single_number_are_no_exceptions(key):
    nothing = functools.partial(rnn.analysis.extreme_eigenvalues, lambda v: 0 * v, jnp.zeros(3))
    found = jax.jit(nothing)(key=key)
    assert found.eigenvalues.tolist() == [0, 0, 0]
    one = jax.jit(lambda key: lanczos("lanczos", lambda v: -3 * v, jnp.zeros(()), key, 7))(key)
    np.testing.assert_allclose(one.diagonal, [-3], rtol=1e-15)


def test_mistakes_are_named():
    like = jnp.zeros(3)
    with pytest.raises(rnn.ArgumentError, match="iterations must be a positive integer, got 0"):
        rnn.analysis.extreme_eigenvalues(lambda v: v, like, iterations=0)
    with pytest.raises(rnn.ArgumentError, match="probes must be a positive integer, got -1"):
        rnn.analysis.spectral_density(lambda v: v, like, probes=-1)
    density = rnn.analysis.SpectralDensity(jnp.zeros((1, 1)), jnp.ones((1, 1)))
    with pytest.raises(rnn.ArgumentError, match="width must be a positive number, got 0"):
        rnn.analysis.smoothed(density, like, width=0)
