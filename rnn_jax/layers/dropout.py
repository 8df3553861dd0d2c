"""Dropout between layers: of units drawn at each step, or of the same units at all steps."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import one_rate, positive, settle
from rnn_jax.cell import Input
from rnn_jax.devices.sharding import split_like
from rnn_jax.layers.memoryless import Memoryless
from rnn_jax.noise import (
    Noisy,
    drop,
    missing_key,
    required_key,
    survivors,
    survivors_by_step,
)
from rnn_jax.recurrence.steps import Steps


@dataclasses.dataclass(frozen=True)
class Dropout(Memoryless):
    """Zero each number with probability `rate`, and divide the others by `1 - rate`.

    `y_t = m_t x_t / (1 - rate)`, `m_t ~ Bernoulli(1 - rate)` drawn anew for each step, unit and
    sequence of the batch, from the `key` of `unroll`. Shapes: x and y `(*batch, features)`. No
    params. `deterministic()` has a rate of 0. Sources: Srivastava et al., JMLR 15, 2014; between
    the layers of a recurrent network: Zaremba, Sutskever & Vinyals, 2014, arXiv:1409.2329.

    The rate is a setting, and another rate another program: where it changes by a schedule, let it
    change in a few stages, with the same params for a layer of each rate.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> layer = rnn.Dropout(features=3, rate=0.5)
    >>> _, ys = rnn.unroll(layer, (), jnp.ones((100, 3)), key=jax.random.key(0))
    >>> sorted(set(ys.ravel().tolist()))
    [0.0, 2.0]
    >>> _, ys = rnn.unroll(layer.deterministic(), (), jnp.ones((100, 3)))
    >>> bool((ys == 1).all())
    True

    Raises `ArgumentError` for a rate outside [0, 1), and where a key is missing.
    """

    features: int
    """How many numbers it reads and emits at a step."""
    rate: float
    """The probability that a number is dropped."""

    def __post_init__(self) -> None:
        """Refuse what is no size and no rate."""
        settle(self, features=positive, rate=one_rate)

    @property
    def input(self) -> Input:
        """`(features,)` numbers a step."""
        return Input((self.features,), jnp.floating)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> tuple[()]:
        """Nothing to learn."""
        del key, dtype
        return ()

    def deterministic(self) -> "Dropout":
        """Nothing is dropped."""
        return dataclasses.replace(self, rate=0.0)

    def draw(self, params: tuple[()], xs: jax.Array, steps: Steps) -> tuple[tuple[()], Any]:
        """Which numbers survive, for all steps."""
        if not self.rate:
            return params, xs
        mask = self.mask(xs, steps)
        return params, Noisy(xs, split_like(mask, xs, 0, xs.ndim))

    def mask(self, xs: jax.Array, steps: Steps) -> jax.Array:
        """`(T, *batch, features)` of bool, or what broadcasts to it."""
        return survivors_by_step(self, steps, self.rate, xs.shape)

    def project(self, params: tuple[()], xs: Any) -> jax.Array:
        """Zero what was drawn to be dropped."""
        if not self.rate:
            return xs
        if not isinstance(xs, Noisy):
            raise missing_key(self)
        return drop(xs.noise, xs.value, self.rate)


@dataclasses.dataclass(frozen=True)
class VariationalDropout(Dropout):
    """Dropout that drops the same units at all steps of a run.

    `y_t = m x_t / (1 - rate)` with one `m ~ Bernoulli(1 - rate)` for all steps, drawn anew for
    each unit, each sequence of the batch, and each call of `unroll`. Shapes, `deterministic()`,
    schedules and errors as for `Dropout`. Source: Gal & Ghahramani, A theoretically grounded
    application of dropout in recurrent neural networks, NeurIPS 2016. On the recurrent state:
    `variational`.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> layer = rnn.VariationalDropout(features=3, rate=0.5)
    >>> _, ys = rnn.unroll(layer, (), jnp.ones((100, 3)), key=jax.random.key(0))
    >>> bool((ys == ys[:1]).all())
    True
    """

    def mask(self, xs: jax.Array, steps: Steps) -> jax.Array:
        """`(1, *batch, features)` of bool."""
        return survivors(required_key(self, steps.key), self.rate, xs.shape[1:])[None]
