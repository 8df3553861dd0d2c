"""What a matrix could have for eigenvalues if it were changed a little."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnn_jax.analysis.arguments import square, vector

BASIS = 16
"""Vectors between two restarts; most points of a grid need one or two rounds of them."""
ROUNDS = 100


def pseudospectrum(w: jax.Array, real: jax.Array, imaginary: jax.Array) -> jax.Array:
    """The smallest singular value of `zI - w` on a grid of complex z: one over the resolvent norm.

    Its contour at epsilon bounds the eigenvalues of all `w + e` with `||e|| <= epsilon`. Of a
    normal matrix it is the distance from the spectrum; where it lies far below, the matrix
    grows what its eigenvalues would have it forget: `sup_n ||w^n|| >= (|z| - 1) / sigma(z)` for
    any z outside the unit circle (Kreiss).

    With the Schur form `w = Q T Q*` it is that of `zI - T`, and its inverse costs two triangular
    solves: Golub and Kahan's bidiagonalisation of `(zI - T)^{-1}`, restarted from the best vector
    until its largest singular value has a residual of `sqrt(eps)`. The error of the value goes as
    the square of that. Below `eps ||w||` a value says no more than that: it is rounding.

    Shapes: w `(N, N)`, real `(X,)`, imaginary `(Y,)`; the result is `(Y, X)`, as contour plots
    want it. Cost: one Schur form, O(N^3), on CPU only, and some 50 triangular solves a point,
    O(N^2) each. Sources: Trefethen & Embree, Spectra and Pseudospectra, 2005, chapters 2, 14 and
    39; Lui, SIAM J. Sci. Comput. 18, 1997.

    Raises `ShapeError` for what is not a square matrix, and for axes that are not vectors.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> chain = jnp.array([[0.0, 1.0], [0.0, 0.0]])
    >>> [row] = rnn.analysis.pseudospectrum(chain, jnp.array([0.0, 1.0]), jnp.zeros(1)).tolist()
    >>> [round(value, 3) for value in row]
    [0.0, 0.618]
    """
    w = square("pseudospectrum: w", w)
    real = vector("pseudospectrum: real", real)
    imaginary = vector("pseudospectrum: imaginary", imaginary)
    return _on_grid(w, jnp.asarray(real, w.dtype), jnp.asarray(imaginary, w.dtype))


@jax.jit
def _on_grid(w: jax.Array, real: jax.Array, imaginary: jax.Array) -> jax.Array:
    schur, _ = jax.scipy.linalg.schur(w, output="complex")
    # Nothing is special about it; a constant, so that the same w gives the same picture.
    start = jax.random.normal(jax.random.key(0), w.shape[:1], schur.dtype)
    grid = lax.complex(*jnp.meshgrid(real, imaginary))
    # Not vmap: each point stops when it is done, and all matrices at once may not fit.
    found = lax.map(functools.partial(_smallest, schur, start), grid.ravel())
    return found.reshape(grid.shape)


class _Cycle(NamedTuple):
    """What a basis knows of the largest singular value of the inverse."""

    value: jax.Array
    vector: jax.Array
    residual: jax.Array


def _smallest(schur: jax.Array, start: jax.Array, z: jax.Array) -> jax.Array:
    """The smallest singular value of `zI - T`, T upper triangular."""
    identity = jnp.eye(start.size, dtype=schur.dtype)
    shifted = z * identity - schur
    hit = jnp.any(jnp.diagonal(shifted) == 0)
    shifted = jnp.where(hit, identity, shifted)
    tolerance = float(jnp.finfo(schur.dtype).eps) ** 0.5

    def unfinished(state: tuple[_Cycle, jax.Array]) -> jax.Array:
        cycle, count = state
        return (cycle.residual > tolerance * cycle.value) & (count < ROUNDS)

    def again(state: tuple[_Cycle, jax.Array]) -> tuple[_Cycle, jax.Array]:
        cycle, count = state
        return _cycle(shifted, cycle.vector), count + 1

    cycle, _ = lax.while_loop(unfinished, again, (_cycle(shifted, start), jnp.ones((), jnp.int32)))
    # An inverse that is beyond floats belongs to a value that is below them.
    value = jnp.where(jnp.isfinite(cycle.value), 1 / cycle.value, 0)
    return jnp.where(jnp.isnan(jnp.sum(schur)), jnp.nan, jnp.where(hit, 0, value))


def _cycle(m: jax.Array, start: jax.Array) -> _Cycle:
    """Bidiagonalise the inverse of m from a vector: `A V = U B`, `A* U = V B' + residual`."""
    size = min(BASIS, start.size)
    solve = functools.partial(lax.linalg.triangular_solve, left_side=True, lower=False)

    def extend(state: tuple[jax.Array, ...], i: jax.Array) -> tuple[tuple, tuple]:
        basis, u, v, off = state
        basis = basis.at[i].set(v)
        u, diagonal = _unit(solve(m, v[:, None])[:, 0] - off.astype(m.dtype) * u)
        v = solve(m, u[:, None], transpose_a=True, conjugate_a=True)[:, 0]
        v = v - diagonal.astype(m.dtype) * basis[i]
        for _ in range(2):
            v = v - basis.T @ (basis.conj() @ v)
        v, off = _unit(v)
        return (basis, u, v, off), (diagonal, off)

    nothing = jnp.zeros((size, start.size), m.dtype)
    start, length = _unit(start)
    state = nothing, jnp.zeros_like(start), start, jnp.zeros_like(length)
    (basis, *_), (diagonal, off) = lax.scan(extend, state, jnp.arange(size, dtype=jnp.int32))
    left, values, right = jnp.linalg.svd(jnp.diag(diagonal) + jnp.diag(off[:-1], 1))
    best = right[0].astype(m.dtype) @ basis
    return _Cycle(values[0], best, off[-1] * jnp.abs(left[-1, 0]))


def _unit(v: jax.Array) -> tuple[jax.Array, jax.Array]:
    length = jnp.linalg.norm(v)
    safe = jnp.maximum(length, jnp.finfo(length.dtype).tiny)
    return v / safe.astype(v.dtype), length
