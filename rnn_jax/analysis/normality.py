"""How far a recurrent matrix is from normal, and what that hides from its eigenvalues."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnn_jax.errors import ShapeError


class Normality(NamedTuple):
    """A matrix by its eigenvalues, and by what they leave out."""

    eigenvalues: jax.Array
    """`(N,)`, complex."""
    spectral_radius: jax.Array
    """The largest `|eigenvalue|`: how powers grow in the end."""
    spectral_norm: jax.Array
    """The largest singular value: how one step can grow; equal to the radius if normal."""
    departure: jax.Array
    """Henrici's, zero if normal."""


def normality(w: jax.Array) -> Normality:
    """Spectral radius and norm of a matrix and Henrici's departure from normality.

    `departure = sqrt(||w||_F^2 - sum |eigenvalue|^2)`, taken as the Frobenius norm of the
    strictly upper part of the complex Schur form, which is the same and does not cancel. In a
    normal matrix (orthogonal, symmetric) eigenvalues tell all about `||w^n||`; in another one
    gradients may grow for many steps before they die as the eigenvalues say.

    Shapes: w `(N, N)`. Cost: O(N^3). The Schur form is there on CPU only. Source: Henrici,
    Bounds for iterates, inverses, spectral variation and fields of values of non-normal matrices,
    Numerische Mathematik 4, 1962; for recurrent networks: Kerg et al., Non-normal recurrent
    neural network (nnRNN), NeurIPS 2019.

    Raises `ShapeError` for what is not a square matrix.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> found = rnn.analysis.normality(jnp.array([[0.5, 3.0], [0.0, 0.5]]))
    >>> float(found.spectral_radius), float(found.departure)
    (0.5, 3.0)
    """
    _check_square("normality", w)
    schur, _ = jax.scipy.linalg.schur(w, output="complex")
    eigenvalues = jnp.diagonal(schur)
    return Normality(
        eigenvalues,
        spectral_radius=jnp.max(jnp.abs(eigenvalues)),
        spectral_norm=jnp.linalg.norm(w, 2),
        departure=jnp.linalg.norm(jnp.triu(schur, 1)),
    )


def pseudospectrum(w: jax.Array, real: jax.Array, imaginary: jax.Array) -> jax.Array:
    """The smallest singular value of `zI - w` on a grid of complex z: one over the resolvent norm.

    Its contour at epsilon bounds the eigenvalues of all `w + e` with `||e|| <= epsilon`. Of a
    normal matrix it is the distance from the spectrum; where it lies far below, the matrix
    grows what its eigenvalues would have it forget: `sup_n ||w^n|| >= (|z| - 1) / sigma(z)` for
    any z outside the unit circle (Kreiss).

    Shapes: w `(N, N)`, real `(X,)`, imaginary `(Y,)`; the result is `(Y, X)`, as contour plots
    want it. Cost: X Y singular value decompositions, O(N^3) each. Source: Trefethen & Embree,
    Spectra and Pseudospectra, 2005, chapters 2 and 14.

    Raises `ShapeError` for what is not a square matrix, and for axes that are not vectors.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> chain = jnp.array([[0.0, 1.0], [0.0, 0.0]])
    >>> [row] = rnn.analysis.pseudospectrum(chain, jnp.array([0.0, 1.0]), jnp.zeros(1)).tolist()
    >>> [round(value, 3) for value in row]
    [0.0, 0.618]
    """
    _check_square("pseudospectrum", w)
    if real.ndim != 1 or imaginary.ndim != 1:
        raise ShapeError(
            "pseudospectrum: real and imaginary must be vectors, the axes of the grid, got shapes "
            f"{real.shape} and {imaginary.shape}."
        )
    real, imaginary = jnp.meshgrid(jnp.asarray(real, w.dtype), jnp.asarray(imaginary, w.dtype))
    grid = lax.complex(real, imaginary)
    identity, w = jnp.eye(w.shape[0], dtype=grid.dtype), jnp.asarray(w).astype(grid.dtype)

    def smallest(z: jax.Array) -> jax.Array:
        return jnp.linalg.svd(z * identity - w, compute_uv=False)[-1]

    # One row at a time: all matrices at once may not fit.
    return lax.map(jax.vmap(smallest), grid)


def _check_square(caller: str, w: jax.Array) -> None:
    if w.ndim != 2 or w.shape[0] != w.shape[1]:
        raise ShapeError(
            f"{caller}: w must be a square matrix, got shape {w.shape}; of a gated cell take one "
            "gate's block of w_hh."
        )
