"""For each layer the method that its structure allows."""

import dataclasses
from typing import Any

import jax

from rnn_jax.methods.associative import Associative
from rnn_jax.methods.bptt import BPTT
from rnn_jax.recurrence.recurrence import Carry, Method, Params, Recurrence
from rnn_jax.recurrence.structure import structure


@dataclasses.dataclass(frozen=True)
class Automatic:
    """`Associative` for a layer that is linear in its carry, unit by unit; `BPTT` for any other.

    The rule reads the programs of a layer's step and nothing else, so that it holds for cells of
    your own and for padded ones. All methods give the same numbers, to rounding. How many chunks
    there are, or whether one, `Associative` decides by how many numbers a step has.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.GRU(3, 4)  # not linear in its carry: by BPTT
    >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((7, 3))
    >>> rnn.unroll(cell, params, xs, method=rnn.Automatic())[1].shape
    (7, 4)
    """

    def over_devices(self, devices: int) -> Associative:
        """No other takes a part of time on each device."""
        return Associative(devices=devices)

    def __call__(
        self, cell: Recurrence, params: Params, xs: Any, carry: Carry
    ) -> tuple[Carry, jax.Array]:
        """By the method that the rule names."""
        joins = structure(cell, params, carry, xs).joins_steps
        method: Method = Associative() if joins else BPTT()
        return method(cell, params, xs, carry)
