"""A layer that adds to what it reads."""

import dataclasses
from typing import Any, overload

import jax

from rnn_jax.cell import Carry, Cell, Layer, Method, Params
from rnn_jax.combinators.fit import check_part, describe, fits, output
from rnn_jax.combinators.wrapper import WrappedCell, Wrapper
from rnn_jax.errors import ArgumentError
from rnn_jax.recurrence.steps import Steps


@dataclasses.dataclass(frozen=True)
class ResidualLayer(Wrapper):
    """`y_t = x_t + layer(x)_t`. Made by `residual`."""

    def unroll(
        self, params: Params, xs: jax.Array, carry: Carry, steps: Steps, method: Method
    ) -> tuple[Carry, jax.Array]:
        """Run the layer inside and add its input to its output."""
        carry, ys = self.layer.unroll(params, xs, carry, steps, method)
        return carry, xs + ys


@dataclasses.dataclass(frozen=True)
class Residual(ResidualLayer, WrappedCell):
    """A residual layer around a cell, which is a cell."""

    def readout(self, params: Params, hs: jax.Array, xs: Any) -> jax.Array:
        return xs + self.layer.readout(params, hs, xs)


@overload
def residual(layer: Cell) -> Residual: ...
@overload
def residual(layer: Layer) -> ResidualLayer: ...
def residual(layer: Layer) -> ResidualLayer:
    """The layer with its input added to what it emits: `y_t = x_t + layer(x)_t`.

    Params and carry are the layer's own. A cell remains a cell. Source: He et al., Deep residual
    learning for image recognition, CVPR 2016; for stacked LSTMs: Wu et al., 2016,
    arXiv:1609.08144.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.residual(rnn.GRU(4, 4))
    >>> rnn.unroll(cell, cell.init(jax.random.key(0)), jnp.ones((7, 4)))[1].shape
    (7, 4)

    Raises `ArgumentError` where the layer does not emit what it reads.
    """
    check_part("residual: the layer", layer)
    emitted = output(layer)
    if not fits(emitted, layer.input):
        raise ArgumentError(
            f"residual: {layer!r} reads {describe(layer.input)} a step but emits "
            f"{describe(emitted)}; to add them they must be alike."
        )
    return (Residual if isinstance(layer, Cell) else ResidualLayer)(layer)
