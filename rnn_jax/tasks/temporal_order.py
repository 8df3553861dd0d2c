"""Temporal order: which of two symbols came first, long ago."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import at_least
from rnn_jax.tasks.settings import check_settings

TENTHS = at_least(10, ", for a tenth of the sequence must have a step")


class TemporalOrder(NamedTuple):
    """A batch of the temporal-order problem."""

    xs: jax.Array
    """`(T, B, 6)`, one-hot: the two symbols that count, A and B, then the four that do not."""
    targets: jax.Array
    """`(B,)` int32: 0 for A A, 1 for A B, 2 for B A, 3 for B B; to be said at the last step."""

    @property
    def chance(self) -> float:
        """The cross-entropy of a guess among four, in nats, `log 4`; a quarter are right."""
        return math.log(4)


def temporal_order(
    key: jax.Array, length: int, batch_size: int, *, dtype: DTypeLike = jnp.float32
) -> TemporalOrder:
    """The temporal-order problem: two symbols among distractors, and which came in which order.

    Of six symbols, A or B stands at one random step of the second tenth of the sequence,
    `[length / 10, 2 length / 10)`, and again A or B at one of the sixth,
    `[5 length / 10, 6 length / 10)`; all other steps show one of the other four. At the end the
    answer is one of four classes, so that a guess has a cross-entropy of `log 4 = 1.386` nats,
    and is right in a quarter of all cases. What was first lies 0.8 to 0.9 of the sequence back.

    Shapes: xs `(T, B, 6)`, targets `(B,)`, T = length and B = batch_size, static under `jit`.
    Sources: Hochreiter & Schmidhuber, Long short-term memory, Neural Computation 9, 1997,
    experiment 6a, whose sequences of 100 steps have these places, and symbols for start and end
    besides; in this form, Pascanu, Mikolov & Bengio, On the difficulty of training recurrent
    neural networks, ICML 2013, section 4.1 (whose text has the second
    symbol in the fifth tenth).

    Raises `ArgumentError` for a length below 10, where a tenth has no step, and a batch_size that
    is not a positive integer, and `StructureError` for what is not one key.

    >>> import jax, rnn_jax as rnn
    >>> task = rnn.tasks.temporal_order(jax.random.key(0), length=50, batch_size=4)
    >>> task.xs.shape, task.xs[..., :2].sum((0, 2)).tolist(), round(task.chance, 3)
    ((50, 4, 6), [2.0, 2.0, 2.0, 2.0], 1.386)
    """
    key, length, batch_size, dtype = check_settings(
        "temporal_order", key, length, batch_size, dtype, TENTHS
    )
    k_bits, k_others, k_first, k_second = jax.random.split(key, 4)
    bits = jax.random.randint(k_bits, (2, batch_size), 0, 2, jnp.int32)
    others = jax.random.randint(k_others, (length, batch_size), 2, 6, jnp.int32)

    def place(key: jax.Array, tenth: int) -> jax.Array:
        start, stop = tenth * length // 10, (tenth + 1) * length // 10
        return jax.random.randint(key, (batch_size,), start, stop, jnp.int32)[None]

    steps = jnp.arange(length, dtype=jnp.int32)[:, None]
    symbols = jnp.where(steps == place(k_first, 1), bits[:1], others)
    symbols = jnp.where(steps == place(k_second, 5), bits[1:], symbols)
    return TemporalOrder(jax.nn.one_hot(symbols, 6, dtype=dtype), 2 * bits[0] + bits[1])
