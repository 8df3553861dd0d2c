"""All steps of time in one kernel."""

import dataclasses
from typing import Any

import jax

from rnn_jax.arguments.settings import at_least, flag, settle
from rnn_jax.methods.kernel.scan import Kernel
from rnn_jax.methods.kernel.tpu import TPU
from rnn_jax.methods.linear.fused import Fused as FusedLinear
from rnn_jax.methods.orbit.fused import Fused as FusedOrbit
from rnn_jax.methods.tangent import TwoLoops
from rnn_jax.recurrence.recurrence import Carry, Params, Recurrence


@dataclasses.dataclass(frozen=True)
class Fused:
    machine: Any = None
    interpret: bool = False
    store: int = 64 * 2**20

    def __call__(
        self, cell: Recurrence, params: Params, xs: Any, carry: Carry
    ) -> tuple[Carry, jax.Array]:
        kernel = Kernel(self.machine or TPU(), self.interpret, f"the step of {cell!r}")
        run = TwoLoops(FusedOrbit(kernel), FusedLinear(kernel), self.store)
        return run(cell, params, xs, carry)
