"""Orthogonalise vectors whose lengths differ by more than a float can hold."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

SWEEPS = 40
"""Far more than are ever needed: convergence is quadratic, in 3 to 10 sweeps."""


class Graded(NamedTuple):
    """Vectors `exp(log_lengths) * directions`, the longest first."""

    directions: jax.Array
    """`(N, m)`: unit columns, or zeros where the length is zero."""
    log_lengths: jax.Array
    """`(m,)`: natural logarithms, -inf for zero."""
    noise: jax.Array
    """`(m,)`: the rounding error of each direction."""


def graded(columns: jax.Array, log_scales: jax.Array, noise: jax.Array) -> Graded:
    """`exp(log_scales) * columns` as directions and lengths; what is within its noise is zero."""
    lengths = jnp.linalg.norm(columns, axis=0)
    zero = lengths <= noise
    safe = jnp.where(zero, 1, lengths)
    log_lengths = jnp.where(zero, -jnp.inf, log_scales + jnp.log(safe))
    order = jnp.argsort(-log_lengths)
    directions = jnp.where(zero[None], 0, columns / safe[None])
    vectors = directions, log_lengths, jnp.where(zero, 0, noise / safe)
    return Graded(*(x[..., order] for x in vectors))


def orthogonalise(vectors: Graded, tolerance: jax.Array | float) -> Graded:
    """Rotate the vectors among themselves until they are orthogonal: X -> X W, W orthogonal.

    One-sided Jacobi: the lengths that come out are the singular values of X, the directions its
    left singular vectors. Two vectors are turned by the angle that makes them orthogonal, and
    lengths enter it only as a ratio, which may underflow: then the turn is a step of Gram and
    Schmidt's. So every value has the relative accuracy that the angles between the vectors
    allow, whatever their lengths, where a bidiagonalisation has that of the largest.

    A vector that shrinks to its own rounding error has length zero from there on. Ends when no
    cosine between two vectors was above `tolerance` in a whole sweep. Cost: `O(m^2 N)` a sweep,
    m/2 disjoint pairs at once. Sources: Hestenes, J. SIAM 6, 1958; accuracy: Demmel & Veselic,
    SIAM J. Matrix Anal. Appl. 13, 1992; the order of pairs: Brent & Luk, SIAM J. Sci. Stat.
    Comput. 6, 1985.
    """
    count = len(vectors.log_lengths)
    odd = count % 2
    padded = Graded(
        jnp.pad(vectors.directions, ((0, 0), (0, odd))),
        jnp.pad(vectors.log_lengths, (0, odd), constant_values=-jnp.inf),
        jnp.pad(vectors.noise, (0, odd)),
    )

    def sweep(state: tuple[jax.Array, jax.Array, Graded]) -> tuple[jax.Array, jax.Array, Graded]:
        sweeps, _, vectors = state
        return sweeps + 1, *_sweep(vectors)

    def unfinished(state: tuple[jax.Array, jax.Array, Graded]) -> jax.Array:
        sweeps, worst, _ = state
        return (worst > tolerance) & (sweeps < SWEEPS)

    worst = jnp.full((), jnp.inf, vectors.directions.dtype)
    _, _, done = lax.while_loop(unfinished, sweep, (jnp.zeros((), jnp.int32), worst, padded))
    return Graded(*(x[..., :count] for x in done))


def _sweep(vectors: Graded) -> tuple[jax.Array, Graded]:
    """Turn every pair once: the largest cosine met, and the vectors, the longest first again."""
    half = len(vectors.log_lengths) // 2
    seats = tuple((x[..., :half], x[..., half:]) for x in vectors)

    def turn(_: jax.Array, state: tuple) -> tuple:
        worst, ((u, v), (a, b), (e, f)) = state
        uu, vv, uv = jnp.sum(u * u, 0), jnp.sum(v * v, 0), jnp.sum(u * v, 0)
        norms = jnp.sqrt(uu * vv)
        cosines = jnp.abs(uv) / jnp.where(norms > 0, norms, 1)

        # exp(a) u and exp(b) v, in units of the longer one; a and b are fixed within a sweep.
        unit = jnp.maximum(a, b)
        unit = jnp.where(unit == -jnp.inf, 0, unit)
        p, q = jnp.exp(a - unit), jnp.exp(b - unit)
        gap = q * q * vv - p * p * uu
        divisor = jnp.abs(gap) + jnp.hypot(gap, 2 * p * q * uv)
        # The tangent of the angle is p q s; what u and v get of each other is finite at any p/q.
        s = 2 * uv * jnp.where(gap < 0, -1, 1) / jnp.where(divisor > 0, divisor, 1)
        cos = lax.rsqrt(1 + jnp.square(p * q * s))
        to_u, to_v = -cos * s * q * q, cos * s * p * p
        u, v = cos[None] * u + to_u[None] * v, cos[None] * v + to_v[None] * u
        e, f = jnp.hypot(cos * e, to_u * f), jnp.hypot(cos * f, to_v * e)
        return jnp.maximum(worst, jnp.max(cosines)), (_move(u, v), _move(a, b), _move(e, f))

    start = jnp.zeros((), vectors.directions.dtype), seats
    worst, seats = lax.fori_loop(0, 2 * half - 1, turn, start)
    return worst, graded(*(jnp.concatenate(pair, -1) for pair in seats))


def _move(top: jax.Array, bottom: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The next pairs of a round robin: all but the first move on by one seat."""
    if top.shape[-1] == 1:
        return top, bottom
    return (
        jnp.concatenate([top[..., :1], bottom[..., :1], top[..., 1:-1]], -1),
        jnp.concatenate([bottom[..., 1:], top[..., -1:]], -1),
    )
