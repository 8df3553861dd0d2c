"""The ways in which linen runs a cell of ours, and cells of linen."""

import jax
import jax.numpy as jnp
from flax import linen

import rnn_jax as rnn
from rnn_jax.interop.linen import from_linen, to_linen
from tests.peers import parity
from tests.peers.flax_cells import XS, Theirs
from tests.peers.parity import BATCH, HIDDEN, INPUTS, LENGTHS


def in_linen(kind):
    def run(cell, params, xs, options, settings):
        return kind(to_linen(cell), **settings).apply(
            {"params": {"cell": {"weights": params}}}, xs, **options
        )

    return run


HOMES = {"linen": in_linen(linen.RNN), "linen by unroll": in_linen(rnn.interop.linen.RNN)}


def both_in_linen(kind):
    def run(cells, params, merge):
        layers = [kind(to_linen(cell)) for cell in cells]
        module = linen.Bidirectional(*layers, time_major=True, return_carry=True, **merge)
        names = ("forward_rnn", "backward_rnn")
        weights = {n: {"cell": {"weights": p}} for n, p in zip(names, params, strict=True)}
        return module.apply({"params": weights}, XS, seq_lengths=jnp.array(LENGTHS[0]))

    return run


BOTH = {"linen": both_in_linen(linen.RNN), "linen by unroll": both_in_linen(rnn.interop.linen.RNN)}


def linen_cell(module, inputs=(INPUTS,)):
    def build():
        x = jnp.zeros((1, *inputs))
        carry = module.initialize_carry(jax.random.key(0), x.shape)
        weights = parity.moved(module.init(jax.random.key(0), carry, x)["params"])
        layer = linen.RNN(module, time_major=True, return_carry=True)

        def run(weights, xs, lengths):
            # Its initial carry is float32 unless the module has a dtype.
            carry = module.initialize_carry(jax.random.key(0), (BATCH, *inputs))
            carry = jax.tree.map(lambda c: c.astype(jnp.float64), carry)
            weights = {"params": {"cell": weights}}
            return layer.apply(weights, xs, initial_carry=carry, seq_lengths=lengths)

        shape = inputs if len(inputs) > 1 else None
        cell, _ = from_linen(module, {"params": weights}, input_shape=shape)
        return Theirs(weights, run, cell, lambda w: w, inputs)

    return build


THEIRS = {
    "linen SimpleCell": linen_cell(linen.SimpleCell(HIDDEN)),
    "linen SimpleCell, residual": linen_cell(linen.SimpleCell(HIDDEN, residual=True)),
    "linen LSTMCell": linen_cell(linen.LSTMCell(HIDDEN)),
    "linen OptimizedLSTMCell": linen_cell(linen.OptimizedLSTMCell(HIDDEN)),
    "linen GRUCell": linen_cell(linen.GRUCell(HIDDEN)),
    "linen MGUCell": linen_cell(linen.MGUCell(HIDDEN)),
    "linen ConvLSTMCell": linen_cell(linen.ConvLSTMCell(2, (2,)), (4, INPUTS)),
}
