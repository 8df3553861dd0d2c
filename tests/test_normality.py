"""Normality and pseudospectra: matrices whose answers are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn


@pytest.mark.parametrize("kind", ["orthogonal", "symmetric", "diagonal"])
def test_a_normal_matrix_does_not_depart(rng, kind):
    w = rng.normal(size=(6, 6))
    w = {"orthogonal": np.linalg.qr(w)[0], "symmetric": w + w.T, "diagonal": np.diag(w[0])}[kind]
    found = rnn.analysis.normality(w)
    np.testing.assert_allclose(found.departure, 0, atol=1e-13)
    np.testing.assert_allclose(found.spectral_radius, found.spectral_norm, rtol=1e-12)
    if kind == "orthogonal":
        np.testing.assert_allclose(np.abs(found.eigenvalues), 1, rtol=1e-12)


def test_the_departure_is_henricis(rng):
    w = rng.normal(size=(7, 7))
    found = rnn.analysis.normality(w)
    eigenvalues = np.linalg.eigvals(w)
    expected = np.sqrt(np.sum(w**2) - np.sum(np.abs(eigenvalues) ** 2))
    np.testing.assert_allclose(found.departure, expected, rtol=1e-10)
    np.testing.assert_allclose(
        np.sort(np.abs(found.eigenvalues)), np.sort(np.abs(eigenvalues)), rtol=1e-10
    )
    np.testing.assert_allclose(found.spectral_norm, np.linalg.norm(w, 2), rtol=1e-12)


def test_a_chain_is_all_departure():
    """A shift of 5 units by weight 3: eigenvalues 0, and 4 entries of 3 above the diagonal."""
    found = rnn.analysis.normality(3 * jnp.eye(5, k=1))
    np.testing.assert_allclose(found.departure, 6, rtol=1e-14)
    np.testing.assert_allclose(found.spectral_norm, 3, rtol=1e-14)
    assert found.spectral_radius == 0


def test_the_pseudospectrum_of_a_normal_matrix_is_the_distance_from_its_spectrum(rng):
    q, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    w = q @ np.diag([0.5, -0.5, 1.0, 2.0]) @ q.T
    real, imaginary = np.linspace(-2, 3, 5), np.linspace(-1, 1, 3)
    found = jax.jit(rnn.analysis.pseudospectrum)(w, real, imaginary)
    z = real + 1j * imaginary[:, None]
    distance = np.abs(z[..., None] - np.array([0.5, -0.5, 1, 2])).min(-1)
    assert found.shape == (3, 5)
    np.testing.assert_allclose(found, distance, rtol=1e-10, atol=1e-12)


def test_the_pseudospectrum_is_that_of_the_transposed_map_and_below_the_distance(rng):
    """An h w of row vectors and a W h of columns have the same one, by w' and its conjugate z."""
    w, axis = rng.normal(size=(5, 5)), np.linspace(-2, 2, 4)
    found = rnn.analysis.pseudospectrum(w, axis, axis)
    np.testing.assert_allclose(found, rnn.analysis.pseudospectrum(w.T, axis, axis), rtol=1e-10)
    z = axis + 1j * axis[:, None]
    expected = [[np.linalg.svd(z * np.eye(5) - w)[1][-1] for z in row] for row in z]
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    distance = np.abs(z[..., None] - np.linalg.eigvals(w)).min(-1)
    assert np.all(found <= distance + 1e-12)


def test_the_kreiss_bound_shows_transient_growth():
    """Eigenvalues of 0.9 and a norm that first grows past what the resolvent promises."""
    w = 0.9 * np.eye(3) + 5 * np.eye(3, k=1)
    axis = np.linspace(1.05, 2, 30)
    smallest = rnn.analysis.pseudospectrum(w, axis, np.zeros(1))[0]
    promised = np.max((axis - 1) / smallest)
    powers = [np.linalg.norm(np.linalg.matrix_power(w, n), 2) for n in range(60)]
    assert promised > 100
    assert max(powers) >= promised


@pytest.mark.parametrize("shape", [(3,), (3, 12)])
def test_what_is_not_square_is_refused(shape):
    w, axis = jnp.zeros(shape), jnp.zeros(2)
    with pytest.raises(rnn.ShapeError, match="normality: w must be a square matrix, got shape"):
        rnn.analysis.normality(w)
    with pytest.raises(rnn.ShapeError, match="take one gate's block of w_hh"):
        rnn.analysis.pseudospectrum(w, axis, axis)


def test_axes_of_a_grid_are_vectors():
    with pytest.raises(rnn.ShapeError, match=r"the axes of the grid, got shapes \(2, 2\) and"):
        rnn.analysis.pseudospectrum(jnp.eye(2), jnp.zeros((2, 2)), jnp.zeros(2))
