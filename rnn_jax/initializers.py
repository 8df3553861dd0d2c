"""Initialisers: functions `(key, shape, dtype) -> array`, as in `jax.nn.initializers`.

Each is a value that is found under its name or compared by its settings, so that layers made of
them are equal when they are made again, and can be pickled. A function that
`jax.nn.initializers.normal(0.1)` makes is neither: it works, but as one object that is kept.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.arrays import is_array, taken
from rnn_jax.arguments.settings import Of, above_zero, finite, settle, short
from rnn_jax.arithmetic import at_least_float32
from rnn_jax.cell import Layer
from rnn_jax.errors import ArgumentError

Initializer = Callable[..., jax.Array]
"""`(key, shape, dtype) -> array`."""


def zeros(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> jax.Array:
    """Zeros: for a bias."""
    del key
    return jnp.zeros(shape, dtype)


def identity(key: jax.Array, shape: tuple[int, int], dtype: DTypeLike = jnp.float32) -> jax.Array:
    """The identity matrix."""
    del key
    return jnp.eye(shape[0], shape[1], dtype=dtype)


def glorot(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> jax.Array:
    """Uniform with variance `2 / (rows + columns)`: Glorot & Bengio, AISTATS 2010."""
    return jax.nn.initializers.glorot_uniform()(key, shape, dtype)


def orthogonal(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> jax.Array:
    """An orthogonal matrix, of a dtype too narrow for LAPACK as well: Saxe et al., ICLR 2014."""
    return jax.nn.initializers.orthogonal()(key, shape, at_least_float32(dtype)).astype(dtype)


@dataclasses.dataclass(frozen=True)
class Normal:
    """Numbers of a normal distribution, as a value: `Normal(0.1)`.

    >>> import jax, rnn_jax as rnn
    >>> layer = rnn.Embedding(1000, 100, rnn.Normal(0.1))
    >>> round(float(layer.init(jax.random.key(0)).w.std()), 2)
    0.1
    >>> layer == rnn.Embedding(1000, 100, rnn.Normal(0.1))
    True

    Raises `ArgumentError` for a deviation that is not a positive number.
    """

    deviation: float
    """The standard deviation."""

    def __post_init__(self) -> None:
        """Refuse what is no deviation."""
        settle(self, deviation=above_zero)

    def __call__(
        self, key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
    ) -> jax.Array:
        """Draw an array."""
        return jax.nn.initializers.normal(self.deviation)(key, shape, dtype)


@dataclasses.dataclass(frozen=True)
class Uniform:
    """Numbers spread evenly from `low` to `high`, as a value: `Uniform(0.0, 1.0)`.

    >>> import jax, rnn_jax as rnn
    >>> cell = rnn.IndRNN(1, 1000, recurrent_init=rnn.Uniform(0.9, 1.0))
    >>> w_h = cell.init(jax.random.key(0)).w_h
    >>> bool(w_h.min() >= 0.9), bool(w_h.max() <= 1)
    (True, True)

    Raises `ArgumentError` for bounds that are not numbers, or not in this order.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        """Refuse what is no interval."""
        settle(self, low=finite, high=finite)
        if self.low >= self.high:
            raise ArgumentError(
                f"Uniform: low must be below high, got {self.low!r} and {self.high!r}."
            )

    def __call__(
        self, key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
    ) -> jax.Array:
        """Draw an array."""
        wide = at_least_float32(dtype)
        return jax.random.uniform(key, shape, wide, self.low, self.high).astype(dtype)


@dataclasses.dataclass(frozen=True)
class Chain:
    """A chain of units, as a value, for recurrent weights: `Chain(1.02)`.

    `w[i, i + 1] = forward`, `w[i + 1, i] = feedback`, and 0 elsewhere. A step reads `h @ w`, so
    each unit hands its number to the one behind it, and with feedback some of it to the one before.
    Without feedback it is a delay line: what enters at the first of H units leaves H steps later,
    `forward^(H - 1)` times as large, and all eigenvalues are 0.

    Shapes: `(H, H)`. The authors' code has `Chain(1.02)` and `Chain(0.99, feedback=0.04)`, and lets
    the inputs into the first units alone, `0.9 I`; `input_init=rnn.initializers.identity` is `I`.
    Source: Orhan & Pitkow, Improved memory in recurrent neural networks with sequential non-normal
    dynamics, ICLR 2020, arXiv:1905.13715.

    >>> import jax, rnn_jax as rnn
    >>> cell = rnn.Elman(1, 3, recurrent_init=rnn.Chain(2.0, feedback=0.5))
    >>> cell.init(jax.random.key(0)).w_hh.tolist()
    [[0.0, 2.0, 0.0], [0.5, 0.0, 2.0], [0.0, 0.5, 0.0]]

    Raises `ArgumentError` for what is not a finite number.
    """

    forward: float
    """The weight from each unit to the next."""
    feedback: float = 0.0
    """The weight back."""

    def __post_init__(self) -> None:
        """Refuse what is no weight."""
        settle(self, forward=finite, feedback=finite)

    def __call__(
        self, key: jax.Array, shape: tuple[int, int], dtype: DTypeLike = jnp.float32
    ) -> jax.Array:
        """The matrix; nothing is drawn."""
        del key
        ahead, back = (jnp.eye(*shape, k=k, dtype=dtype) for k in (1, -1))
        return self.forward * ahead + self.feedback * back


def drawn(
    layer: Layer, init: str, key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike
) -> jax.Array:
    """What the initialiser in the field `init` of a layer draws."""
    return check_drawn(layer, init, getattr(layer, init)(key, shape, dtype), shape, dtype)


def check_drawn(
    layer: Layer, init: str, found: Any, shape: tuple[int, ...], dtype: DTypeLike
) -> jax.Array:
    """The array that an initialiser made; raises where its shape or dtype is another."""
    found = taken(Of(layer, init), found)
    wanted = jax.dtypes.canonicalize_dtype(dtype)
    right = is_array(found) and found.shape == shape
    if right and jax.dtypes.canonicalize_dtype(found.dtype) == wanted:
        return jnp.asarray(found)
    raise ArgumentError(
        f"{layer!r}: {init}(key, shape, dtype) must return an array of the shape and dtype that it "
        f"is given, {wanted} of shape {shape}, got {short(found)}."
    )


__all__ = ["Chain", "Normal", "Uniform", "glorot", "identity", "orthogonal", "zeros"]
