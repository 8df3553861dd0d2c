"""Normality: matrices whose answers are known."""

import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn

pytestmark = pytest.mark.usefixtures("no_rank_promotion")


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


@pytest.mark.parametrize("shape", [(3,), (3, 12)])
def test_a_matrix_that_is_not_square_is_refused(shape):
    with pytest.raises(rnn.ShapeError, match="normality: w must be a square matrix, got shape"):
        rnn.analysis.normality(jnp.zeros(shape))
