"""The matrices of a linear recurrence, as a function that multiplies by them."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.export import is_symbolic_dim

from rnn_jax.recurrence.recurrence import Carry

ROWS = 8
"""From how many rows on a matmul is faster with a transposed weight than with the weight itself."""


class Operator(NamedTuple):
    """`M_t` at all steps of a block: `x -> M_t x`, never made unless an engine asks for it."""

    move: Callable[[Any, Any, Carry], Carry]
    """`(weights, step, x) -> M_t x`, linear in x, for x `(*batch, H)`."""
    weights: Any
    """What `move` reads at all steps."""
    steps: Any
    """What `move` reads of each step, stacked on a leading axis."""
    turned: Any = None
    """The weights with every matrix transposed, for the way back; None where that does not pay."""

    def at_all_steps(self, xs: Carry) -> Carry:
        """`M_t x_t` for xs `(T, *batch, H)`."""
        return jax.vmap(functools.partial(self.move, self.weights))(self.steps, xs)

    def of_each(self, xs: Carry) -> Carry:
        """`M_t x` at all steps for each of xs `(n, *batch, H)`: `(n, T, *batch, H)`."""

        def one(x: Carry) -> Carry:
            return jax.vmap(lambda step: self.move(self.weights, step, x))(self.steps)

        return jax.vmap(one)(xs)


def turned(weights: Any, x: Carry) -> Any:
    """Every matrix transposed, if x has many rows, or else None.

    A step backward multiplies by the transpose of each weight. Transposed ahead of all steps, and
    as the transpose of that within, XLA reads it row by row, without a copy in each step.
    """
    rows = [leaf.size // leaf.shape[-1] for leaf in jax.tree.leaves(x)]
    many = any(is_symbolic_dim(n) or n >= ROWS for n in rows)
    return upright(weights) if many else None


def upright(turned: Any) -> Any:
    """Every matrix transposed."""
    return jax.tree.map(lambda w: jnp.matrix_transpose(w) if w.ndim == 2 else w, turned)
