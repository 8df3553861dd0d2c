"""The loop that a textbook shows."""

import dataclasses
from typing import Any

import jax
from jax import lax

from rnn_jax.arguments.settings import positive, settle
from rnn_jax.recurrence.recurrence import Carry, Params, Recurrence


@dataclasses.dataclass(frozen=True)
class Scan:
    """`jax.lax.scan` over the cell's step, differentiated by JAX: the reference.

    Reverse mode stores every intermediate of every step and adds an outer product to each
    weight's cotangent at every step; `BPTT` does neither.

    Raises `ArgumentError` for an `unroll` that is not a positive integer.
    """

    unroll: int = 1
    """How many steps one iteration of the compiled loop holds."""

    def __post_init__(self) -> None:
        """Refuse a loop without steps."""
        settle(self, unroll=positive)

    def __call__(
        self, cell: Recurrence, params: Params, xs: Any, carry: Carry
    ) -> tuple[Carry, jax.Array]:
        """Project all steps, then step through them."""

        def step(carry: Carry, z: Any) -> tuple[Carry, jax.Array]:
            return cell.step(params, carry, z)

        return lax.scan(step, carry, cell.project(params, xs), unroll=self.unroll)
