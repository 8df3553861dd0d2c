"""Delayed XOR: at every step, whether bits of long ago differ."""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import increasing
from rnn_jax.tasks.settings import check_settings


class DelayedXOR(NamedTuple):
    """A batch of the delayed-XOR problem."""

    xs: jax.Array
    """`(T, B, 1)`: a bit at every step, 0 or 1."""
    targets: jax.Array
    """`(length, B)` int32: the bit to say at each of the last `length` steps."""

    @property
    def chance(self) -> float:
        """The cross-entropy of a guess, in nats, `log 2`; half of them are right."""
        return math.log(2)


def delayed_xor(
    key: jax.Array,
    length: int,
    batch_size: int,
    *,
    delays: Sequence[int] = (10, 20),
    dtype: DTypeLike = jnp.float32,
) -> DelayedXOR:
    """The delayed-XOR problem: say at every step whether the bits of some steps ago differ.

    The input is a stream of fair bits; the target is `y_t = x_{t - d} xor x_{t - d'} xor ...`
    over the delays d: 1 where an odd number of those bits are 1. With one delay it is the
    delayed copy, `y_t = x_{t - d}`, which a linear network can do. It is to be said at the last
    `length` steps, those for which all of the bits were seen: `T = max(delays) + length`. Whoever
    forgets one of them is left with a fair bit, a cross-entropy of `log 2 = 0.693` nats.

    Shapes: xs `(T, B, 1)`, targets `(length, B)`, B = batch_size; length, batch_size and delays
    are static under `jit`. Source: Engelken, Gradient flossing: improving gradient descent through
    dynamic control of Jacobians, NeurIPS 2023, whose delayed XOR has the delays d / 2 and d.

    Raises `ArgumentError` for a length or a batch_size that is not a positive integer, and for
    delays that are not increasing positive integers; `StructureError` for what is not one key.

    >>> import jax, rnn_jax as rnn
    >>> task = rnn.tasks.delayed_xor(jax.random.key(0), length=30, batch_size=4, delays=(5, 10))
    >>> task.xs.shape, task.targets.shape, round(task.chance, 3)
    ((40, 4, 1), (30, 4), 0.693)
    """
    key, length, batch_size, dtype = check_settings("delayed_xor", key, length, batch_size, dtype)
    lags = increasing("delayed_xor: delays", delays).tolist()
    bits = jax.random.randint(key, (lags[-1] + length, batch_size), 0, 2, jnp.int32)
    parts = (bits[lags[-1] - lag : len(bits) - lag] for lag in lags)
    targets = functools.reduce(jnp.bitwise_xor, parts)
    return DelayedXOR(bits[..., None].astype(dtype), targets)
