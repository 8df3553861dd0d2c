"""Layers around another layer: each method is the inner one's unless a subclass overrides it."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import instance, settle
from rnn_jax.cell import Carry, Cell, Input, Layer, Method, Params, SplitCell
from rnn_jax.recurrence.steps import Steps


@dataclasses.dataclass(frozen=True)
class Wrapper(Layer):
    """A layer that calls the layer inside for everything; subclasses override what differs."""

    inside: ClassVar[type] = Layer
    """The class that the layer inside must have."""
    layer: Any
    """The layer inside."""

    def __post_init__(self) -> None:
        """Refuse what is no layer, or has no step where one is needed."""
        settle(self, layer=instance(type(self).inside))

    @property
    def input(self) -> Input:
        """What the layer inside reads."""
        return self.layer.input

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Params:
        """The params of the layer inside."""
        return self.layer.init(key, dtype)

    def initial_carry(self, params: Params, batch_shape: tuple[int, ...] = ()) -> Carry:
        """The initial carry of the layer inside."""
        return self.layer.initial_carry(params, batch_shape)

    def unroll(
        self, params: Params, xs: Any, carry: Carry, steps: Steps, method: Method
    ) -> tuple[Carry, jax.Array]:
        """Run the layer inside."""
        return self.layer.unroll(params, xs, carry, steps, method)


@dataclasses.dataclass(frozen=True)
class WrappedCell(Wrapper, Cell):
    """The same around a cell. Its loop over time is that of the cell inside."""

    inside: ClassVar[type] = Cell

    def project(self, params: Params, xs: Any) -> Any:
        return self.layer.project(params, xs)

    def step(self, params: Params, carry: Carry, z: Any) -> tuple[Carry, jax.Array]:
        return self.layer.step(params, carry, z)

    def readout(self, params: Params, hs: jax.Array, xs: Any) -> jax.Array:
        return self.layer.readout(params, hs, xs)


@dataclasses.dataclass(frozen=True)
class WrappedSplitCell(Wrapper, SplitCell):
    """The same around a split cell, but with a loop over time of its own."""

    inside: ClassVar[type] = SplitCell

    def project(self, params: Params, xs: Any) -> Any:
        return self.layer.project(params, xs)

    def recur(self, params: Params, carry: Carry, z: Any) -> Any:
        return self.layer.recur(params, carry, z)

    def update(self, carry: Carry, a: Any) -> Carry:
        return self.layer.update(carry, a)

    def emit(self, carry: Carry, a: Any) -> Any:
        return self.layer.emit(carry, a)

    def readout(self, params: Params, hs: jax.Array, xs: Any) -> jax.Array:
        return self.layer.readout(params, hs, xs)

    def draw(self, params: Params, xs: Any, steps: Steps) -> tuple[Params, Any]:
        return self.layer.draw(params, xs, steps)

    unroll = SplitCell.unroll
