"""Pseudospectra: matrices whose answers are known, and NumPy's singular values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn

pytestmark = pytest.mark.usefixtures("no_rank_promotion")


def smallest(w, real, imaginary):
    """By a singular value decomposition for every point."""
    z = np.asarray(real) + 1j * np.asarray(imaginary)[:, None]
    return np.linalg.svd(z[..., None, None] * np.eye(len(w)) - w, compute_uv=False)[..., -1]


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
    np.testing.assert_allclose(found, smallest(w, axis, axis), rtol=1e-10)
    z = axis + 1j * axis[:, None]
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


@pytest.mark.parametrize(("size", "gain"), [(16, 1.0), (17, 2.0), (40, 0.5)])
def test_the_pseudospectrum_is_that_of_numpy_also_where_the_basis_is_restarted(rng, size, gain):
    w = gain * rng.normal(size=(size, size)) / np.sqrt(size)
    real, imaginary = np.linspace(-3, 3, 7), np.linspace(0, 2, 4)
    found = rnn.analysis.pseudospectrum(w, real, imaginary)
    np.testing.assert_allclose(found, smallest(w, real, imaginary), rtol=1e-10)


def test_an_eigenvalue_is_a_zero_and_an_inverse_beyond_floats_is_one_too():
    chain = 3 * np.eye(140, k=1)
    found = rnn.analysis.pseudospectrum(chain, np.array([0.0, 0.01, 4.0]), np.zeros(1))[0]
    assert found[0] == 0
    assert found[1] < 1e-300  # the inverse of 140 factors of 300
    np.testing.assert_allclose(found[2], smallest(chain, [4.0], [0.0])[0, 0], rtol=1e-10)


def test_a_matrix_of_nan_has_a_pseudospectrum_of_nan():
    w = np.full((3, 3), np.nan)
    assert np.isnan(rnn.analysis.pseudospectrum(w, np.ones(1), np.zeros(1))).all()


@pytest.mark.parametrize("shape", [(3,), (3, 12)])
def test_a_matrix_that_is_not_square_is_refused(shape):
    axis = jnp.zeros(2)
    with pytest.raises(
        rnn.ShapeError, match=r"a square matrix.*recurrent_matrices takes the gates apart"
    ):
        rnn.analysis.pseudospectrum(jnp.zeros(shape), axis, axis)


def test_axes_of_a_grid_are_vectors():
    with pytest.raises(rnn.ShapeError, match=r"real must be a vector, got shape \(2, 2\)"):
        rnn.analysis.pseudospectrum(jnp.eye(2), jnp.zeros((2, 2)), jnp.zeros(2))
