"""What the compiled training step does, counted: matmuls, stored bytes, compilations."""

import functools

import jax
import jax.numpy as jnp
import optax
import pytest

import rnn_jax as rnn
from tests import hlo
from tests.unsplit import PeepholeLSTM

STEPS, CHUNK, BATCH, INPUTS, HIDDEN = 64, 16, 5, 7, 11

# Each cell with the shapes of its weights inside and before the loop.
CELLS = {
    "elman": (rnn.Elman(INPUTS, HIDDEN), HIDDEN),
    "gru": (rnn.GRU(INPUTS, HIDDEN), 3 * HIDDEN),
    "lstm": (rnn.LSTM(INPUTS, HIDDEN), 4 * HIDDEN),
    "peephole": (PeepholeLSTM(INPUTS, HIDDEN), 4 * HIDDEN),
}
# Without preactivations that are kept.
FRUGAL = rnn.BPTT(chunk=CHUNK, store=0)

every_cell = pytest.mark.parametrize("name", CELLS)


@functools.cache
def training_step(cell, method, steps=STEPS, batch=BATCH):
    """The compiled gradient; several laws are about the same one."""
    params = jax.eval_shape(cell.init, jax.random.key(0))
    xs = jax.ShapeDtypeStruct((steps, batch, INPUTS), jnp.float32)

    def loss(params, xs):
        _, ys = rnn.unroll(cell, params, xs, method=method)
        return jnp.mean(jnp.square(ys))

    return hlo.compiled(jax.grad(loss), params, xs)


def of_shape(counts, rows, columns):
    """A weight gradient may be computed as its transpose."""
    return sum(counts[shape] for shape in {(rows, columns), (columns, rows)})


@every_cell
def test_weight_gradients_are_one_matmul_a_chunk(name):
    cell, width = CELLS[name]
    collected = hlo.matmuls(training_step(cell, FRUGAL))
    assert of_shape(collected, HIDDEN, width) == STEPS // CHUNK
    assert of_shape(collected, INPUTS, width) == STEPS // CHUNK

    # The reading of the program sees them where they are: JAX's own gradient has one a step.
    by_scan = hlo.matmuls(training_step(cell, rnn.Scan()))
    assert of_shape(by_scan, HIDDEN, width) == STEPS


@pytest.mark.parametrize("name", ["elman", "gru", "lstm"])
def test_each_step_costs_one_matmul_each_way(name):
    cell, width = CELLS[name]
    counts = hlo.matmuls(training_step(cell, FRUGAL))
    assert counts[BATCH, width] == STEPS * (2 if width == HIDDEN else 1)
    if width != HIDDEN:
        assert counts[BATCH, HIDDEN] == STEPS


def test_an_elman_computes_no_preactivation_again():
    """The derivative of tanh is in h, so that the only matmuls over a chunk's rows are needed."""
    cell, _ = CELLS["elman"]
    rows = (CHUNK * BATCH, HIDDEN)
    tanh = hlo.matmuls(training_step(cell, FRUGAL))[rows]
    other = rnn.Elman(INPUTS, HIDDEN, activation=jnp.sin)
    sine = hlo.matmuls(training_step(other, FRUGAL))[rows]
    assert tanh == STEPS // CHUNK  # forward: project
    assert sine == 3 * STEPS // CHUNK  # and again backward, with recur


@pytest.mark.parametrize("name", ["gru", pytest.param("lstm", marks=pytest.mark.slow)])
def test_what_is_stored_is_not_computed_again(name):
    """With preactivations kept, matmuls over a chunk's rows are `project`, once."""
    cell, width = CELLS[name]
    again, once = (
        hlo.matmuls(training_step(cell, rnn.BPTT(chunk=CHUNK, store=store))) for store in (0, 2**20)
    )
    rows = CHUNK * BATCH
    assert once[rows, width] == STEPS // CHUNK
    assert again[rows, width] > once[rows, width]


def test_no_more_is_stored_than_allowed():
    """Over the limit by a byte: the program that stores nothing."""
    cell, width = CELLS["lstm"]
    needed = STEPS * BATCH * width * 4
    none, under, over = (
        hlo.temporaries(training_step(cell, rnn.BPTT(chunk=CHUNK, store=store)))
        for store in (0, needed - 1, needed)
    )
    assert none == under < over <= none + 1.1 * needed


@every_cell
def test_constant_inputs_cost_no_gradient(name):
    """Nothing of the shape of a chunk's inputs is computed where nobody asks for its gradient."""
    cell, _ = CELLS[name]
    counts = hlo.matmuls(training_step(cell, FRUGAL))
    assert counts[CHUNK * BATCH, INPUTS] == counts[CHUNK, BATCH, INPUTS] == 0


@pytest.mark.parametrize(
    ("name", "leaves"),
    [("elman", 1), pytest.param("gru", 1, marks=pytest.mark.slow), ("lstm", 2)],
)
def test_temporaries_are_the_carries(name, leaves):
    """Per step of T: each carry and its cotangent, a carry per chunk, and no gate."""
    cell, _ = CELLS[name]
    batch = 64
    few, many = (
        hlo.temporaries(training_step(cell, FRUGAL, steps, batch)) for steps in (1024, 2048)
    )
    a_step = (many - few) / 1024
    one = batch * HIDDEN * 4
    assert leaves * one <= a_step <= 2 * leaves * one * (1 + 1 / CHUNK)

    few, many = (
        hlo.temporaries(training_step(cell, rnn.Scan(), steps, batch)) for steps in (1024, 2048)
    )
    assert (many - few) / 1024 > a_step


@pytest.mark.parametrize(
    ("every", "growth"),
    [(None, 4.0), pytest.param("sqrt", 1 / 8, marks=pytest.mark.slow), ("log", 1 / 8)],
    ids=str,
)
def test_the_carries_kept_for_a_gradient_grow_as_the_checkpoint_says(every, growth):
    """How many carries a step of T costs where the loss reads the last one alone."""
    cell, batch = rnn.GRU(1, 32), 16
    params = jax.eval_shape(cell.init, jax.random.key(0))

    def memory(steps):
        xs = jax.ShapeDtypeStruct((steps, batch, 1), jnp.float32)

        def loss(params, xs):
            method = rnn.Checkpointed(FRUGAL, every) if every else FRUGAL
            carry, _ = rnn.unroll(cell, params, xs, method=method)
            return jnp.sum(carry.h)

        return hlo.temporaries(hlo.compiled(jax.grad(loss), params, xs))

    a_step = (memory(8192) - memory(2048)) / 6144
    carry = batch * 32 * 4
    assert a_step < growth * carry
    if every is None:
        assert a_step >= carry


def test_a_stream_of_windows_compiles_once():
    model = rnn.stack(rnn.GRU(INPUTS, HIDDEN), rnn.Dense(HIDDEN, 1))
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1))
    trainer = rnn.truncated_bptt(
        model, lambda ys, targets: jnp.square(ys - targets).sum(-1), optimizer, window=6, stride=4
    )
    update = jax.jit(trainer.update)
    stream = jax.random.normal(jax.random.key(0), (50, 2, INPUTS), jnp.float32)
    state = trainer.init(model.init(jax.random.key(1)), (2,))
    for _ in range(2):
        for xs in rnn.windows(stream, 6, 4):
            state, _ = update(state, xs, xs[..., :1])
        state = trainer.restart(state)
    assert update._cache_size() == 1
