"""Parity with the masks of Keras, run by JAX: any gaps, in either direction and in both.

The weights are read by rnn_jax.interop.keras.

Keras repeats the last output in a padded step unless `zero_output_for_mask` is set, and runs the
step all the same, so that a NaN there would reach the gradient (jax-ml/jax#1052).
"""

import os
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rnn_jax as rnn
from rnn_jax.interop.keras import MERGES
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


@pytest.fixture(autouse=True)
def float64(monkeypatch):
    """Keras casts float64 down wherever it promotes, by a table that it has of its own."""
    from keras.src.backend.common import dtypes as promotion

    monkeypatch.setitem(promotion.BIT64_TO_BIT32_DTYPE, "float64", "float64")
    keras.config.set_floatx("float64")  # what a model casts its inputs to
    yield
    keras.config.set_floatx("float32")
    # The policy of layers is read from floatx when the first one is made, and kept.
    keras.config.set_dtype_policy("float32")


class Peer(NamedTuple):
    layer: Any
    carry: Any
    """A NamedTuple, from states in the order of its fields."""
    more: dict = {}  # noqa: RUF012 -- settings of Keras


PEERS = {
    "simple": Peer(keras.layers.SimpleRNN, rnn.ElmanCarry),
    "lstm": Peer(keras.layers.LSTM, rnn.LSTMCarry),
    "gru": Peer(keras.layers.GRU, rnn.GRUCarry),
    "reset-before": Peer(keras.layers.GRU, rnn.GRUCarry, {"reset_after": False}),
}


def read(weights, *above):
    """From the arrays in the order of Keras: of one layer, or of both directions."""
    names = ["kernel", "recurrent_kernel", "bias"]
    places = [f"{place}{name}" for place in above or [""] for name in names]
    return rnn.interop.keras.read(dict(zip(places, weights, strict=True)), activation=jnp.tanh)


def built(peer, hidden=HIDDEN, **settings):
    settings = {"dtype": "float64", **peer.more, **settings}
    return peer.layer(hidden, **{"return_sequences": True, "return_state": True, **settings})


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
        cell, params = read(weights)
        carry, ys = rnn.unroll(cell, params, xs, peer.carry(*states), mask=mask, reverse=reverse)
        return ys, tuple(carry)

    assert_parity(theirs, ours, weights, len(peer.carry._fields))


def test_zeros_stand_where_keras_repeats():
    peer = PEERS["gru"]
    theirs, weights = pure(built(peer))

    def ours(weights, xs, states, mask):
        (h,), (cell, params) = states, read(weights)
        carry, ys = rnn.unroll(cell, params, xs, rnn.GRUCarry(h), mask=mask)
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

    def ours(weights, xs, states, mask):
        layer, params = read(weights, "forward_layer/", "backward_layer/")
        carry = rnn.BidirectionalCarry(peer.carry(*states[:2]), peer.carry(*states[2:]))
        carry, ys = rnn.unroll(layer, params, xs, carry, mask=mask)
        return ys, (*carry.forward, *carry.backward)

    assert_parity(theirs, ours, weights, 4)


