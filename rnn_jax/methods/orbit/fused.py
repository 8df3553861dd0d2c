"""The orbit in one kernel."""

import dataclasses
from typing import Any

from rnn_jax.methods.kernel.scan import Kernel
from rnn_jax.methods.tangent import Keep, Kept
from rnn_jax.recurrence.recurrence import Carry, Params, Recurrence


@dataclasses.dataclass(frozen=True)
class Fused:
    """All steps in one kernel, with the inputs of all of them projected at once in front of it."""

    kernel: Kernel

    def __call__(
        self, cell: Recurrence, keep: Keep, params: Params, start: Carry, xs: Any
    ) -> tuple[Carry, Kept]:
        """The last carry, and of each step what is to be kept."""

        def step(params: Params, carry: Carry, z: Any) -> tuple[Carry, Kept]:
            a = cell.recur(params, carry, z)
            carry = cell.update(carry, a)
            return carry, keep.of(cell, carry, a)

        return self.kernel.scan(step, params, start, cell.project(params, xs))
