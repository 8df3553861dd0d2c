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

BLOCK = 16 * 2**20
"""Bytes of logits that are there at once."""


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
    losses, gradients = _losses_and_gradients(hs, table, b, targets, jnp.ones_like(hs[:, 0]))
    return losses, (gradients, hs, table, b, targets)


def _backward(kept: Any, weights: jax.Array) -> tuple[Any, ...]:
    gradients, hs, table, b, targets = kept
    one = weights[0]
    found = jax.lax.cond(
        (weights == one).all(),
        lambda: jax.tree.map(lambda g: one * g, gradients),
        lambda: _losses_and_gradients(hs, table, b, targets, weights)[1],
    )
    return (*found, None)


linear_cross_entropy.defvjp(_forward, _backward)


def _losses_and_gradients(
    hs: jax.Array, table: jax.Array, b: jax.Array, targets: jax.Array, weights: jax.Array
) -> tuple[jax.Array, _Gradients]:
    """The loss of each row, and the gradients of their weighted sum."""

    def block(sums: tuple[jax.Array, jax.Array], rows: Any) -> tuple[Any, Any]:
        d_table, d_b = sums
        hs, targets, weights = rows
        logits = hs @ table.T + b
        top = logits.max(-1, keepdims=True)
        unnormalized = jnp.exp(logits - top)
        total = unnormalized.sum(-1, keepdims=True)
        right = jnp.take_along_axis(logits, targets[:, None], -1)
        losses = (jnp.log(total) + top - right)[:, 0]
        tokens = jax.lax.broadcasted_iota(targets.dtype, logits.shape, 1)
        hit = (tokens == targets[:, None]).astype(logits.dtype)
        d_logits = (unnormalized / total - hit) * weights[:, None]
        sums = d_table + d_logits.T @ hs, d_b + d_logits.sum(0)
        return sums, (losses, d_logits @ table)

    rows = len(hs)
    blocks = max(1, -(-rows * len(b) * hs.dtype.itemsize // BLOCK))
    size = -(-rows // blocks)

    def in_blocks(x: jax.Array) -> jax.Array:
        # What is padded has a weight of zero.
        padded = jnp.pad(x, [(0, blocks * size - rows), *[(0, 0)] * (x.ndim - 1)])
        return padded.reshape(blocks, size, *x.shape[1:])

    zeros = jnp.zeros_like(table), jnp.zeros_like(b)
    (d_table, d_b), (losses, d_hs) = jax.lax.scan(
        block, zeros, jax.tree.map(in_blocks, (hs, targets, weights))
    )
    d_hs = d_hs.reshape(-1, hs.shape[-1])[:rows]
    return losses.reshape(-1)[:rows], _Gradients(d_hs, d_table, d_b)
