"""flax.nnx.RNN."""

from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.competitors.absent import needed
from benchmarks.programs import Network, Step, compiled
from benchmarks.shapes import Shape
from benchmarks.variants import Variant

CELLS = {"elman": "SimpleCell", "gru": "GRUCell", "lstm": "OptimizedLSTMCell"}


def build(shape: Shape, kind: str, variant: Variant) -> Step:
    nnx = needed("flax.nnx", "flax")
    make = getattr(nnx, CELLS[shape.cell])
    cell = make(shape.hidden, shape.hidden, dtype=variant.dtype, rngs=nnx.Rngs(0))
    graph, params, rest = nnx.split(nnx.RNN(cell, time_major=True), nnx.Param, ...)

    def forward(params: Any, xs: jax.Array) -> jax.Array:
        zeros = jnp.zeros_like(xs[0])
        carry = (zeros, zeros) if shape.cell == "lstm" else zeros
        return nnx.merge(graph, params, rest)(xs, initial_carry=carry)

    return compiled(Network(params, forward), shape, kind, variant)
