"""cuDNN's LSTM, through `jax.experimental.rnn`: one call for all steps."""

import jax
import jax.numpy as jnp

import rnn_jax as rnn
from benchmarks.competitors.absent import Absent, needed
from benchmarks.competitors.ours import cell_and_params
from benchmarks.programs import Network, Step, compiled
from benchmarks.shapes import Shape
from benchmarks.variants import Variant


def build(shape: Shape, kind: str, variant: Variant) -> Step:
    if jax.default_backend() != "gpu":
        raise Absent("runs on a GPU")
    if shape.cell != "lstm":
        raise Absent("is an LSTM in JAX, and nothing else")
    if variant.dtype != jnp.float32:
        raise Absent("takes float32 in JAX")
    if shape.heads > 1 or variant.split:
        raise Absent("is one call, for one network on one device")
    return compiled(network(shape), shape, kind, variant)


def network(shape: Shape) -> Network:
    """The network of the same numbers as ours."""
    lstm = needed("jax.experimental.rnn").lstm
    _, params = cell_and_params(shape)

    def forward(weights: jax.Array, xs: jax.Array) -> jax.Array:
        steps, batch, size = xs.shape
        nothing = jnp.zeros((1, batch, size), xs.dtype)
        lengths = jnp.full(batch, steps, jnp.int32)
        # It takes the batch first: two transpositions are a part of it here.
        ys, *_ = lstm(
            xs.swapaxes(0, 1), nothing, nothing, weights, lengths, size, size, 1, 0.0, False
        )
        return ys.swapaxes(0, 1)

    return Network(packed(params), forward)


def packed(params: rnn.LSTMParams) -> jax.Array:
    """Our params as its one array: matrices transposed, and two biases, the second of zeros."""
    parts = [params.w_xh.T, params.w_hh.T, params.b_h, jnp.zeros_like(params.b_h)]
    return jnp.concatenate([part.ravel() for part in parts])
