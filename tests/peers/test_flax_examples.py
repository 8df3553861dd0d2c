"""The recurrent examples of Flax, with our cells in the place of theirs.

A classifier of texts and a pair of encoder and decoder in linen, a tagger in nnx: their models and
their loops, of the shapes that Flax's documents and examples have. Each is trained twice from the
same weights, with cells of Flax and with ours, and has the same losses.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx
from flax.training.train_state import TrainState

import rnn_jax as rnn
from rnn_jax.interop.linen import to_linen
from rnn_jax.interop.nnx import to_nnx
from tests.cases import assert_close

VOCABULARY, SIZE, HIDDEN, CLASSES = 7, 3, 4, 2
LENGTHS = np.array([5, 2, 4])
REAL = np.arange(5) < LENGTHS[:, None]
WIDE = {"param_dtype": jnp.float64}

LINEN = pytest.mark.parametrize("loop", [linen.RNN, rnn.interop.linen.RNN], ids=["RNN", "unroll"])
NNX = pytest.mark.parametrize("loop", [nnx.RNN, rnn.interop.nnx.RNN], ids=["RNN", "unroll"])


@pytest.fixture(autouse=True)
def promoting():
    """What Flax needs while it makes modules and runs them."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def tokens(seed=0):
    """A padded batch, batch first as in all of Flax's examples."""
    return np.random.default_rng(seed).integers(0, VOCABULARY, REAL.shape)


def cross_entropy(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


@pytest.mark.parametrize("in_flax", ["nnx", pytest.param("linen", marks=pytest.mark.slow)])
def test_the_examples_of_the_docstrings(in_flax):
    """`(batch, time, features)` unless `time_major`; a carry where it is asked for."""
    cell = rnn.LSTM(32, 64)
    xs, turned, lengths = jnp.ones((10, 50, 32)), jnp.ones((50, 10, 32)), jnp.full(10, 7)

    def run(xs, seq_lengths=None, **settings):
        if in_flax == "nnx":
            layer = nnx.RNN(to_nnx(cell, cell.init(jax.random.key(0))), **settings)
            return layer(xs, seq_lengths=seq_lengths)
        layer = linen.RNN(to_linen(cell), **settings)
        return layer.init_with_output(jax.random.key(0), xs, seq_lengths=seq_lengths)[0]

    assert run(xs).shape == (10, 50, 64)
    assert run(turned, time_major=True).shape == (50, 10, 64)
    carry, ys = run(xs, return_carry=True, seq_lengths=lengths)
    assert (carry.h.shape, carry.c.shape, ys.shape) == ((10, 64), (10, 64), (10, 50, 64))


# -- linen ---------------------------------------------------------------------------------------


class Classifier(linen.Module):
    """A text: its words, both directions, their mean, a class."""

    cell: Any
    loop: Any = linen.RNN

    @linen.compact
    def __call__(self, words, lengths):
        xs = linen.Embed(VOCABULARY, SIZE, **WIDE)(words)
        layers = self.loop(self.cell(SIZE)), self.loop(self.cell(SIZE))
        hs = linen.Bidirectional(*layers)(xs, seq_lengths=lengths)
        mean = jnp.mean(hs, 1, where=REAL[..., None])
        return linen.Dense(CLASSES, **WIDE)(jnp.tanh(mean))


class Translator(linen.Module):
    """An encoder, whose last carry is where the decoder begins; what it reads is the target."""

    cell: Any
    loop: Any = linen.RNN

    @linen.compact
    def __call__(self, words, lengths):
        xs = linen.Embed(VOCABULARY, SIZE, **WIDE)(words)
        encoder = self.loop(self.cell(SIZE), return_carry=True, name="encoder")
        decoder = self.loop(self.cell(SIZE), name="decoder")
        carry, _ = encoder(xs, seq_lengths=lengths)
        return linen.Dense(VOCABULARY, **WIDE)(decoder(xs[:, :-1], initial_carry=carry))


def of_flax(inputs):
    return linen.LSTMCell(HIDDEN, **WIDE)


def of_ours(inputs):
    return to_linen(rnn.LSTM(inputs, HIDDEN), **WIDE)


def taken_over(params):
    """The weights of each cell in our form, under the name of our module."""
    return {
        name.replace("LSTMCell", "CellModule"): {
            "weights": rnn.interop.linen.read({"params": {"cell": inside}})[1]
        }
        if name.startswith("LSTMCell")
        else inside
        for name, inside in params.items()
    }


def losses_in_linen(model, params, labels):
    """The loop of Flax's examples: a `TrainState`, a jitted step, some epochs."""
    state = TrainState.create(apply_fn=model.apply, params=params, tx=optax.adam(0.1))

    @jax.jit
    def step(state):
        def loss(params):
            logits = state.apply_fn({"params": params}, tokens(), LENGTHS)
            return cross_entropy(logits, labels).mean()

        value, grads = jax.value_and_grad(loss)(state.params)
        return state.apply_gradients(grads=grads), value

    found = []
    for _ in range(4):
        state, value = step(state)
        found.append(value)
    return found


@pytest.mark.slow
@LINEN
@pytest.mark.parametrize(
    ("kind", "labels"),
    [(Classifier, np.array([0, 1, 1])), (Translator, tokens()[:, 1:])],
    ids=["classifier", "encoder and decoder"],
)
def test_an_example_of_linen_has_the_losses_that_it_has_with_its_own_cells(kind, labels, loop):
    params = kind(of_flax).init(jax.random.key(0), tokens(), LENGTHS)["params"]
    expected = losses_in_linen(kind(of_flax), params, labels)
    assert_close(losses_in_linen(kind(of_ours, loop), taken_over(params), labels), expected)
    assert expected[-1] < expected[0]


# -- nnx -----------------------------------------------------------------------------------------


class Tagger(nnx.Module):
    """A class for each word."""

    def __init__(self, *, rngs):
        self.embed = nnx.Embed(VOCABULARY, SIZE, **WIDE, rngs=rngs)
        forward, backward = (nnx.LSTMCell(SIZE, HIDDEN, **WIDE, rngs=rngs) for _ in range(2))
        self.encoder = nnx.Bidirectional(nnx.RNN(forward), nnx.RNN(backward))
        self.head = nnx.Linear(2 * HIDDEN, CLASSES, **WIDE, rngs=rngs)

    def __call__(self, words, lengths):
        return self.head(self.encoder(self.embed(words), seq_lengths=lengths))


def losses_in_nnx(model, labels):
    optimizer = nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        def loss(model):
            logits = model(tokens(), jnp.asarray(LENGTHS))
            return cross_entropy(logits, labels).mean(where=REAL)

        value, grads = nnx.value_and_grad(loss)(model)
        optimizer.update(model, grads)
        return value

    return [step(model, optimizer) for _ in range(4)]


@pytest.mark.slow
@NNX
def test_an_example_of_nnx_has_the_losses_that_it_has_with_its_own_cells(loop):
    labels = tokens(1) % CLASSES
    expected = losses_in_nnx(Tagger(rngs=nnx.Rngs(0)), labels)
    ours = Tagger(rngs=nnx.Rngs(0))
    for direction in ("forward_rnn", "backward_rnn"):
        theirs = getattr(ours.encoder, direction).cell
        setattr(ours.encoder, direction, loop(to_nnx(*rnn.interop.nnx.read(theirs))))
    assert_close(losses_in_nnx(ours, labels), expected)
    assert expected[-1] < expected[0]
