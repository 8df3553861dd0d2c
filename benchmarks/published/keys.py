"""The layers of a network that is the same at every key of a piano."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

import rnn_jax as rnn


class AroundParams(NamedTuple):
    """Params of `Around`."""

    kernel: jax.Array
    """`(2 reach + 1, C, F)`: how what is at each distance is seen, from the lowest."""
    place: jax.Array
    """`(places, F)`: what is special about each place."""


@dataclasses.dataclass(frozen=True)
class Around(rnn.Memoryless):
    """What is at each place, and behind it what is around it: a convolution along the places.

    `y[k] = [x[k], tanh(sum_d x[k + d] kernel[d] + place[k])]`. x `(*batch, places, C)`,
    y `(*batch, places, C + F)`.
    """

    places: int
    features: int
    """C."""
    seen: int
    """F."""
    reach: int
    """How many places to either side."""

    @property
    def input(self) -> rnn.Input:
        return rnn.Input((self.places, self.features), jnp.floating)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> AroundParams:
        shape = (2 * self.reach + 1, self.features, self.seen)
        kernel = jax.nn.initializers.lecun_normal()(key, shape, dtype)
        return AroundParams(kernel, jnp.zeros((self.places, self.seen), dtype))

    def project(self, params: AroundParams, xs: Any) -> jax.Array:
        rows = xs.reshape(-1, *self.input.shape)
        seen = jax.lax.conv_general_dilated(
            rows, params.kernel, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")
        )
        seen = jnp.tanh(seen + params.place).reshape(*xs.shape[:-1], self.seen)
        return jnp.concatenate([xs, seen], -1)


@dataclasses.dataclass(frozen=True)
class Reshape(rnn.Memoryless):
    """The same numbers in another shape."""

    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def input(self) -> rnn.Input:
        return rnn.Input(self.before, jnp.floating)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> tuple[()]:
        return ()

    def project(self, params: tuple[()], xs: Any) -> jax.Array:
        lead = xs.ndim - len(self.before)
        return xs.reshape(*xs.shape[:lead], *self.after)


def at_keys(keys: int, cell: Callable[[int, int], rnn.Cell], settings: dict) -> list[rnn.Cell]:
    """A frame -> what the past says of each key `(keys, hidden)`; after Johnson (2017).

    Each layer shows every key's cell what is around it in the layer below; so music is the same
    wherever it is on the piano, but for what is learned about single keys.
    """
    hidden, seen, reads = settings["hidden"], settings["seen"], 1
    layers: list[rnn.Cell] = [Reshape((keys,), (keys, 1))]
    for reach in settings["reach"]:
        inside = rnn.stack(cell(reads + seen, hidden), rnn.Dropout(hidden, settings["dropout"]))
        layers += [Around(keys, reads, seen, reach), rnn.at_each(inside, keys)]
        reads = hidden
    return layers


def logit_at_keys(keys: int, hidden: int) -> list[rnn.Cell]:
    """What the past says of each key -> a logit of each `(keys,)`."""
    return [rnn.at_each(rnn.Dense(hidden, 1), keys), Reshape((keys, 1), (keys,))]
