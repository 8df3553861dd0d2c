"""A cell of this library as a module of nnx."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from rnn_jax.arguments.settings import short
from rnn_jax.cell import Cell, Params
from rnn_jax.errors import ArgumentError
from rnn_jax.interop.flax_call import as_read
from rnn_jax.unroll import step


class CellModule(nnx.RNNCellBase):
    """A cell as an `RNNCellBase` of nnx. Made by `to_nnx`."""

    def __init__(self, layer: Cell, params: Params) -> None:
        """The arrays of `params` become `nnx.Param`s, under their own names."""
        self.layer = layer
        self.weights = nnx.data(jax.tree.map(lambda p: nnx.Param(jnp.asarray(p)), params))

    def __call__(self, carry: Any, inputs: Any) -> tuple[Any, jax.Array]:
        """One step, for any batch axes: the new carry, and what the cell emits."""
        params = self.arrays()
        return step(self.layer, params, as_read(self.layer, params, inputs), carry)

    def initialize_carry(
        self, input_shape: tuple[int, ...], rngs: Any = None, carry_init: Any = None
    ) -> Any:
        """The cell's own initial carry; or one that `carry_init` draws, array by array."""
        batch_shape = tuple(input_shape[: len(input_shape) - self.num_feature_axes])
        carry = self.layer.initial_carry(self.arrays(), batch_shape)
        if carry_init is None:
            return carry
        stream = rngs.carry if isinstance(rngs, nnx.Rngs) else rngs
        if not callable(stream):
            raise ArgumentError(
                "to_nnx: initialize_carry: a carry_init draws from rngs, nnx.Rngs(0) say, got "
                f"{short(rngs)}."
            )
        return jax.tree.map(lambda c: carry_init(stream(), c.shape, c.dtype), carry)

    @property
    def num_feature_axes(self) -> int:
        """How many axes of the input are not of the batch."""
        return len(self.layer.input.shape)

    def arrays(self) -> Params:
        """The params of the cell, as this library takes them."""
        return jax.tree.map(
            lambda p: p[...], self.weights, is_leaf=lambda p: isinstance(p, nnx.Variable)
        )


__all__ = ["CellModule"]
