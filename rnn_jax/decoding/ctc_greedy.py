"""Labels out of a network trained by CTC, by its likeliest path."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.arguments.ctc import ctc_logits
from rnn_jax.decoding.sequences import Sequences


def ctc_greedy(logits: Any, lengths: Any = None, blank: int = 0) -> Sequences:
    """The labels of the likeliest path: the largest logit of each step, merged, without blanks.

    Repetitions are merged first, and blanks dropped then. The labels of the likeliest path need not
    be the likeliest labels, which have many paths: `ctc_beam` adds those up. Cost: one pass over
    the logits, no loop. Source: best path decoding of Graves et al., ICML 2006.

    Args:
      logits: `(T, *batch, V)`, floating, T at least 1: of all labels and the blank.
      lengths: `(*batch)` of integers from 0 to T, how many steps each sequence has; all T if None.
        What logits hold after that does not matter.
      blank: The class that stands for no label.

    Returns:
      `Sequences(tokens (T, *batch), lengths (*batch))`: the labels, and blanks after them. A label
      is -1 where the largest logit is NaN or infinite, or a length is out of range under jit.

    Raises:
      ShapeError, DtypeError, StructureError, ArgumentError: logits, lengths or blank are not such.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> logits = jax.nn.one_hot(jnp.array([2, 2, 0, 2, 1, 1, 0]), 3)
    >>> labels, length = rnn.decoding.ctc_greedy(logits)
    >>> labels[:length].tolist()
    [2, 2, 1]
    """
    logits, lengths, blank = ctc_logits("ctc_greedy", logits, lengths, blank)
    return _ctc_greedy(blank, logits, lengths)


@functools.partial(jax.jit, static_argnums=0)
def _ctc_greedy(blank: int, logits: jax.Array, lengths: jax.Array) -> Sequences:
    path = jnp.argmax(logits, -1).astype(jnp.int32)
    path = jnp.where(jnp.isfinite(logits.max(-1)), path, -1)
    # One that has no length has no sound step.
    path = jnp.where(lengths[None] < 0, -1, path)
    before = jnp.concatenate([jnp.full_like(path[:1], blank), path[:-1]])
    t = jax.lax.broadcasted_iota(jnp.int32, path.shape, 0)
    happens = (t < lengths[None]) | (lengths[None] < 0)
    kept = happens & (path != blank) & (path != before)
    # Those that are kept come first, in their order.
    order = jnp.argsort(~kept, axis=0, stable=True)
    counts = kept.sum(0, dtype=jnp.int32)
    labels = jnp.where(t < counts[None], jnp.take_along_axis(path, order, 0), blank)
    return Sequences(labels, counts)
