"""The best along the leading axis, that of the beam, and what belongs to them."""

from typing import Any

import jax
import jax.numpy as jnp


def best(scores: jax.Array, n: int) -> tuple[jax.Array, jax.Array]:
    """The n largest of scores `(K, *batch)`, the largest first, and where they are; no NaN."""
    found = jax.lax.top_k(jnp.moveaxis(scores, 0, -1), n)
    values, places = (jnp.moveaxis(each, -1, 0) for each in found)
    return values, places


def pick(tree: Any, places: jax.Array) -> Any:
    """What is at places `(n, *batch)` of every leaf `(K, *batch, ...)`: `(n, *batch, ...)`."""

    def leaf(x: jax.Array) -> jax.Array:
        return jnp.take_along_axis(x, jnp.expand_dims(places, [*range(places.ndim, x.ndim)]), 0)

    return jax.tree.map(leaf, tree)


def join(*trees: Any) -> Any:
    """Several beams as one, leaf by leaf."""
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *trees)
