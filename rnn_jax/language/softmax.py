"""What each next token costs, without the logits of a window ever being there at once.

The logits of a window, `(T * batch, vocabulary)`, are many times as large as all else that a
training step makes. So they are made a block of rows at a time; while a block is there, its part of
every gradient is worked out too. Sources: Hsu et al., Liger kernel, 2024, arXiv:2410.10989;
Wijmans et al., Cut your losses in large-vocabulary language models, ICLR 2025.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

BLOCK = 32 * 2**20
"""Bytes of logits that are there at once."""

CLOSE = 30.0
"""In nats. So much less in the exponent costs no digit of what counts, even in float32."""


class _Gradients(NamedTuple):
    hs: jax.Array
    table: jax.Array
    b: jax.Array


@jax.custom_vjp
def linear_cross_entropy(
    hs: jax.Array, table: jax.Array, b: jax.Array, targets: jax.Array
) -> jax.Array:
    """-log softmax(hs @ table.T + b)[target] in nats, of each row.

    Differentiated, it takes the three matmuls that it must, if all rows count the same, as in a
    mean; else the logits are made twice, so five. Reverse mode only.

    Args:
        hs: (N, H).
        table: (V, H).
        b: (V,).
        targets: (N,) of integers.

    Returns:
        (N,).
    """
    return _forward(hs, table, b, targets)[0]


def _forward(
    hs: jax.Array, table: jax.Array, b: jax.Array, targets: jax.Array
) -> tuple[jax.Array, Any]:
    losses, gradients = _losses_and_gradients(hs, table, b, targets, _as_in_a_mean(hs))
    return losses, (gradients, hs, table, b, targets)


def _backward(kept: Any, weights: jax.Array) -> tuple[Any, ...]:
    gradients, hs, table, b, targets = kept
    # Of a mean this is 1, which the compiler finds out: then nothing is left of all this.
    factor = weights[0] / _as_in_a_mean(hs)[0]
    found = jax.lax.cond(
        (weights == weights[0]).all(),
        lambda: jax.tree.map(lambda g: factor * g, gradients),
        lambda: _losses_and_gradients(hs, table, b, targets, weights)[1],
    )
    return (*found, None)


linear_cross_entropy.defvjp(_forward, _backward)


def _as_in_a_mean(hs: jax.Array) -> jax.Array:
    """What each row counts in the mean of all."""
    return jnp.full_like(hs[:, 0], 1 / len(hs))


def _losses_and_gradients(
    hs: jax.Array, table: jax.Array, b: jax.Array, targets: jax.Array, weights: jax.Array
) -> tuple[jax.Array, _Gradients]:
    """The loss of each row, and the gradients of their weighted sum."""
    rows = len(hs)
    blocks = max(1, -(-rows * len(b) * hs.dtype.itemsize // BLOCK))
    if blocks == 1:
        return _block(hs, table, b, targets, weights)
    size = -(-rows // blocks)

    def in_blocks(x: jax.Array) -> jax.Array:
        # What is padded has a weight of zero.
        padded = jnp.pad(x, [(0, blocks * size - rows), *[(0, 0)] * (x.ndim - 1)])
        return padded.reshape(blocks, size, *x.shape[1:])

    def add(sums: Any, block: Any) -> tuple[Any, Any]:
        hs, targets, weights = block
        losses, gradients = _block(hs, table, b, targets, weights)
        sums = jax.tree.map(jnp.add, sums, (gradients.table, gradients.b))
        return sums, (losses, gradients.hs)

    zeros = jnp.zeros_like(table), jnp.zeros_like(b)
    (d_table, d_b), (losses, d_hs) = jax.lax.scan(
        add, zeros, jax.tree.map(in_blocks, (hs, targets, weights))
    )
    d_hs = d_hs.reshape(-1, hs.shape[-1])[:rows]
    return losses.reshape(-1)[:rows], _Gradients(d_hs, d_table, d_b)


def _block(
    hs: jax.Array, table: jax.Array, b: jax.Array, targets: jax.Array, weights: jax.Array
) -> tuple[jax.Array, _Gradients]:
    """The same, of rows whose logits are all there at once.

    The cotangent of the logits is `weights (softmax - hit)`, with `hit` 1 at the target. It is
    never made: what scales a row is applied to the state, before or after a matmul, and `hit`
    picks a row of the table, or adds to one. So one pass makes `exp(logits)`, and the matmuls read
    that.
    """
    scores = hs @ table.T
    top = _top(scores, b)
    right = jnp.take_along_axis(scores, targets[:, None], -1)[:, 0] + b[targets]
    unnormalized = jnp.exp(scores + b[None] - top[:, None])
    total = unnormalized.sum(-1)
    scale, weight = (weights / total)[:, None], weights[:, None]
    d_hs = scale * (unnormalized @ table) - weight * table[targets]
    d_table = (unnormalized.T @ (scale * hs)).at[targets].add(-weight * hs)
    d_b = (scale[:, 0] @ unnormalized).at[targets].add(-weights)
    return jnp.log(total) + top - right, _Gradients(d_hs, d_table, d_b)


def _top(scores: jax.Array, b: jax.Array) -> jax.Array:
    """What to take from the logits of each row before exp: their largest, or little more.

    Where the biases lie close together, the largest score and the largest bias will do, and no
    pass over all logits has to add one to the other before it.
    """
    return jax.lax.cond(
        b.max() - b.min() < CLOSE,
        lambda: scores.max(-1) + b.max(),
        lambda: (scores + b[None]).max(-1),
    )
