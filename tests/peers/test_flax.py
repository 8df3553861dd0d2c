"""Parity with flax.nnx.RNN: lengths, in either direction and in both; and with linen's.

The weights are read by rnn_jax.interop.nnx and rnn_jax.interop.linen.

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
from flax import linen, nnx
from hypothesis import given
from hypothesis import strategies as st

import rnn_jax as rnn
from tests.cases import assert_close
from tests.peers import parity
from tests.peers.parity import BATCH, HIDDEN, INPUTS, LENGTHS, STEPS


class Peer(NamedTuple):
    module: type
    carry: Callable[[Any], Any]
    """From the state of Flax."""
    state: Callable[[Any], Any]
    """And back."""
    width: int = 1
    """Of how many arrays the state is."""


def lstm(module):
    return Peer(
        module,
        lambda state: rnn.LSTMCarry(c=state[0], h=state[1]),
        lambda carry: (carry.c, carry.h),
        2,
    )


PEERS = {
    "elman": Peer(nnx.SimpleCell, rnn.ElmanCarry, lambda carry: carry.h),
    "lstm": lstm(nnx.OptimizedLSTMCell),
    "gru": Peer(nnx.GRUCell, rnn.GRUCarry, lambda carry: carry.h),
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


def before(peer, seed=0, batch=BATCH, hidden=HIDDEN):
    arrays = [*parity.draw(peer.width, batch, hidden, seed=seed)]
    return tuple(arrays) if peer.width > 1 else arrays[0]


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
        cell, params = rnn.interop.nnx.read(weights, activation=jnp.tanh)
        carry = peer.carry(state)
        carry, ys = rnn.unroll(cell, params, xs, carry, lengths=lengths, reverse=reverse)
        return ys, peer.state(carry)

    assert_parity(theirs, ours, weights, before(peer))


def test_a_bidirectional_layer_has_the_numbers_of_flax():
    """Two cells of different kinds."""
    ahead, behind = PEERS["lstm"], PEERS["gru"]
    module = nnx.Bidirectional(built(ahead), built(behind), time_major=True, return_carry=True)
    weights, theirs = pure(module)

    def ours(weights, xs, state, lengths):
        layer, params = rnn.interop.nnx.read(weights)
        carry = rnn.BidirectionalCarry(ahead.carry(state[0]), behind.carry(state[1]))
        carry, ys = rnn.unroll(layer, params, xs, carry, lengths=lengths)
        return ys, (ahead.state(carry.forward), behind.state(carry.backward))

    assert_parity(theirs, ours, weights, (before(ahead, 1), before(behind, 2)))


LINEN = {
    "simple": (linen.SimpleCell, PEERS["elman"]),
    "lstm": (linen.LSTMCell, PEERS["lstm"]),
    "optimized": (linen.OptimizedLSTMCell, PEERS["lstm"]),
    "gru": (linen.GRUCell, PEERS["gru"]),
}


@pytest.mark.usefixtures("promoting")
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n == "gru" else pytest.mark.slow) for n in LINEN]
)
def test_sequences_of_any_length_have_the_numbers_of_linen(name):
    make, peer = LINEN[name]
    module = linen.RNN(make(HIDDEN, param_dtype=jnp.float64), time_major=True, return_carry=True)
    weights = module.init(jax.random.key(0), jnp.zeros((STEPS, BATCH, INPUTS)))

    def theirs(weights, xs, state, lengths):
        after, ys = module.apply(weights, xs, initial_carry=state, seq_lengths=lengths)
        valid = jnp.arange(STEPS, dtype=lengths.dtype)[:, None] < lengths
        return jnp.where(valid[..., None], ys, 0.0), after

    def ours(weights, xs, state, lengths):
        cell, params = rnn.interop.linen.read(weights, activation=jnp.tanh)
        carry, ys = rnn.unroll(cell, params, xs, peer.carry(state), lengths=lengths)
        return ys, peer.state(carry)

    assert_parity(theirs, ours, parity.moved(weights), before(peer))


@pytest.mark.usefixtures("promoting")
@pytest.mark.slow
@parity.some_shapes
@given(data=st.data())
@pytest.mark.parametrize("name", ["elman", "lstm", "plain lstm", "gru"])
def test_any_shape_has_the_numbers_of_nnx(name, data):
    """Modules of layers and directions; read, written, and put into another module."""
    peer = PEERS.get(name, lstm(nnx.LSTMCell))
    inputs, hidden, steps, batch = (data.draw(st.integers(1, 4)) for _ in range(4))
    depth, both = data.draw(st.integers(1, 3)), data.draw(st.booleans())

    def model(kind, seed):
        rngs, layers, features = nnx.Rngs(seed), [], inputs
        wide = {"dtype": jnp.float64, "param_dtype": jnp.float64, "rngs": rngs}
        for _ in range(depth):
            cells = [
                nnx.RNN(kind(features, hidden, **wide), time_major=True) for _ in range(1 + both)
            ]
            layers.append(nnx.Bidirectional(*cells, time_major=True) if both else cells[0])
            features = hidden * (1 + both)
        return nnx.Sequential(*layers) if depth > 1 else layers[0]

    module = model(peer.module, 0)
    definition, state, rest = nnx.split(module, nnx.Param, ...)
    weights = parity.moved(nnx.to_pure_dict(state))

    def theirs(weights, xs):
        own, others = jax.tree.map(lambda x: x, (state, rest))  # to run a module writes into it
        nnx.replace_by_pure_dict(own, weights)
        return nnx.merge(definition, own, others)(xs)

    def ours(weights, xs):
        layer, params = rnn.interop.nnx.read(weights, activation=jnp.tanh)
        return rnn.unroll(layer, params, xs)[1]

    xs = parity.draw(steps, batch, inputs)
    expected = parity.outcome(theirs, (weights, xs))
    assert_close(parity.outcome(ours, (weights, xs)), expected)

    nnx.update(module, weights)
    layer, params = rnn.interop.nnx.read(module)
    assert_close(rnn.unroll(layer, params, xs)[1], expected[0])
    # An LSTM is written as the optimized one.
    other = model(nnx.OptimizedLSTMCell if "lstm" in name else peer.module, 1)
    nnx.update(other, rnn.interop.nnx.write(layer, params))
    assert_close(other(xs), expected[0])


@pytest.mark.usefixtures("promoting")
@pytest.mark.slow
@pytest.mark.parametrize("both", [False, True])
def test_what_is_written_is_the_tree_of_linen(both):
    cell = rnn.GRU(INPUTS, HIDDEN)
    layer = rnn.bidirectional(cell, cell) if both else cell
    inside = [
        linen.RNN(linen.GRUCell(HIDDEN, param_dtype=jnp.float64), time_major=True)
        for _ in range(1 + both)
    ]
    module = linen.Bidirectional(*inside, time_major=True) if both else inside[0]
    params = parity.moved(layer.init(jax.random.key(0)))
    variables = rnn.interop.linen.write(layer, params)
    xs = parity.draw(STEPS, BATCH, INPUTS)
    like = jax.eval_shape(module.init, jax.random.key(0), xs)
    assert jax.tree.structure(variables) == jax.tree.structure(like)
    assert_close(rnn.unroll(layer, params, xs)[1], module.apply(variables, xs))


@pytest.mark.usefixtures("promoting")
def test_what_flax_has_and_we_have_not_is_refused():
    read, rngs = rnn.interop.nnx.read, nnx.Rngs(0)
    with pytest.raises(rnn.StructureError, match="Flax nnx: read needs a recurrent layer"):
        read(nnx.Linear(2, 3, rngs=rngs))
    with pytest.raises(rnn.StructureError, match=r"unroll\(\.\.\., reverse=True\)"):
        read(nnx.RNN(nnx.GRUCell(2, 3, rngs=rngs), reverse=True))
    with pytest.raises(rnn.StructureError, match="another gate_fn than sigmoid"):
        read(nnx.GRUCell(2, 3, gate_fn=jnp.sin, rngs=rngs))
    with pytest.raises(rnn.StructureError, match="another activation_fn than tanh"):
        read(nnx.LSTMCell(2, 3, activation_fn=jnp.sin, rngs=rngs))
    with pytest.raises(rnn.StructureError, match="residual=True has no counterpart"):
        read(nnx.SimpleCell(2, 3, residual=True, rngs=rngs))
    with pytest.raises(rnn.ArgumentError, match="activation is for arrays alone"):
        read(nnx.SimpleCell(2, 3, rngs=rngs), activation=jnp.tanh)
    for reset_gate in (False, True):
        variables = linen.MGUCell(3, reset_gate=reset_gate).init(
            jax.random.key(0), jnp.zeros((1, 3)), jnp.zeros((1, 2))
        )
        with pytest.raises(
            rnn.StructureError, match=r"MGUCell cannot be read, for .*other way round"
        ):
            rnn.interop.linen.read(variables)
