"""The linear recurrence in one kernel."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.methods.blocks import length
from rnn_jax.methods.kernel.scan import Kernel
from rnn_jax.methods.linear.operator import Operator
from rnn_jax.recurrence.recurrence import Carry


@dataclasses.dataclass(frozen=True)
class Fused:
    """All steps in one kernel, forward or backward: one product with M a step."""

    kernel: Kernel

    def block(self, xs: Any, size: int) -> int:
        """All of them: a block would be a kernel of its own."""
        del size
        return max(1, length(xs))

    def forward(self, operator: Operator, start: Carry, b: Carry) -> tuple[Carry, Carry]:
        """One loop."""

        def step(weights: Any, x: Carry, at: tuple[Any, Carry]) -> tuple[Carry, Carry]:
            step, b = at
            x = jax.tree.map(jnp.add, operator.move(weights, step, x), b)
            return x, x

        return self.kernel.scan(step, operator.weights, start, (operator.steps, b))

    def backward(self, operator: Operator, end: Carry, b: Carry) -> tuple[Carry, Carry]:
        """One loop, from the last step to the first."""

        def step(weights: Any, y: Carry, at: tuple[Any, Carry]) -> tuple[Carry, Carry]:
            step, b = at
            y = jax.tree.map(jnp.add, y, b)
            (back,) = jax.linear_transpose(lambda x: operator.move(weights, step, x), y)(y)
            return back, y

        return self.kernel.scan(step, operator.weights, end, (operator.steps, b), reverse=True)
