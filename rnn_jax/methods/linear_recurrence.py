"""A linear recurrence as a linear system: `x_t = M_t x_{t-1} + b_t`, block bidiagonal in time.

Said so, JAX knows how to turn it over. The transpose of its solution is the solution of the
transposed system, backward in time, and its derivative by whatever M is made of is a solution too,
so that derivatives of every order and mode follow.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.export import is_symbolic_dim

from rnn_jax.cell import Carry

ROWS = 8
"""From how many rows on a matmul is faster with a transposed weight than with the weight itself."""
Unknown = tuple[Carry, Carry, Carry]
"""The x before the first step, after each step, and after the last."""


def solve(
    move: Callable[[Any, Any, Carry], Carry], weights: Any, steps: Any, start: Carry, b: Carry
) -> tuple[Carry, Carry]:
    """The last x `(*batch, H)` and every x `(T, *batch, H)`: one loop over T.

    Backward, what passes from step to step is the cotangent of x alone; that of b is the x of the
    transposed system.

    Args:
      move: `(weights, step, x) -> M x`, linear in x.
      weights: What `move` reads at all steps.
      steps: What `move` reads of each step, stacked on a leading axis.
      start: The x before the first step.
      b: What is added at each step, stacked as well.
    """
    rows = [leaf.size // leaf.shape[-1] for leaf in jax.tree.leaves(start)]
    many = any(is_symbolic_dim(n) or n >= ROWS for n in rows)

    def system(x: Unknown) -> Unknown:
        start, xs, end = x
        moved = jax.vmap(functools.partial(move, weights))(steps, before_each(start, xs))
        end = jax.tree.map(jnp.subtract, end, after_last(start, xs))
        return together((start, jax.tree.map(jnp.subtract, xs, moved), end))

    def forward(_: Any, right: Unknown) -> Unknown:
        def step(x: Carry, at: tuple[Any, Carry]) -> tuple[Carry, Carry]:
            step, b = at
            x = jax.tree.map(jnp.add, move(weights, step, x), b)
            return x, x

        start, b, b_end = right
        end, xs = lax.scan(step, start, (steps, b))
        return start, xs, jax.tree.map(jnp.add, end, b_end)

    def backward(_: Any, right: Unknown) -> Unknown:
        turned = _turned(weights) if many else weights

        def step(ct: Carry, at: tuple[Any, Carry]) -> tuple[Carry, Carry]:
            step, b = at
            ct = jax.tree.map(jnp.add, ct, b)
            upright = _turned(turned) if many else turned
            (back,) = jax.linear_transpose(lambda x: move(upright, step, x), ct)(ct)
            return back, ct

        start, b, end = right
        back, cts = lax.scan(step, end, (steps, b), reverse=True)
        return jax.tree.map(jnp.add, start, back), cts, end

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


def before_each(start: Carry, xs: Carry) -> Carry:
    """The x before each step."""
    return jax.tree.map(lambda x, xs: jnp.concatenate([x[None], xs])[:-1], start, xs)


def after_last(start: Carry, xs: Carry) -> Carry:
    """The x after the last step: the start, if there was none."""

    def last(x: jax.Array, xs: jax.Array) -> jax.Array:
        if is_symbolic_dim(xs.shape[0]):
            return jnp.concatenate([x[None], xs])[-1]
        return xs[-1] if xs.shape[0] else x

    return jax.tree.map(last, start, xs)


def _turned(weights: Any) -> Any:
    """Every matrix transposed.

    A step backward multiplies by the transpose of each weight. Transposed ahead of the loop, and
    as the transpose of that within, XLA reads it row by row, without a copy in each step.
    """
    return jax.tree.map(lambda w: jnp.matrix_transpose(w) if w.ndim == 2 else w, weights)
