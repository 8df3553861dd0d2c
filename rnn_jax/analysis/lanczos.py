"""Lanczos' method: the spectrum of a symmetric matrix that is known by its products alone."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree

from rnn_jax.analysis.arguments import first_key, floats
from rnn_jax.analysis.arguments import like as of_the_form
from rnn_jax.arguments.settings import function, positive

Product = Callable[[Any], Any]
"""`v -> A v`, linear and symmetric, on pytrees of one structure."""


class Tridiagonal(NamedTuple):
    """`Q' A Q` in an orthonormal basis Q of m vectors."""

    diagonal: jax.Array
    """`(m,)`."""
    off_diagonal: jax.Array
    """`(m,)`: the last one couples to what the basis leaves out."""


def lanczos(
    caller: str, product: Product, like: Any, key: jax.Array | None, iterations: int
) -> Tridiagonal:
    """So many iterations, or as many as there are dimensions, from a random direction.

    `A q_i = b_{i-1} q_{i-1} + a_i q_i + b_i q_{i+1}`, each vector made orthogonal to all before
    it, twice. Where the directions reached so far are closed under A, as for a matrix of low
    rank after some iterations, b is set to 0 and a new random direction is taken; so what was found
    stays right, and multiple eigenvalues are found as well.

    Shapes: `like` is a pytree as A's, with n numbers. Cost: a product and O(n m) an
    iteration; memory for m vectors. Sources: Lanczos, Journal of Research of the NBS 45, 1950;
    twice is enough: Parlett, The symmetric eigenvalue problem, 1980, section 6.9.

    Raises `ArgumentError` for iterations that are not positive, and `StructureError` or
    `ShapeError` for a product that is not of the form of `like`.
    """
    count = positive(f"{caller}: iterations", iterations)
    function(f"{caller}: product", product)
    key, like = first_key(f"{caller}: key", key), floats(f"{caller}: like", like)
    flat, unravel = ravel_pytree(like)
    count = min(count, flat.size)
    limits = jnp.finfo(flat.dtype)

    def direction(key: jax.Array, basis: jax.Array) -> jax.Array:
        v = _orthogonal(basis, jax.random.normal(key, flat.shape, flat.dtype))
        return v / jnp.maximum(jnp.linalg.norm(v), limits.tiny)

    def extend(state: tuple[Any, ...], at: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        basis, v, largest = state
        i, key = at
        basis = basis.at[i].set(v)
        w, _ = ravel_pytree(of_the_form(f"{caller}: product(v)", like, product(unravel(v))))
        a = v @ w
        w = _orthogonal(basis, w)
        b = jnp.linalg.norm(w)
        largest = jnp.maximum(largest, jnp.maximum(jnp.abs(a), b))
        closed = b <= 10 * flat.size**0.5 * limits.eps * largest
        new = jnp.where(closed, direction(key, basis), w / jnp.where(closed, 1, b))
        return (basis, new, largest), (a, jnp.where(closed, 0, b))

    basis = jnp.zeros((count, flat.size), flat.dtype)
    first, *keys = jax.random.split(key, count + 1)
    start = (basis, direction(first, basis), jnp.zeros((), flat.dtype))
    _, found = lax.scan(extend, start, (jnp.arange(count, dtype=jnp.int32), jnp.stack(keys)))
    return Tridiagonal(*found)


def ritz(tridiagonal: Tridiagonal) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Its eigenvalues, ascending, and of each eigenvector the first and the last entry."""
    diagonal, off = tridiagonal.diagonal, tridiagonal.off_diagonal[:-1]
    values, vectors = jnp.linalg.eigh(jnp.diag(diagonal) + jnp.diag(off, 1) + jnp.diag(off, -1))
    return values, vectors[0], vectors[-1]


def _orthogonal(basis: jax.Array, w: jax.Array) -> jax.Array:
    for _ in range(2):
        w = w - (basis @ w) @ basis
    return w
