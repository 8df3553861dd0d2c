"""Copy memory: repeat ten symbols after a long silence."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.tasks.settings import check_settings

SYMBOLS, COPIED = 8, 10
BLANK, GO = SYMBOLS, SYMBOLS + 1


class CopyMemory(NamedTuple):
    """A batch of the copy-memory problem."""

    xs: jax.Array
    """`(T, B, 10)`, one-hot: eight symbols, the blank, the sign to begin."""
    targets: jax.Array
    """`(T, B)` int32: the symbol to say at every step, of the same ten."""

    @property
    def chance(self) -> float:
        """The mean cross-entropy of an answer without memory, in nats: `10 log 8 / T`."""
        return COPIED * math.log(SYMBOLS) / self.xs.shape[0]


def copy_memory(
    key: jax.Array, length: int, batch_size: int, *, dtype: DTypeLike = jnp.float32
) -> CopyMemory:
    """The copy-memory problem: ten symbols, silence, and the same ten again.

    The input is 10 symbols of eight, `length - 1` blanks, the sign to begin, and 10 blanks more:
    `T = length + 20` steps. The target is `length + 10` blanks and the 10 symbols, each
    `length + 10` steps after it was shown. Whoever knows when to speak, and not what, is
    right about the blanks and guesses the symbols, at a cross-entropy of
    `10 log 8 / (length + 20)` on the mean over the steps.

    Shapes: xs `(T, B, 10)`, targets `(T, B)`, B = batch_size; length and batch_size are static
    under `jit`. Sources: Hochreiter & Schmidhuber, Long short-term memory, Neural
    Computation 9, 1997 (the idea); in this form, Arjovsky, Shah & Bengio, Unitary evolution
    recurrent neural networks, ICML 2016, section 5.1.

    Raises `ArgumentError` for a length or a batch_size that is not a positive integer,
    and `StructureError` for what is not one key.

    >>> import jax, rnn_jax as rnn
    >>> task = rnn.tasks.copy_memory(jax.random.key(0), length=100, batch_size=4)
    >>> task.xs.shape, task.targets.shape, round(task.chance, 4)
    ((120, 4, 10), (120, 4), 0.1733)
    """
    key, length, batch_size, dtype = check_settings("copy_memory", key, length, batch_size, dtype)
    symbols = jax.random.randint(key, (COPIED, batch_size), 0, SYMBOLS, jnp.int32)
    silence = jnp.full((length + COPIED, batch_size), BLANK, jnp.int32)
    shown = jnp.concatenate([symbols, silence.at[length - 1].set(GO)])
    return CopyMemory(
        jax.nn.one_hot(shown, SYMBOLS + 2, dtype=dtype), jnp.concatenate([silence, symbols])
    )
