"""The orbit step by step."""

import dataclasses
from typing import Any

import jax

from rnn_jax.methods.blocks import length, pace, scan_blocks
from rnn_jax.methods.tangent import Keep, Kept
from rnn_jax.methods.written import Written, unwritten
from rnn_jax.recurrence.recurrence import Carry, Params, Recurrence
from rnn_jax.recurrence.structure import structure


@dataclasses.dataclass(frozen=True)
class Sequential:
    """`lax.scan`, with the inputs of a block of steps projected at once."""

    block: int | None = None
    """Steps of a block; None takes as many as suit the device, in equal parts."""
    unroll: int | None = None
    """Steps of an iteration of the compiled loop; None likewise."""

    def __call__(
        self, cell: Recurrence, keep: Keep, params: Params, start: Carry, xs: Any
    ) -> tuple[Carry, Kept]:
        """The last carry, and of each step what is to be kept."""
        size = self.block
        if size is None:
            size = pace(xs).block(length(xs), structure(cell, params, start, xs).bytes)

        def step(carry: Carry, z: Any) -> tuple[Carry, Kept]:
            a = cell.recur(params, carry, z)
            carry = cell.update(carry, a)
            return carry, keep.of(cell, carry, a)

        def block(state: Written, xs: Any) -> tuple[Written, None]:
            return state.go_on(step, cell.project(params, xs), self.unroll), None

        before = unwritten(step, start, jax.eval_shape(cell.project, params, xs))
        after, _ = scan_blocks(block, size, before, xs)
        return after.carry, after.ys
