"""The matrices of a linear recurrence, as a function that multiplies by them."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from rnn_jax.recurrence.recurrence import Carry


class Operator(NamedTuple):
    """`M_t` at all steps of a block: `x -> M_t x`, never made unless an engine asks for it."""

    move: Callable[[Any, Any, Carry], Carry]
    """`(weights, step, x) -> M_t x`, linear in x, for x `(*batch, H)`."""
    weights: Any
    """What `move` reads at all steps."""
    steps: Any
    """What `move` reads of each step, stacked on a leading axis."""

    def at_all_steps(self, xs: Carry) -> Carry:
        """`M_t x_t` for xs `(T, *batch, H)`."""
        return jax.vmap(functools.partial(self.move, self.weights))(self.steps, xs)

    def of_each(self, xs: Carry) -> Carry:
        """`M_t x` at all steps for each of xs `(n, *batch, H)`: `(n, T, *batch, H)`."""

        def one(x: Carry) -> Carry:
            return jax.vmap(lambda step: self.move(self.weights, step, x))(self.steps)

        return jax.vmap(one)(xs)
