"""equinox's cells, mapped over the batch in a scan, as its documentation shows."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.competitors.absent import Absent, needed
from benchmarks.programs import Network, Step, compiled
from benchmarks.shapes import Shape
from benchmarks.variants import Variant

CELLS = {"gru": "GRUCell", "lstm": "LSTMCell"}


def build(shape: Shape, kind: str, variant: Variant) -> Step:
    eqx = needed("equinox")
    if shape.cell not in CELLS:
        raise Absent("has no vanilla cell")
    cell = getattr(eqx.nn, CELLS[shape.cell])(shape.hidden, shape.hidden, key=jax.random.key(1))
    params, static = eqx.partition(cell, eqx.is_array)

    def forward(params: Any, xs: jax.Array) -> jax.Array:
        cell = jax.vmap(eqx.combine(params, static))
        zeros = jnp.zeros_like(xs[0])

        def step(carry: Any, x: jax.Array) -> tuple[Any, jax.Array]:
            carry = cell(x, carry)
            return carry, carry[0] if shape.cell == "lstm" else carry

        return lax.scan(step, (zeros, zeros) if shape.cell == "lstm" else zeros, xs)[1]

    return compiled(Network(params, forward), shape, kind, variant)
