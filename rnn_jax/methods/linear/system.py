"""A linear recurrence as a linear system: `x_t = M_t x_{t-1} + b_t`, block bidiagonal in time.

Said so, JAX knows how to turn it over. The transpose of its solution is the solution of the
transposed system, backward in time, and its derivative by whatever M is made of is a solution too,
so that derivatives of every order and mode follow, whichever engine solves it.
"""

from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax import lax

from rnn_jax.methods.blocks import after_last, before_each
from rnn_jax.methods.linear.operator import Operator
from rnn_jax.methods.linear.sequential import Sequential
from rnn_jax.recurrence.cotangent import NAME
from rnn_jax.recurrence.dependence import contains
from rnn_jax.recurrence.recurrence import Carry

Unknown = tuple[Carry, Carry, Carry]
"""The x before the first step, after each step, and after the last."""


class Linear(Protocol):
    """An engine: who runs the linear recurrence."""

    def block(self, xs: Any, size: int) -> int:
        """How many steps of `xs` it wants at once, with `size` bytes of preactivations each."""

    def forward(self, operator: Operator, start: Carry, b: Carry) -> tuple[Carry, Carry]:
        """`x_t = M_t x_{t-1} + b_t`: the last x `(*batch, H)`, and every x `(T, *batch, H)`."""

    def backward(self, operator: Operator, end: Carry, b: Carry) -> tuple[Carry, Carry]:
        """`y_t = b_t + M_{t+1}^T y_{t+1}`, where `end` is added to the last b.

        Returns `M_1^T y_1`, and every y.
        """


def solve(engine: Linear, operator: Operator, start: Carry, b: Carry) -> tuple[Carry, Carry]:
    """The last x `(*batch, H)` and every x `(T, *batch, H)`: one loop over T.

    Backward, what passes from step to step is the cotangent of x alone; that of b is the y of the
    transposed system.
    """
    if contains(operator.at_all_steps, (before_each(start, b),), NAME):
        # What is changed on the way back, from step to step, solves no linear system: JAX turns the
        # loop itself over, and no engine may take several of its steps at once.
        return Sequential().forward(operator, start, b)

    def system(x: Unknown) -> Unknown:
        start, xs, end = x
        moved = operator.at_all_steps(before_each(start, xs))
        end = jax.tree.map(jnp.subtract, end, after_last(start, xs))
        return together((start, jax.tree.map(jnp.subtract, xs, moved), end))

    def forward(_: Any, right: Unknown) -> Unknown:
        start, b, b_end = right
        end, xs = engine.forward(operator, start, b)
        return start, xs, jax.tree.map(jnp.add, end, b_end)

    def backward(_: Any, right: Unknown) -> Unknown:
        start, b, end = right
        back, ys = engine.backward(operator, end, b)
        return jax.tree.map(jnp.add, start, back), ys, end

    still = jax.tree.map(jnp.zeros_like, start)
    right = together((start, b, still))
    _, xs, end = together(lax.custom_linear_solve(system, right, forward, backward))
    return end, xs


def together(tree: Carry) -> Carry:
    """The tree itself; but to JAX every leaf of it depends on all of them.

    JAX transposes a system only if its right side moves in all of its parts, or in none. So there
    is one in front of the system, one behind it, and one in it, for each of the three becomes a
    right side by a derivative. What binds the leaves is a sum that nobody reads: XLA removes it.
    """
    everything = sum(jnp.sum(leaf).astype(jnp.float32) for leaf in jax.tree.leaves(tree))
    nothing = jnp.where(False, everything, 0.0)
    return jax.tree.map(lambda leaf: leaf + nothing.astype(leaf.dtype), tree)
