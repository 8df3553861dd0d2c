"""What a careful user writes without a library: the projection hoisted, its gates split, a scan."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

import rnn_jax as rnn
from benchmarks.competitors.ours import cell_and_params
from benchmarks.programs import Network, Step, compiled
from benchmarks.shapes import GATES, Shape
from benchmarks.variants import Variant


def build(shape: Shape, kind: str, variant: Variant) -> Step:
    _, params = cell_and_params(shape)
    return compiled(Network(params, FORWARD[shape.cell]), shape, kind, variant)


def elman(params: rnn.ElmanParams, xs: jax.Array) -> jax.Array:
    def step(h: jax.Array, z: tuple) -> tuple[jax.Array, jax.Array]:
        h = jnp.tanh(z[0] + h @ params.w_hh)
        return h, h

    return lax.scan(step, _zeros(xs), _projected(params, xs, 1))[1]


def gru(params: rnn.GRUParams, xs: jax.Array) -> jax.Array:
    def step(h: jax.Array, x: tuple) -> tuple[jax.Array, jax.Array]:
        h_r, h_z, h_n = jnp.split(h @ params.w_hh, 3, -1)
        r, z = jax.nn.sigmoid(x[0] + h_r), jax.nn.sigmoid(x[1] + h_z)
        n = jnp.tanh(x[2] + r * (h_n + params.b_hn))
        h = (1 - z) * n + z * h
        return h, h

    return lax.scan(step, _zeros(xs), _projected(params, xs, 3))[1]


def lstm(params: rnn.LSTMParams, xs: jax.Array) -> jax.Array:
    def step(carry: tuple, x: tuple) -> tuple[tuple, jax.Array]:
        h, c = carry
        i, f, g, o = (z + r for z, r in zip(x, jnp.split(h @ params.w_hh, 4, -1), strict=True))
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    return lax.scan(step, (_zeros(xs), _zeros(xs)), _projected(params, xs, 4))[1]


FORWARD: dict[str, Callable[[Any, jax.Array], jax.Array]] = {
    "elman": elman,
    "gru": gru,
    "lstm": lstm,
}
assert FORWARD.keys() == GATES.keys()


def _projected(params: Any, xs: jax.Array, gates: int) -> tuple:
    return tuple(jnp.split(xs @ params.w_xh + params.b_h, gates, -1))


def _zeros(xs: jax.Array) -> jax.Array:
    return jnp.zeros_like(xs[0])
