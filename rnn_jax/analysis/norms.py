"""Norms of vectors that are pytrees, where squares may underflow and the norm does not."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def norm(tree: Any, lead: int) -> jax.Array:
    """Euclidean norm over all leaves and all but the first `lead` axes, which the leaves share.

    Its derivative at zero is zero.
    """
    leaves = jax.tree.leaves(tree)
    flat = jnp.concatenate([leaf.reshape(*leaf.shape[:lead], -1) for leaf in leaves], axis=-1)
    largest = lax.stop_gradient(jnp.max(jnp.abs(flat), axis=-1))
    nothing = largest == 0
    scaled = flat / jnp.where(nothing, 1, largest)[..., None]
    squares = jnp.sum(jnp.square(scaled), axis=-1)
    return largest * jnp.sqrt(jnp.where(nothing, 1, squares))


def along(factor: jax.Array, leaf: jax.Array) -> jax.Array:
    """`factor` with axes of 1 behind its own, so that it broadcasts over the rest of `leaf`."""
    return factor.reshape(*factor.shape, *(1,) * (leaf.ndim - factor.ndim))


def unit(tree: Any, lead: int) -> tuple[Any, jax.Array]:
    """The direction of a vector and the logarithm of its norm; zero stays zero, at -inf."""
    length = norm(tree, lead)
    divisor = jnp.where(length > 0, length, 1)
    return jax.tree.map(lambda leaf: leaf / along(divisor, leaf), tree), jnp.log(length)
