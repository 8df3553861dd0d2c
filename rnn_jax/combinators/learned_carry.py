"""An initial carry that is learned."""

import dataclasses
from typing import Any, NamedTuple, overload

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.cell import Carry, Cell, Layer, Method, Params
from rnn_jax.combinators.fit import check_part
from rnn_jax.combinators.wrapper import WrappedCell, Wrapper
from rnn_jax.recurrence.steps import Steps


class LearnedCarryParams(NamedTuple):
    """The params of the layer, and its initial carry."""

    layer: Params
    """The params of the layer."""
    carry: Carry
    """Its initial carry, without batch axes."""


@dataclasses.dataclass(frozen=True)
class LearnedCarryLayer(Wrapper):
    """A layer whose initial carry is learned. Made by `learned_carry`."""

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> LearnedCarryParams:
        """The layer's own params, and the initial carry that it would have had."""
        params = self.layer.init(key, dtype)
        return LearnedCarryParams(params, self.layer.initial_carry(params))

    def initial_carry(self, params: LearnedCarryParams, batch_shape: tuple[int, ...] = ()) -> Carry:
        """The same for every sequence of the batch; a copy, so that either can be donated."""
        return jax.tree.map(
            # Without batch axes there is nothing to broadcast, and the array itself would come.
            lambda c: jnp.copy(jnp.broadcast_to(c, (*batch_shape, *c.shape))),
            params.carry,
        )

    def unroll(
        self, params: LearnedCarryParams, xs: Any, carry: Carry, steps: Steps, method: Method
    ) -> tuple[Carry, jax.Array]:
        """Run the layer inside."""
        return self.layer.unroll(params.layer, xs, carry, steps, method)


@dataclasses.dataclass(frozen=True)
class LearnedCarry(LearnedCarryLayer, WrappedCell):
    """A cell whose initial carry is learned."""

    def project(self, params: LearnedCarryParams, xs: Any) -> Any:
        return self.layer.project(params.layer, xs)

    def step(self, params: LearnedCarryParams, carry: Carry, z: Any) -> tuple[Carry, jax.Array]:
        return self.layer.step(params.layer, carry, z)

    def readout(self, params: LearnedCarryParams, hs: jax.Array, xs: Any) -> jax.Array:
        return self.layer.readout(params.layer, hs, xs)


@overload
def learned_carry(layer: Cell) -> LearnedCarry: ...
@overload
def learned_carry(layer: Layer) -> LearnedCarryLayer: ...
def learned_carry(layer: Layer) -> LearnedCarryLayer:
    """The layer with its initial carry among its params.

    The gradient reaches it through every sequence that starts afresh, at the first step or at a
    `reset`; where a carry is handed over it is not used. At first it is that of the layer, zeros
    in most cases. A cell remains a cell. Source: Forcada & Carrasco, Neural Computation 7, 1995.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.learned_carry(rnn.GRU(3, 4))
    >>> params = cell.init(jax.random.key(0))
    >>> loss = lambda params: rnn.unroll(cell, params, jnp.ones((7, 2, 3)))[1].sum()
    >>> jax.grad(loss)(params).carry.h.shape
    (4,)

    Raises `ArgumentError` for what is not a layer.
    """
    check_part("learned_carry: the layer", layer)
    return (LearnedCarry if isinstance(layer, Cell) else LearnedCarryLayer)(layer)
