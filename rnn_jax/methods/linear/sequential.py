"""The linear recurrence step by step."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.methods.blocks import length, pace, scan_steps
from rnn_jax.methods.linear.operator import Operator, upright
from rnn_jax.recurrence.recurrence import Carry


@dataclasses.dataclass(frozen=True)
class Sequential:
    """`lax.scan`, forward or backward: one product with M a step."""

    size: int | None = None
    """Steps of a block; None takes as many as suit the device, in equal parts."""
    unroll: int | None = None
    """Steps of an iteration of the compiled loop; None likewise."""

    def block(self, xs: Any, size: int) -> int:
        """As was asked for, or what the device likes."""
        return self.size or pace(xs).block(length(xs), size)

    def forward(self, operator: Operator, start: Carry, b: Carry) -> tuple[Carry, Carry]:
        """One loop."""

        def step(x: Carry, at: tuple[Any, Carry]) -> tuple[Carry, Carry]:
            step, b = at
            x = jax.tree.map(jnp.add, operator.move(operator.weights, step, x), b)
            return x, x

        return scan_steps(step, start, (operator.steps, b), self.unroll)

    def backward(self, operator: Operator, end: Carry, b: Carry) -> tuple[Carry, Carry]:
        """One loop, from the last step to the first."""
        weights, turned = operator.weights, operator.turned

        def step(y: Carry, at: tuple[Any, Carry]) -> tuple[Carry, Carry]:
            step, b = at
            y = jax.tree.map(jnp.add, y, b)
            read = weights if turned is None else upright(turned)
            (back,) = jax.linear_transpose(lambda x: operator.move(read, step, x), y)(y)
            return back, y

        return scan_steps(step, end, (operator.steps, b), self.unroll, reverse=True)
