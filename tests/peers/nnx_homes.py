"""The ways in which nnx runs a cell of ours, and cells of nnx."""

import jax
import jax.numpy as jnp
from flax import nnx

import rnn_jax as rnn
from rnn_jax.interop.nnx import from_nnx, to_nnx
from tests.peers import parity
from tests.peers.flax_cells import SIZES, XS, Theirs
from tests.peers.parity import INPUTS, LENGTHS


def in_nnx(kind):
    def run(cell, params, xs, options, settings):
        return kind(to_nnx(cell, params), **settings)(xs, **options)

    return run


HOMES = {"nnx": in_nnx(nnx.RNN), "nnx by unroll": in_nnx(rnn.interop.nnx.RNN)}


def both_in_nnx(kind):
    def run(cells, params, merge):
        layers = [kind(to_nnx(*pair)) for pair in zip(cells, params, strict=True)]
        module = nnx.Bidirectional(*layers, time_major=True, return_carry=True, **merge)
        return module(XS, seq_lengths=jnp.array(LENGTHS[0]))

    return run


BOTH = {"nnx": both_in_nnx(nnx.RNN), "nnx by unroll": both_in_nnx(rnn.interop.nnx.RNN)}


class Own(nnx.Module):
    """A cell as a user of Flax writes it, which keeps the rngs that it was made with."""

    def __init__(self, inputs, hidden, *, rngs, dtype=None, param_dtype=jnp.float32):
        self.hidden, self.rngs = hidden, rngs
        self.dense = nnx.Linear(
            inputs + hidden, hidden, dtype=dtype, param_dtype=param_dtype, rngs=rngs
        )
        self.dropout = nnx.Dropout(0.5, deterministic=True, rngs=rngs)

    def __call__(self, carry, inputs):
        h = jnp.sin(self.dropout(self.dense(jnp.concatenate([inputs, carry], -1))))
        return h, 2 * h

    def initialize_carry(self, input_shape, rngs=None):
        return jnp.ones((*input_shape[:-1], self.hidden))

    @property
    def num_feature_axes(self):
        return 1


def nnx_cell(kind):
    def build():
        wide = {"dtype": jnp.float64, "param_dtype": jnp.float64}
        module = kind(*SIZES, **wide, rngs=nnx.Rngs(0))
        graph, state, rest = nnx.split(module, nnx.Param, ...)
        weights = parity.moved(nnx.to_pure_dict(state))

        def merged(weights):
            # To run a module, and to replace, is to write into it.
            own, others = jax.tree.map(lambda x: x, (state, rest))
            nnx.replace_by_pure_dict(own, weights)
            return nnx.merge(graph, own, others)

        def run(weights, xs, lengths):
            layer = nnx.RNN(merged(weights), time_major=True, return_carry=True)
            return layer(xs, seq_lengths=lengths)

        shape = (INPUTS,) if kind is Own else None
        cell, _ = from_nnx(module, input_shape=shape)
        return Theirs(weights, run, cell, lambda w: from_nnx(merged(w), input_shape=shape)[1])

    return build


THEIRS = {
    "nnx SimpleCell": nnx_cell(nnx.SimpleCell),
    "nnx LSTMCell": nnx_cell(nnx.LSTMCell),
    "nnx OptimizedLSTMCell": nnx_cell(nnx.OptimizedLSTMCell),
    "nnx GRUCell": nnx_cell(nnx.GRUCell),
    "nnx, of the user": nnx_cell(Own),
}
