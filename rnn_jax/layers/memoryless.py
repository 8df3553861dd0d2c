"""A layer without memory: a cell with an empty carry whose work is all `project`."""

import abc
from typing import Any, final

import jax

from rnn_jax.cell import Cell, Method, Params
from rnn_jax.recurrence.steps import Steps


class Memoryless(Cell):
    """A cell without a memory: `project` computes all steps at once, without a loop."""

    @abc.abstractmethod
    def project(self, params: Params, xs: Any) -> jax.Array:
        """What the layer computes, for any leading axes."""

    @final
    def initial_carry(self, params: Params, batch_shape: tuple[int, ...] = ()) -> tuple[()]:
        """The empty carry."""
        del params, batch_shape
        return ()

    @final
    def step(self, params: Params, carry: tuple[()], z: jax.Array) -> tuple[tuple[()], jax.Array]:
        """Hand on what `project` made."""
        del params
        return carry, z

    @final
    def unroll(
        self, params: Params, xs: Any, carry: tuple[()], steps: Steps, method: Method
    ) -> tuple[tuple[()], jax.Array]:
        """All steps at once, whatever the method."""
        del method
        return carry, steps.blank(self.project(*self.draw(params, xs, steps)))
