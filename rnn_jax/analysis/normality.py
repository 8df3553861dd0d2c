"""How far a recurrent matrix is from normal: what its eigenvalues leave out."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax.analysis.arguments import square


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
    w = square("normality: w", w)
    schur, _ = jax.scipy.linalg.schur(w, output="complex")
    eigenvalues = jnp.diagonal(schur)
    return Normality(
        eigenvalues,
        spectral_radius=jnp.max(jnp.abs(eigenvalues)),
        spectral_norm=jnp.linalg.norm(w, 2),
        departure=jnp.linalg.norm(jnp.triu(schur, 1)),
    )
