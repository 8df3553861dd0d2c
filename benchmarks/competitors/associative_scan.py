"""What a careful user writes for a linear cell: `lax.associative_scan` over all steps."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

import rnn_jax as rnn


def associative_scan(
    cell: rnn.Recurrence, params: rnn.Params, xs: Any, carry: rnn.Carry
) -> tuple[rnn.Carry, jax.Array]:
    """A method: `c_t = a_t c_{t-1} + b_t` by the scan of JAX, which differentiates it."""
    steps = cell.recur(params, carry, cell.project(params, xs))

    def join(first: Any, second: Any) -> tuple[Any, Any]:
        (a, b), (next_a, next_b) = first, second
        return next_a.times(a), jax.tree.map(jnp.add, next_a.times(b), next_b)

    a, b = lax.associative_scan(join, (steps.a, steps.b))
    started = a.times(jax.tree.map(lambda c: c[None], carry))
    carries = jax.tree.map(jnp.add, started, b)
    return jax.tree.map(lambda c: c[-1], carries), cell.emit(carries, steps)
