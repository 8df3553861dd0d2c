"""Parity with flax.nnx.RNN: lengths, in either direction and in both.

Where Flax means something else, it is kept out of the comparison, and is this:

- Padded steps run and emit what they make; rnn_jax emits zeros. So their inputs must be numbers,
  for a NaN there would reach the gradient (jax-ml/jax#1052).
- The final carry of length 0 is that of the last padded step; rnn_jax has the initial carry.
- It is picked from the history of all carries, which is kept for it.
- There is no mask with gaps (google/flax#3507), and no reset.
- `reverse` alone emits in the order of processing; `keep_order` is what rnn_jax always does. To
  flip each sequence by hand is where users lost their days (google/flax#2170).
- The LSTM's carry is (c, h), and that of `Bidirectional` a pair of carries, which nothing checks
  (google/flax#4513); a `LSTMCarry` names its fields.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from tests.cases import assert_close
from tests.peers import parity
from tests.peers.parity import BATCH, HIDDEN, INPUTS, LENGTHS, STEPS

nnx = pytest.importorskip("flax.nnx", reason="flax is absent: `make test-peers` installs it")


def elman(w):
    """Matrices are `(inputs, outputs)`, as here; one bias, at the inputs."""
    return rnn.ElmanParams(w["dense_i"]["kernel"], w["dense_h"]["kernel"], w["dense_i"]["bias"])


def lstm(w):
    """The gates have one order, i f g o; one bias, at the recurrent weights."""
    return rnn.LSTMParams(w["dense_i"]["kernel"], w["dense_h"]["kernel"], w["dense_h"]["bias"])


def gru(w):
    """The gates have one order, r z n; nothing is added to the candidate inside the reset."""
    return rnn.GRUParams(*elman(w), b_hn=jnp.zeros(HIDDEN, w["dense_i"]["bias"].dtype))


class Peer(NamedTuple):
    module: type
    cell: rnn.Cell
    params: Callable[[dict], Any]
    carry: Callable[[Any], Any]
    """From the state of Flax."""
    state: Callable[[Any], Any]
    """And back."""


PEERS = {
    "elman": Peer(
        nnx.SimpleCell, rnn.Elman(INPUTS, HIDDEN), elman, rnn.ElmanCarry, lambda carry: carry.h
    ),
    "lstm": Peer(
        nnx.OptimizedLSTMCell,
        rnn.LSTM(INPUTS, HIDDEN),
        lstm,
        lambda state: rnn.LSTMCarry(c=state[0], h=state[1]),
        lambda carry: (carry.c, carry.h),
    ),
    "gru": Peer(nnx.GRUCell, rnn.GRU(INPUTS, HIDDEN), gru, rnn.GRUCarry, lambda carry: carry.h),
}


def built(peer):
    cell = peer.module(INPUTS, HIDDEN, dtype=jnp.float64, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    return nnx.RNN(cell, time_major=True, return_carry=True)


def pure(module, **settings):
    """A function of the weights, which are a dictionary; what Flax emits in padded steps is cut."""
    definition, state, rest = nnx.split(module, nnx.Param, ...)

    def run(weights, xs, before, lengths):
        own = jax.tree.map(lambda x: x, state)  # to replace is to write into it
        nnx.replace_by_pure_dict(own, weights)
        model = nnx.merge(definition, own, rest)
        # Flax counts steps in integers of its own.
        with jax.numpy_dtype_promotion("standard"):
            after, ys = model(xs, initial_carry=before, seq_lengths=lengths, **settings)
        valid = jnp.arange(STEPS, dtype=lengths.dtype)[:, None] < lengths
        return jnp.where(valid[..., None], ys, 0.0), after

    return parity.moved(nnx.to_pure_dict(state)), run


def before(peer, seed=0):
    carry = peer.cell.initial_carry(peer.cell.init(jax.random.key(0)), (BATCH,))
    return peer.state(parity.moved(carry, seed))


def assert_parity(theirs, ours, weights, states):
    xs = parity.draw(STEPS, BATCH, INPUTS)
    for lengths in map(np.array, LENGTHS):
        expected = parity.outcome(theirs, (weights, xs, states), lengths)
        point = weights, parity.spoiled(xs, parity.happens(lengths)), states
        assert_close(parity.outcome(ours, point, lengths), expected)


@pytest.mark.parametrize(
    "reverse", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["forward", "reverse"]
)
@pytest.mark.parametrize("name", PEERS)
def test_sequences_of_any_length_have_the_numbers_of_flax(name, reverse):
    peer = PEERS[name]
    weights, theirs = pure(built(peer), reverse=reverse, keep_order=True)

    def ours(weights, xs, state, lengths):
        params, carry = peer.params(weights["cell"]), peer.carry(state)
        carry, ys = rnn.unroll(peer.cell, params, xs, carry, lengths=lengths, reverse=reverse)
        return ys, peer.state(carry)

    assert_parity(theirs, ours, weights, before(peer))


def test_a_bidirectional_layer_has_the_numbers_of_flax():
    """Two cells of different kinds."""
    ahead, behind = PEERS["lstm"], PEERS["gru"]
    module = nnx.Bidirectional(built(ahead), built(behind), time_major=True, return_carry=True)
    weights, theirs = pure(module)
    layer = rnn.bidirectional(ahead.cell, behind.cell)

    def ours(weights, xs, state, lengths):
        params = rnn.BidirectionalParams(
            ahead.params(weights["forward_rnn"]["cell"]),
            behind.params(weights["backward_rnn"]["cell"]),
        )
        carry = rnn.BidirectionalCarry(ahead.carry(state[0]), behind.carry(state[1]))
        carry, ys = rnn.unroll(layer, params, xs, carry, lengths=lengths)
        return ys, (ahead.state(carry.forward), behind.state(carry.backward))

    assert_parity(theirs, ours, weights, (before(ahead, 1), before(behind, 2)))
