"""A cell as a user would write it whose step does not split into `recur` and `update`."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

import rnn_jax as rnn
from rnn_jax.arithmetic import affine, row


class PeepholeParams(NamedTuple):
    w_xh: jax.Array
    w_hh: jax.Array
    b_h: jax.Array
    p_i: jax.Array
    p_f: jax.Array
    p_o: jax.Array


@dataclasses.dataclass(frozen=True)
class PeepholeLSTM(rnn.Cell):
    """Gers & Schmidhuber 2000: the output gate sees the new memory through a weight."""

    input_size: int
    hidden_size: int

    @property
    def input(self):
        return rnn.Input((self.input_size,), jnp.floating)

    def init(self, key, dtype=jnp.float32):
        base = rnn.LSTM(self.input_size, self.hidden_size).init(key, dtype)
        peepholes = jax.random.normal(key, (3, self.hidden_size), dtype)
        return PeepholeParams(*base, *peepholes)

    def initial_carry(self, params, batch_shape=()):
        return rnn.LSTM(self.input_size, self.hidden_size).initial_carry(params, batch_shape)

    def project(self, params, xs):
        return affine(xs, params.w_xh, params.b_h)

    def step(self, params, carry, z):
        i, f, g, o = jnp.split(z + carry.h @ params.w_hh, 4, axis=-1)
        p_i, p_f, p_o = (row(p, carry.c) for p in (params.p_i, params.p_f, params.p_o))
        i = jax.nn.sigmoid(i + p_i * carry.c)
        f = jax.nn.sigmoid(f + p_f * carry.c)
        c = f * carry.c + i * jnp.tanh(g)
        h = jax.nn.sigmoid(o + p_o * c) * jnp.tanh(c)
        return rnn.LSTMCarry(h, c), h
