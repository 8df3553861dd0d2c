"""Gram and Schmidt with a derivative that stays finite where the vectors become dependent."""

import jax
import jax.numpy as jnp
from jax import lax


@jax.custom_jvp
def orthonormalise(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`x = Q R`: Q `(N, k)` and `log |diag R|` `(k,)`, by Householder reflections.

    The derivative of QR divides by each `R_jj`, the length of column j that is new beside those
    before it, and blows up as it vanishes: there Q's column j may point anywhere. Where `|R_jj|`
    is within `eps^(3/4)` of the longest column (2e-12 in float64, 6e-6 in float32), so that few
    digits of the derivative would be right, column j is taken as constant: its growth has
    derivative zero, its direction only turns to stay orthogonal to the others, and theirs have
    the derivatives that they would have without it. Cost: `O(N k^2)`, the derivative too.
    Source: the regular case is Walter & Lehmann, Optim. Methods Softw. 33, 2018.
    """
    q, r = jnp.linalg.qr(x)
    return q, jnp.log(jnp.abs(jnp.diagonal(r)))


@orthonormalise.defjvp
def _(
    primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
    (x,), (dx,) = primals, tangents
    q, growth = orthonormalise(x)
    r = jnp.triu(q.T @ x)
    diagonal = jnp.abs(jnp.diagonal(r))
    longest = jnp.max(jnp.linalg.norm(lax.stop_gradient(r), axis=0))
    sound = diagonal > float(jnp.finfo(x.dtype).eps) ** 0.75 * longest
    identity = jnp.eye(len(diagonal), dtype=x.dtype)
    safe = jnp.where(sound[:, None] & sound[None], r, identity)
    solved = lax.linalg.triangular_solve(safe, jnp.where(sound[None], dx, 0), lower=False)
    along = q.T @ solved
    lower = jnp.tril(along, -1)
    dq = solved - q @ (along - lower + lower.T)
    return (q, growth), (dq, jnp.diagonal(along))
