"""The adding problem: two numbers of many, and their sum at the end."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import at_least
from rnn_jax.tasks.settings import check_settings

MARKED = at_least(2, ", for two steps are marked")


class Adding(NamedTuple):
    """A batch of the adding problem."""

    xs: jax.Array
    """`(T, B, 2)`: a number from [0, 1) at every step, and 1 at the two that count, else 0."""
    targets: jax.Array
    """`(B,)`: the sum of those two numbers, to be said at the last step."""

    @property
    def chance(self) -> float:
        """The mean squared error of the best answer without memory, always 1: `1/6`."""
        return 1 / 6


def adding(
    key: jax.Array, length: int, batch_size: int, *, dtype: DTypeLike = jnp.float32
) -> Adding:
    """The adding problem: say at the end the sum of the two numbers that were marked.

    All numbers are uniform in [0, 1). One mark is at a random step of the first half of the
    sequence, the other at one of the second half, so that the first lies at least `length // 2`
    steps before the answer. The answer 1, the mean, has the squared error
    `Var(u_1 + u_2) = 1/6`, about 0.167; a loss well below it shows memory.

    Shapes: xs `(T, B, 2)`, targets `(B,)`, T = length and B = batch_size, static under `jit`.
    Sources: Hochreiter & Schmidhuber, Long short-term memory, Neural Computation 9, 1997,
    experiment 4; in this form, Arjovsky, Shah & Bengio, Unitary evolution recurrent neural
    networks, ICML 2016, which also gives the 0.167.

    Raises `ArgumentError` for a length below 2, and a batch_size that is not a positive integer,
    and `StructureError` for what is not one key.

    >>> import jax, rnn_jax as rnn
    >>> task = rnn.tasks.adding(jax.random.key(0), length=50, batch_size=4)
    >>> task.xs.shape, task.xs[..., 1].sum(0).tolist(), round(task.chance, 3)
    ((50, 4, 2), [2.0, 2.0, 2.0, 2.0], 0.167)
    """
    key, length, batch_size, dtype = check_settings(
        "adding", key, length, batch_size, dtype, MARKED
    )
    k_numbers, k_first, k_second = jax.random.split(key, 3)
    numbers = jax.random.uniform(k_numbers, (length, batch_size), dtype)
    first = jax.random.randint(k_first, (batch_size,), 0, length // 2, jnp.int32)
    second = jax.random.randint(k_second, (batch_size,), length // 2, length, jnp.int32)
    steps = jnp.arange(length, dtype=jnp.int32)[:, None]
    marks = ((steps == first[None]) | (steps == second[None])).astype(dtype)
    return Adding(jnp.stack([numbers, marks], axis=-1), jnp.sum(numbers * marks, axis=0))
