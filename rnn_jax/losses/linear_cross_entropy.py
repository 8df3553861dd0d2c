"""What each next token costs, without the logits of a window ever being there at once.

The logits of a window, `(T * batch, vocabulary)`, are many times as large as all else that a
training step makes. So they are made a block of rows at a time; while a block is there, its part of
every gradient is worked out too.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax.arguments import integers
from rnn_jax.arguments.arrays import array
from rnn_jax.errors import DtypeError, ShapeError

BLOCK = 32 * 2**20
"""Bytes of logits that are there at once."""

CLOSE = 30.0
"""In nats. So much less in the exponent costs no digit of what counts, even in float32."""


def linear_cross_entropy(hs: Any, table: Any, b: Any, targets: Any) -> jax.Array:
    """The softmax cross-entropy of a linear output layer, without making all of its logits.

    `-log softmax(hs @ table.T + b)[target]` in nats, of each row of `hs`: what
    `optax.softmax_cross_entropy_with_integer_labels` says of the logits, and so the loss of a
    language model, whose logits are the largest arrays of a training step by far.

    Cost, with N rows: the logits are made in blocks of 32 MiB, and memory does not grow with N
    beyond the gradients. Differentiated, it takes `3 * 2 N H V` operations if all rows count the
    same, as in a mean or a sum, where the logits are made once; else they are made twice, and it
    takes `5 * 2 N H V`. Called without a gradient under `jit`, it takes `2 N H V`.

    Sources: Hsu et al., Liger kernel, 2024, arXiv:2410.10989 (gradients within the forward pass);
    Wijmans et al., Cut your losses in large-vocabulary language models, ICLR 2025 (in blocks).

    Args:
      hs: `(..., H)`, floating: what the output layer reads, with any leading axes.
      table: `(V, H)`: a row a class. It is `w` of an `Embedding` that is tied to the output, and
        `w.T` of a `Dense` layer.
      b: `(V,)`: the biases; `table` and `b` are of the dtype of `hs`.
      targets: `(...)` of integers in `[0, V)`: the right class. Any other costs NaN, for under jit
        nothing can be raised.

    Returns:
      `(...)` of the dtype of `hs`: what each row costs. Reverse mode only: `jax.jvp` and the
      Hessian-vector products of forward over reverse cannot pass it.

    Raises:
      ShapeError: The arguments do not fit together, or there is no row or no class.
      DtypeError: Of `hs`, `table` and `b` one is not floating or of another dtype, or targets are
        no integers.
      StructureError: What is no array.

    >>> import jax, jax.numpy as jnp, optax, rnn_jax as rnn
    >>> hs, table, b = jnp.ones((7, 2, 4)), jnp.ones((9, 4)), jnp.arange(9.0)
    >>> targets = jnp.full((7, 2), 3)
    >>> losses = jax.jit(rnn.linear_cross_entropy)(hs, table, b, targets)
    >>> logits = hs @ table.T + b
    >>> plain = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
    >>> losses.shape, bool(jnp.allclose(losses, plain))
    ((7, 2), True)
    """
    hs, table, b, targets = _checked(hs, table, b, targets)
    rows = hs.reshape(-1, hs.shape[-1])
    classes = integers.count(targets.ravel(), len(table) - 1)
    return _of_rows(rows, table, b, classes).reshape(targets.shape)


def _checked(hs: Any, table: Any, b: Any, targets: Any) -> tuple[jax.Array, ...]:
    given = {"hs": hs, "table": table, "b": b, "targets": targets}
    hs, table, b, targets = (
        array(f"linear_cross_entropy: {name}", value) for name, value in given.items()
    )
    if hs.ndim == 0 or 0 in hs.shape:
        raise ShapeError(
            f"linear_cross_entropy: hs must have shape (..., H) and at least one row, got "
            f"{hs.shape}."
        )
    features = hs.shape[-1]
    if table.ndim != 2 or table.shape[1] != features or len(table) == 0:
        advice = "; take its transpose, table.T" if table.shape[:1] == (features,) else ""
        raise ShapeError(
            f"linear_cross_entropy: table must have shape (V, {features}), a row a class, to fit "
            f"hs of shape {hs.shape}, got {table.shape}{advice}."
        )
    if b.shape != (len(table),):
        raise ShapeError(
            f"linear_cross_entropy: b must have shape ({len(table)},), a bias a row of the table, "
            f"got {b.shape}; jnp.zeros({len(table)}) is none."
        )
    if targets.shape != hs.shape[:-1]:
        raise ShapeError(
            f"linear_cross_entropy: targets must have shape {hs.shape[:-1]}, that of hs without "
            f"its last axis, got {targets.shape}."
        )
    if not jnp.issubdtype(hs.dtype, jnp.floating):
        raise DtypeError(
            f"linear_cross_entropy: hs must be floating, got {hs.dtype}; hs.astype converts it."
        )
    for name, other in (("table", table), ("b", b)):
        if other.dtype != hs.dtype:
            raise DtypeError(
                f"linear_cross_entropy: {name} is {other.dtype} but hs is {hs.dtype}, and nothing "
                f"is promoted silently; {name}.astype converts it."
            )
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        raise DtypeError(
            f"linear_cross_entropy: targets must be integers, the number of the right class, got "
            f"{targets.dtype}; one-hot rows are turned into such by targets.argmax(-1)."
        )
    return hs, table, b, targets


class _Gradients(NamedTuple):
    hs: jax.Array
    table: jax.Array
    b: jax.Array


@jax.custom_vjp
def _of_rows(hs: jax.Array, table: jax.Array, b: jax.Array, targets: jax.Array) -> jax.Array:
    """The same of `(N, H)` and `(N,)` int32, of which one that is no class is -1."""
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


_of_rows.defvjp(_forward, _backward)


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
    right = jnp.where(targets < 0, jnp.nan, right)
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
