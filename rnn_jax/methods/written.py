"""A loop in parts whose results are written once, where they will stay."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.export import is_symbolic_dim

from rnn_jax.devices.sharding import varying, zeros_split_as
from rnn_jax.methods.blocks import length, pace, scan_blocks

Step = Callable[[Any, Any], tuple[Any, Any]]
"""`(carry, x) -> (carry, y)`, as `lax.scan` takes it."""


class Written(NamedTuple):
    """A `lax.scan` half way.

    As a loop within a loop, each part would fill arrays of its own with zeros, then with its
    results, and the loop around it would copy them.
    """

    t: jax.Array
    """How many steps are done."""
    carry: Any
    ys: Any
    """Of all steps, `(T, ...)`: zeros where they are not done."""

    def go_on(self, step: Step, xs: Any, unroll: int | None = None) -> "Written":
        """As many steps more as `xs` has, so many in an iteration as by `scan_steps`."""

        # The results of an iteration are written at once: on a GPU each write is a launch.
        def iteration(state: Written, xs: Any) -> tuple[Written, None]:
            t, carry, ys = state
            made = []
            for i in range(length(xs)):
                carry, y = step(carry, jax.tree.map(lambda x, i=i: x[i], xs))
                made.append(y)
            together = jax.tree.map(lambda *ys: jnp.stack(ys), *made)

            def write(ys: jax.Array, new: jax.Array) -> jax.Array:
                return lax.dynamic_update_slice_in_dim(ys, new, t, 0)

            return Written(t + len(made), carry, jax.tree.map(write, ys, together)), None

        def one(state: Written, x: Any) -> tuple[Written, None]:
            return iteration(state, jax.tree.map(lambda x: x[None], x))

        if length(xs) == 0:
            return Written(self.t, *lax.scan(step, self.carry, xs))
        # Of a length that is left open it cannot be known whether there would be a rest.
        together = 1 if is_symbolic_dim(length(xs)) else unroll or pace((self.carry, xs)).unroll
        if together == 1:
            return lax.scan(one, self, xs)[0]
        return scan_blocks(iteration, together, self, xs)[0]


def unwritten(step: Step, carry: Any, xs: Any) -> Written:
    """Before the first of the steps, which will read what has the shapes of `xs`."""
    _, ys = jax.eval_shape(jax.vmap(step, (None, 0)), carry, xs)
    # In `jax.shard_map` they must vary over devices ahead of the loop, as they do behind it.
    _, ys = varying((carry, jax.tree.map(zeros_split_as, ys)))
    return Written(jnp.int32(0), carry, ys)
