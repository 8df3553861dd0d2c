"""Two cells as a user would write them whose step does not split into `recur` and `update`."""

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


class ResetBeforeParams(NamedTuple):
    w_xr: jax.Array
    w_xz: jax.Array
    w_xn: jax.Array
    w_hr: jax.Array
    w_hz: jax.Array
    w_hn: jax.Array


@dataclasses.dataclass(frozen=True)
class ResetBeforeGRU(rnn.Cell):
    """Cho et al. 2014 as published: the reset gate acts before the candidate's matmul."""

    input_size: int
    hidden_size: int

    @property
    def input(self):
        return rnn.Input((self.input_size,), jnp.floating)

    def init(self, key, dtype=jnp.float32):
        keys = jax.random.split(key, 6)
        rows = [self.input_size] * 3 + [self.hidden_size] * 3
        init = jax.nn.initializers.glorot_uniform()
        return ResetBeforeParams(
            *(init(k, (n, self.hidden_size), dtype) for k, n in zip(keys, rows, strict=True))
        )

    def initial_carry(self, params, batch_shape=()):
        return rnn.GRUCarry(jnp.zeros((*batch_shape, self.hidden_size), params.w_hr.dtype))

    def project(self, params, xs):
        return xs @ params.w_xr, xs @ params.w_xz, xs @ params.w_xn

    def step(self, params, carry, z):
        h = carry.h
        r = jax.nn.sigmoid(z[0] + h @ params.w_hr)
        u = jax.nn.sigmoid(z[1] + h @ params.w_hz)
        candidate = jnp.tanh(z[2] + (r * h) @ params.w_hn)
        h = (1 - u) * candidate + u * h
        return rnn.GRUCarry(h), h
