"""The orbit step by step."""

import dataclasses
from typing import Any

from jax import lax

from rnn_jax.methods.blocks import equal_parts, length, scan_blocks
from rnn_jax.methods.tangent import Keep, Kept
from rnn_jax.recurrence.recurrence import Carry, Params, Recurrence
from rnn_jax.recurrence.structure import structure


@dataclasses.dataclass(frozen=True)
class Sequential:
    """`lax.scan`, with the inputs of a block of steps projected at once."""

    block: int | None = None
    """Steps of a block; None takes about a MiB of preactivations, in equal parts."""

    def __call__(
        self, cell: Recurrence, keep: Keep, params: Params, start: Carry, xs: Any
    ) -> tuple[Carry, Kept]:
        """The last carry, and of each step what is to be kept."""
        size = structure(cell, params, start, xs).bytes

        def block(carry: Carry, xs: Any) -> tuple[Carry, Kept]:
            def step(carry: Carry, z: Any) -> tuple[Carry, Kept]:
                a = cell.recur(params, carry, z)
                carry = cell.update(carry, a)
                return carry, keep.of(cell, carry, a)

            return lax.scan(step, carry, cell.project(params, xs))

        return scan_blocks(block, self.block or equal_parts(length(xs), size), start, xs)
