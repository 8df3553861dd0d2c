"""A split cell as a user would write it whose output is no part of its carry."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

import rnn_jax as rnn


class OutputGatedParams(NamedTuple):
    w_xh: jax.Array
    w_hh: jax.Array


@dataclasses.dataclass(frozen=True)
class OutputGated(rnn.SizedCell):
    """`a, o = split(x w_xh + h w_hh)`, `h = tanh(a)`, emitted is `sigmoid(o) h`."""

    def init(self, key, dtype=jnp.float32):
        init = jax.nn.initializers.glorot_uniform()
        gates = 2 * self.hidden_size
        return OutputGatedParams(
            init(key, (self.input_size, gates), dtype), init(key, (self.hidden_size, gates), dtype)
        )

    def initial_carry(self, params, batch_shape=()):
        return {"h": jnp.zeros((*batch_shape, self.hidden_size), params.w_hh.dtype)}

    def project(self, params, xs):
        return xs @ params.w_xh

    def recur(self, params, carry, z):
        return jnp.split(z + carry["h"] @ params.w_hh, 2, axis=-1)

    def update(self, carry, a):
        return {"h": jnp.tanh(a[0])}

    def emit(self, carry, a):
        return jax.nn.sigmoid(a[1]) * carry["h"]
