"""Keras on JAX.

Its layers have the batch first and turn it to time first themselves; the two turns cancel.
"""

import os
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.competitors.absent import Absent, needed
from benchmarks.programs import Network, Step, compiled
from benchmarks.shapes import Shape
from benchmarks.variants import Variant

CELLS = {"elman": "SimpleRNN", "gru": "GRU", "lstm": "LSTM"}


def build(shape: Shape, kind: str, variant: Variant) -> Step:
    os.environ.setdefault("KERAS_BACKEND", "jax")  # is read once, when Keras is imported
    keras = needed("keras")
    if keras.backend.backend() != "jax":
        raise Absent(f"runs on {keras.backend.backend()} here: KERAS_BACKEND=jax")
    layer = getattr(keras.layers, CELLS[shape.cell])(
        shape.hidden,
        return_sequences=True,
        dtype=jnp.dtype(variant.dtype).name,
        recurrent_initializer="glorot_uniform",  # the default has no bfloat16
    )
    layer.build((shape.batch, shape.steps, shape.hidden))
    params = [v.value for v in layer.trainable_variables]
    rest = [v.value for v in layer.non_trainable_variables]

    def forward(params: Any, xs: jax.Array) -> jax.Array:
        ys, _ = layer.stateless_call(params, rest, jnp.swapaxes(xs, 0, 1))
        return jnp.swapaxes(ys, 0, 1)

    return compiled(Network(params, forward), shape, kind, variant)
