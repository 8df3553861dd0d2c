"""The linear recurrence step by step."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.export import is_symbolic_dim

from rnn_jax.methods.blocks import length, pace, scan_steps
from rnn_jax.methods.linear.operator import Operator
from rnn_jax.recurrence.recurrence import Carry

ROWS = 8
"""From how many rows on a matmul is faster with a transposed weight than with the weight itself."""


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
        rows = [leaf.size // leaf.shape[-1] for leaf in jax.tree.leaves(end)]
        many = any(is_symbolic_dim(n) or n >= ROWS for n in rows)
        turned = _turned(operator.weights) if many else operator.weights

        def step(y: Carry, at: tuple[Any, Carry]) -> tuple[Carry, Carry]:
            step, b = at
            y = jax.tree.map(jnp.add, y, b)
            upright = _turned(turned) if many else turned
            (back,) = jax.linear_transpose(lambda x: operator.move(upright, step, x), y)(y)
            return back, y

        return scan_steps(step, end, (operator.steps, b), self.unroll, reverse=True)


def _turned(weights: Any) -> Any:
    """Every matrix transposed.

    A step backward multiplies by the transpose of each weight. Transposed ahead of the loop, and
    as the transpose of that within, XLA reads it row by row, without a copy in each step.
    """
    return jax.tree.map(lambda w: jnp.matrix_transpose(w) if w.ndim == 2 else w, weights)
