"""Initial biases of a memory's gates, which decide how long an untrained cell remembers."""

import dataclasses
from typing import Protocol

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import at_least, finite, settle
from rnn_jax.arithmetic import at_least_float32


class MemoryBias(Protocol):
    """A draw of the biases of a memory's gates, as a value: `ForgetBias(1.0)`.

    Where one gate both keeps and writes, as in `GRU` and `MGU`, its bias follows from the first
    array alone. Make your own a frozen dataclass, for cells are compared by their settings.
    """

    def __call__(self, key: jax.Array, size: int, dtype: DTypeLike) -> tuple[jax.Array, jax.Array]:
        """`(remember, write)`, `(size,)` each: larger keeps longer, and writes more."""


@dataclasses.dataclass(frozen=True)
class ForgetBias:
    """The same bias for every unit: `b_remember = value`, `b_write = 0`.

    A unit whose gates see nothing else keeps the share `sigmoid(value)` of its memory a step.
    Source: Gers, Schmidhuber & Cummins, Neural Computation 12, 2000; the value 1: Jozefowicz,
    Zaremba & Sutskever, ICML 2015.

    >>> import jax, rnn_jax as rnn
    >>> cell = rnn.LSTM(1, 2, memory_bias=rnn.ForgetBias(3.0))
    >>> cell.init(jax.random.key(0)).b_h.tolist()
    [0.0, 0.0, 3.0, 3.0, 0.0, 0.0, 0.0, 0.0]

    Raises `ArgumentError` for a value that is not a finite number.
    """

    value: float
    """The bias of the gate that remembers."""

    def __post_init__(self) -> None:
        """Refuse a value that is no number."""
        settle(self, value=finite)

    def __call__(self, key: jax.Array, size: int, dtype: DTypeLike) -> tuple[jax.Array, jax.Array]:
        """The same constants for every unit."""
        del key
        return jnp.full(size, self.value, dtype), jnp.zeros(size, dtype)


@dataclasses.dataclass(frozen=True)
class Chrono:
    """Chrono initialisation: the units' spans of memory are spread over the lags of the data.

    `b_remember = log(u)`, `b_write = -b_remember`, with `u` uniform on `[1, longest - 1]` for
    each unit. A unit whose gates see nothing else keeps the share `u / (1 + u)` of its memory a
    step, so it forgets over `1 + u` steps: 2 at least, `longest` at most. Source: Tallec &
    Ollivier, Can recurrent neural networks warp time?, ICLR 2018, arXiv:1804.11188.

    >>> import jax, rnn_jax as rnn
    >>> cell = rnn.GRU(1, 5, memory_bias=rnn.Chrono(longest=100))
    >>> _, z, _ = cell.init(jax.random.key(0)).b_h.reshape(3, 5)
    >>> span = 1 / (1 - jax.nn.sigmoid(z))
    >>> bool(span.min() > 2), bool(span.max() < 100)
    (True, True)

    Raises `ArgumentError` for a `longest` that is not an integer of at least 3.
    """

    longest: int
    """The longest lag, in steps, that the data ask for; about the length of the sequences."""

    def __post_init__(self) -> None:
        """Refuse a range of lags that is empty or a point."""
        settle(self, longest=at_least(3, ", for spans are drawn between 2 steps and longest"))

    def __call__(self, key: jax.Array, size: int, dtype: DTypeLike) -> tuple[jax.Array, jax.Array]:
        """Draw a span for each unit."""
        # A narrow dtype has few numbers between 1 and longest, so the draw is in a wider one.
        wide = at_least_float32(dtype)
        u = jax.random.uniform(key, (size,), wide, minval=1, maxval=self.longest - 1)
        remember = jnp.log(u).astype(dtype)
        return remember, -remember
