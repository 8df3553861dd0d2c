"""Parity with the masks of Keras, run by JAX: any gaps, in either direction and in both.

Keras repeats the last output in a padded step unless `zero_output_for_mask` is set, and runs the
step all the same, so that a NaN there would reach the gradient (jax-ml/jax#1052).
"""

import os
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from tests.cases import assert_close
from tests.peers import parity
from tests.peers.parity import BATCH, HIDDEN, INPUTS, LENGTHS, STEPS

os.environ["KERAS_BACKEND"] = "jax"  # is read once, when Keras is imported
keras = pytest.importorskip("keras", reason="keras is absent: `make test-peers` installs it")

# Padding on the right, and gaps anywhere.
MASKS = [
    parity.happens(LENGTHS[0]),
    *(np.random.default_rng(0).random((2, STEPS, BATCH)) < 0.6),
]


def gru(kernel, recurrent_kernel, bias):
    """Gates in the order z r n; two rows of biases, of which that of n in the second is b_hn."""

    def ordered(x):
        z, r, n = jnp.split(x, 3, -1)
        return jnp.concatenate([r, z, n], -1)

    at_input, at_state = map(ordered, bias)
    outside, b_hn = jnp.split(at_state, [2 * HIDDEN])
    b_h = at_input + jnp.concatenate([outside, jnp.zeros_like(b_hn)])
    return rnn.GRUParams(ordered(kernel), ordered(recurrent_kernel), b_h, b_hn)


@pytest.fixture(autouse=True)
def float64(monkeypatch):
    """Keras casts float64 down wherever it promotes, by a table that it has of its own."""
    from keras.src.backend.common import dtypes as promotion

    monkeypatch.setitem(promotion.BIT64_TO_BIT32_DTYPE, "float64", "float64")


class Peer(NamedTuple):
    layer: Any
    cell: rnn.Cell
    params: Any
    """From the kernel, the recurrent kernel and the bias."""
    carry: Any
    """A NamedTuple, from states in the order of its fields."""


PEERS = {
    "simple": Peer(
        keras.layers.SimpleRNN, rnn.Elman(INPUTS, HIDDEN), rnn.ElmanParams, rnn.ElmanCarry
    ),
    # Gates in the same order, which Keras calls i f c o.
    "lstm": Peer(keras.layers.LSTM, rnn.LSTM(INPUTS, HIDDEN), rnn.LSTMParams, rnn.LSTMCarry),
    "gru": Peer(keras.layers.GRU, rnn.GRU(INPUTS, HIDDEN), gru, rnn.GRUCarry),
}


def built(peer, **settings):
    return peer.layer(HIDDEN, return_sequences=True, return_state=True, dtype="float64", **settings)


def pure(layer, reverse=False):
    """A function of the weights, time first; and weights."""
    layer.build((BATCH, STEPS, INPUTS))
    seeds = [v.value for v in layer.non_trainable_variables]

    def run(weights, xs, before, mask):
        with jax.numpy_dtype_promotion("standard"):
            (ys, *after), _ = layer.stateless_call(
                weights, seeds, jnp.swapaxes(xs, 0, 1), initial_state=list(before), mask=mask.T
            )
        ys = jnp.swapaxes(ys, 0, 1)
        # Backward, Keras emits in the order of processing.
        return jnp.flip(ys, 0) if reverse else ys, tuple(after)

    return run, parity.moved([v.value for v in layer.trainable_variables])


def assert_parity(theirs, ours, weights, states):
    xs, states = parity.draw(STEPS, BATCH, INPUTS), tuple(parity.draw(states, BATCH, HIDDEN))
    for mask in MASKS:
        expected = parity.outcome(theirs, (weights, xs, states), mask)
        assert_close(
            parity.outcome(ours, (weights, parity.spoiled(xs, mask), states), mask), expected
        )


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("name", PEERS)
def test_masked_steps_have_the_numbers_of_keras(name, reverse):
    peer = PEERS[name]
    layer = built(peer, zero_output_for_mask=True, go_backwards=reverse)
    theirs, weights = pure(layer, reverse)

    def ours(weights, xs, states, mask):
        params, carry = peer.params(*weights), peer.carry(*states)
        carry, ys = rnn.unroll(peer.cell, params, xs, carry, mask=mask, reverse=reverse)
        return ys, tuple(carry)

    assert_parity(theirs, ours, weights, len(peer.carry._fields))


def test_zeros_stand_where_keras_repeats():
    peer = PEERS["gru"]
    theirs, weights = pure(built(peer))

    def ours(weights, xs, states, mask):
        (h,) = states
        carry, ys = rnn.unroll(peer.cell, peer.params(*weights), xs, rnn.GRUCarry(h), mask=mask)
        last, repeated = h, []
        for y, happens in zip(ys, mask, strict=True):
            last = jnp.where(happens[:, None], y, last)
            repeated.append(last)
        return jnp.stack(repeated), tuple(carry)

    assert_parity(theirs, ours, weights, 1)


def test_a_bidirectional_layer_has_the_numbers_of_keras():
    peer = PEERS["lstm"]
    # Bidirectional makes the layer that runs backward itself, and zeroes what both emit.
    theirs, weights = pure(keras.layers.Bidirectional(built(peer), dtype="float64"))
    layer = rnn.bidirectional(peer.cell, peer.cell)

    def ours(weights, xs, states, mask):
        params = rnn.BidirectionalParams(peer.params(*weights[:3]), peer.params(*weights[3:]))
        carry = rnn.BidirectionalCarry(peer.carry(*states[:2]), peer.carry(*states[2:]))
        carry, ys = rnn.unroll(layer, params, xs, carry, mask=mask)
        return ys, (*carry.forward, *carry.backward)

    assert_parity(theirs, ours, weights, 4)