@parity.some_shapes
@given(data=st.data())
@pytest.mark.parametrize("name", PEERS)
def test_any_shape_has_the_numbers_of_keras(name, data):
    """Models of layers and directions."""
    peer = PEERS[name]
    inputs, hidden, steps, batch = (data.draw(st.integers(1, 4)) for _ in range(4))
    depth, both = data.draw(st.integers(1, 3)), data.draw(st.sampled_from([None, *MERGES]))

    def layer():
        one = built(peer, hidden, return_state=False)
        return one if both is None else keras.layers.Bidirectional(one, both, dtype="float64")

    model = keras.Sequential([keras.Input((None, inputs)), *(layer() for _ in range(depth))])
    seeds = [v.value for v in model.non_trainable_variables]
    weights = parity.moved([v.value for v in model.trainable_variables])
    model.set_weights(weights)
    found, params = rnn.interop.keras.read(model)

    def theirs(weights, xs):
        with jax.numpy_dtype_promotion("standard"):
            ys, _ = model.stateless_call(weights, seeds, jnp.swapaxes(xs, 0, 1))
        return jnp.swapaxes(ys, 0, 1)

    def ours(weights, xs):
        above = [] if both is None else ["forward_layer/", "backward_layer/"]
        each = len(weights) // depth
        layers = [weights[k * each : (k + 1) * each] for k in range(depth)]
        params = tuple(read(one, *above)[1] for one in layers)
        return rnn.unroll(found, params if depth > 1 else params[0], xs)[1]

    xs = parity.draw(steps, batch, inputs)
    assert_close(parity.outcome(ours, (weights, xs)), parity.outcome(theirs, (weights, xs)))
    assert_close(rnn.unroll(found, params, xs)[1], theirs(weights, xs))
    # Their sum is all that two rows of biases are.
    model.set_weights([*rnn.interop.keras.write(found, params).values()])
    assert_close(theirs([v.value for v in model.trainable_variables], xs), theirs(weights, xs))


@pytest.mark.parametrize("name", PEERS)
def test_a_layer_without_biases_is_read(name):
    layer = built(PEERS[name], use_bias=False, return_state=False)
    xs = parity.draw(BATCH, STEPS, INPUTS)
    with jax.numpy_dtype_promotion("standard"):
        expected = np.swapaxes(layer(xs), 0, 1)
    cell, params = rnn.interop.keras.read(layer)
    assert_close(rnn.unroll(cell, params, np.swapaxes(xs, 0, 1))[1], expected)


@pytest.mark.parametrize("name", PEERS)
def test_a_file_is_read(name, tmp_path):
    peer = PEERS[name]
    layers = [built(peer, return_state=False) for _ in range(2)]
    model = keras.Sequential(
        [keras.Input((None, INPUTS)), keras.layers.Bidirectional(layers[0]), layers[1]]
    )
    model.save(tmp_path / "model.keras")
    layer, params = rnn.interop.keras.read(model)
    again, same = rnn.interop.keras.read(tmp_path / "model.keras")
    assert again == layer
    assert_close(same, params, 0)


REFUSED = {
    "no recurrent layer": (lambda: keras.layers.Dense(3), "got <Dense"),
    "no weights": (lambda: keras.layers.LSTM(3), r"LSTM has no weights yet; call it"),
    "dropout": (lambda: keras.layers.GRU(3, dropout=0.5), r"dropout=0\.5, which would be lost"),
    "backward": (lambda: keras.layers.GRU(3, go_backwards=True), r"unroll\(\.\.\., reverse=True\)"),
    "an activation": (
        lambda: keras.layers.LSTM(3, activation="relu"),
        "another activation than tanh has no counterpart, got 'relu'",
    ),
    "a gate": (
        lambda: keras.layers.GRU(3, recurrent_activation="hard_sigmoid"),
        "another recurrent_activation than sigmoid has no counterpart",
    ),
    "a nonlinearity": (
        lambda: keras.layers.SimpleRNN(3, activation="softmax"),
        "another activation than tanh or relu or .* has no counterpart, got 'softmax'",
    ),
    "two sequences": (
        lambda: keras.layers.Bidirectional(keras.layers.LSTM(3), merge_mode=None),
        "merge_mode=None emits two sequences",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_keras_has_and_we_have_not_is_refused(what):
    make, message = REFUSED[what]
    with pytest.raises(rnn.StructureError, match=message):
        rnn.interop.keras.read(make())
    with pytest.raises(rnn.ArgumentError, match="activation is for arrays alone"):
        rnn.interop.keras.read(make(), activation=jnp.tanh)


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "model.keras").write_text("none")
    for path in (tmp_path / "model.keras", tmp_path / "absent.keras"):
        with pytest.raises(rnn.ArgumentError, match="cannot be read"):
            rnn.interop.keras.read(path)
