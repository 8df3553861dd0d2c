"""Copy memory: repeat some symbols after a long silence."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import at_least, positive
from rnn_jax.tasks.settings import check_settings

DIFFERENT = at_least(2, ", for one symbol alone need not be remembered")


class CopyMemory(NamedTuple):
    """A batch of the copy-memory problem."""

    xs: jax.Array
    """`(T, B, symbols + 2)`, one-hot: the symbols, the blank, the sign to begin."""
    targets: jax.Array
    """`(T, B)` int32: what to say at every step, a symbol or the blank."""
    shown: jax.Array
    """`(copied, B)` int32: the symbols that are to be repeated."""

    @property
    def chance(self) -> float:
        """The mean cross-entropy of an answer without memory, in nats: `copied log symbols / T`."""
        steps, _, classes = self.xs.shape
        return self.shown.shape[0] * math.log(classes - 2) / steps


def copy_memory(
    key: jax.Array,
    length: int,
    batch_size: int,
    *,
    symbols: int = 8,
    copied: int = 10,
    dtype: DTypeLike = jnp.float32,
) -> CopyMemory:
    """The copy-memory problem: some symbols, silence, and the same symbols again.

    The input is `copied` random symbols, `length - 1` blanks, the sign to begin, and as many blanks
    as symbols: `T = length + 2 copied` steps. The target is `length + copied` blanks and then the
    symbols, each `length + copied` steps after it was shown. Whoever knows when to speak, and not
    what, is right about the blanks and guesses the symbols, at a cross-entropy of
    `copied log symbols / T` on the mean over the steps.

    Ten symbols of eight are the problem of Arjovsky. The noiseless memorisation of Martens &
    Sutskever is the same with five symbols of two or ten of five: `symbols=2, copied=5` has 32
    sequences in all, and `symbols=5, copied=10` ten million.

    Shapes: xs `(T, B, symbols + 2)`, targets `(T, B)`, shown `(copied, B)`, B = batch_size; all
    sizes are static under `jit`. Sources: Hochreiter & Schmidhuber, Long short-term memory, Neural
    Computation 9, 1997 (the idea); Martens & Sutskever, Learning recurrent neural networks with
    Hessian-free optimization, ICML 2011; Arjovsky, Shah & Bengio, Unitary evolution
    recurrent neural networks, ICML 2016, section 5.1.

    Raises `ArgumentError` for a length, a batch_size or a number of copied symbols that is not a
    positive integer, and fewer than two symbols, and `StructureError` for what is not one key.

    >>> import jax, rnn_jax as rnn
    >>> task = rnn.tasks.copy_memory(jax.random.key(0), length=100, batch_size=4)
    >>> task.xs.shape, task.targets.shape, round(task.chance, 4)
    ((120, 4, 10), (120, 4), 0.1733)
    >>> bits = rnn.tasks.copy_memory(jax.random.key(0), 100, 4, symbols=2, copied=5)
    >>> bits.xs.shape, bits.shown.shape
    ((110, 4, 4), (5, 4))
    """
    key, length, batch_size, dtype = check_settings("copy_memory", key, length, batch_size, dtype)
    symbols = DIFFERENT("copy_memory: symbols", symbols)
    copied = positive("copy_memory: copied", copied)
    blank, go = symbols, symbols + 1
    shown = jax.random.randint(key, (copied, batch_size), 0, symbols, jnp.int32)
    silence = jnp.full((length + copied, batch_size), blank, jnp.int32)
    inputs = jnp.concatenate([shown, silence.at[length - 1].set(go)])
    return CopyMemory(
        jax.nn.one_hot(inputs, symbols + 2, dtype=dtype), jnp.concatenate([silence, shown]), shown
    )
