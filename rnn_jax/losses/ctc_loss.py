"""Connectionist temporal classification: labels without the times at which they are said."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from rnn_jax.arguments import integers
from rnn_jax.arguments.arrays import array, count_of_steps
from rnn_jax.arguments.ctc import ctc_logits
from rnn_jax.arithmetic import widened
from rnn_jax.errors import DtypeError, ShapeError

IMPOSSIBLE = -1e30
"""In place of log 0. That of optax, -1e5, is what a few thousand steps of a poor model reach."""


def ctc_loss(
    logits: Any, labels: Any, lengths: Any = None, label_lengths: Any = None, blank: int = 0
) -> jax.Array:
    """The negative log-probability of labels, summed over all times at which they may be said.

    At each step the network says a label or a blank. What it says in T steps becomes a sequence of
    labels when repetitions are merged first, and blanks dropped then. The loss is `-log` of the sum
    of `prod_t softmax(logits_t)[path_t]` over all paths that become `labels`, in nats.

    `optax.ctc_loss` computes it; here are the lengths and the axes of this library around it. In
    what is padding, logits and labels may hold anything, be it NaN: neither value nor gradient
    depends on it. Cost: a loop of T steps over L labels.

    Source: Graves, Fernández, Gomez & Schmidhuber, Connectionist temporal classification: labelling
    unsegmented sequence data with recurrent neural networks, ICML 2006.

    Args:
      logits: `(T, *batch, V)`, floating, T at least 1: of all labels and the blank.
      labels: `(L, *batch)` of integers in `[0, V)`, and not the blank.
      lengths: `(*batch)` of integers from 0 to T, how many steps each sequence has; all T if None.
      label_lengths: `(*batch)` of integers from 0 to L, how many labels; all L if None.
      blank: The class that stands for no label.

    Returns:
      `(*batch)`: what each sequence costs. Infinity, with a gradient of zero, where there is no
      such path, or none of more than zero probability: each label needs a step, and two of the
      same need a blank between them. (optax says a number of about 1e5 there.) NaN where a label is
      the blank or out of range, or a length is out of range under jit, where nothing can be raised.

    Raises:
      ShapeError: The arguments do not fit together, or there is no step.
      ArgumentError: blank, or a length, is out of range.
      DtypeError, StructureError: What is not floating, no integers, no array.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> logits = jnp.zeros((3, 2, 4))  # every path of three steps has a probability of 4^-3
    >>> labels = jnp.array([[1, 1], [2, 1]])  # 1 2, and 1 1: five paths and one
    >>> [round(float(p), 4) for p in jnp.exp(-rnn.ctc_loss(logits, labels))]
    [0.0781, 0.0156]
    """
    logits, lengths, blank = ctc_logits("ctc_loss", logits, lengths, blank)
    labels = array("ctc_loss: labels", labels)
    if labels.ndim == 0 or labels.shape[1:] != lengths.shape:
        raise ShapeError(
            f"ctc_loss: labels must have shape (L, *batch), with the batch axes {lengths.shape} of "
            f"the logits, got {labels.shape}."
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise DtypeError(
            f"ctc_loss: labels must be integers, got {labels.dtype}; labels.astype converts it."
        )
    most = len(labels)
    label_lengths = (
        jnp.full_like(lengths, most)
        if label_lengths is None
        else count_of_steps(
            "ctc_loss: label_lengths", label_lengths, lengths.shape, 0, most, "labels"
        )
    )
    return _ctc_loss(logits, labels, lengths, label_lengths, blank)


@functools.partial(jax.jit, static_argnums=4)
def _ctc_loss(
    logits: jax.Array, labels: jax.Array, lengths: jax.Array, label_lengths: jax.Array, blank: int
) -> jax.Array:
    # optax has one batch axis, in front, and at least one label.
    batch, rows = lengths.shape, lengths.size
    logits = jnp.moveaxis(logits.reshape(len(logits), rows, logits.shape[-1]), 0, 1)
    labels = jnp.pad(labels.reshape(len(labels), rows).T, [(0, 0), (0, max(0, 1 - len(labels)))])
    lengths, label_lengths = lengths.ravel(), label_lengths.ravel()

    happens, said = _before(logits, lengths), _before(labels, label_lengths)
    labels = integers.count(labels, logits.shape[-1] - 1)
    wrong = said & ((labels < 0) | (labels == blank))
    broken = wrong.any(1) | (lengths < 0) | (label_lengths < 0)
    # Padding is selected away, and -inf made finite, for optax multiplies both by zero.
    logits = jnp.maximum(widened(jnp.where(happens[..., None], logits, 0)), IMPOSSIBLE)
    labels = jnp.where(said, labels, blank)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        losses = optax.ctc_loss(
            logits,
            (~happens).astype(logits.dtype),
            labels,
            (~said).astype(logits.dtype),
            blank_id=blank,
            log_epsilon=jnp.asarray(IMPOSSIBLE, logits.dtype),
        ).astype(logits.dtype)
    losses = jnp.where(losses > -IMPOSSIBLE / 2, jnp.inf, losses)
    return jnp.where(broken, jnp.nan, losses).reshape(batch)


def _before(x: jax.Array, lengths: jax.Array) -> jax.Array:
    """Which places `(B, N)` of x `(B, N, ...)` are before the ends."""
    return jax.lax.broadcasted_iota(jnp.int32, x.shape[:2], 1) < lengths[:, None]
