"""The matmuls of a step alone, in the order in which they depend on one another.

Forward: the projection of all steps, then one `(B, H) @ (H, G H)` a step, each of the last one's
result. A training step: besides, backward, one `(B, G H) @ (G H, H)` a step, and then each weight's
gradient as one matmul over all rows. No activation, no bias, no sum: between two matmuls stands
only the choice of which columns go on. What a network computes beside them comes on top; but it may
have the same matmuls faster, by another kernel or in parts that stay in the cache.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.competitors.ours import cell_and_params
from benchmarks.programs import Network, Step, compiled
from benchmarks.shapes import Shape
from benchmarks.variants import Variant


class Weights(NamedTuple):
    """Of a cell; orthogonal per gate, so that what goes round neither grows nor vanishes."""

    w_xh: jax.Array
    w_hh: jax.Array


def build(shape: Shape, kind: str, variant: Variant) -> Step:
    _, params = cell_and_params(shape)
    weights = Weights(params.w_xh, params.w_hh)
    return compiled(Network(weights, forward, training_step), shape, kind, variant)


def forward(weights: Weights, xs: jax.Array) -> jax.Array:
    """`(T, B, H)`, what each step gets."""
    return _loop(weights, xs)[0]


def training_step(weights: Weights, xs: jax.Array) -> tuple[jax.Array, Weights]:
    hs, last, z = _loop(weights, xs)
    back = weights.w_hh.T
    hidden = back.shape[1]

    def step(dh: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
        da = jnp.concatenate([dh, z[:, hidden:]], -1)
        return da @ back, da

    dh, das = lax.scan(step, last, None, length=len(xs), reverse=True)
    by_rows = "tbi,tbj->ij"
    return dh.ravel()[0], Weights(jnp.einsum(by_rows, xs, das), jnp.einsum(by_rows, hs, das))


def _loop(weights: Weights, xs: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """What each step gets, what the last one hands on, and the first step's projection."""
    # The loop starts from it, so that it cannot start before it.
    zs = xs @ weights.w_xh
    hidden = xs.shape[-1]

    def step(h: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
        return (h @ weights.w_hh)[:, :hidden], h

    last, hs = lax.scan(step, zs[0, :, :hidden], None, length=len(xs))
    return hs, last, zs[0]
