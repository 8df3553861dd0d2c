"""What is timed: a training step of one cell at one shape, and each way to compute it."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

import rnn_jax as rnn


class Shape(NamedTuple):
    """One row of the table."""

    cell: str
    steps: int
    batch: int
    hidden: int

    def __str__(self) -> str:
        return f"{self.cell} T={self.steps} B={self.batch} H={self.hidden}"


CELLS = {"elman": rnn.Elman, "gru": rnn.GRU, "lstm": rnn.LSTM}
FLAX = {"elman": nnx.SimpleCell, "gru": nnx.GRUCell, "lstm": nnx.LSTMCell}

# The first is what the others are compared with.
COMPETITORS = ("BPTT", "Scan", "flax.nnx")


def training_steps(shape: Shape) -> dict[str, "Step"]:
    """Each competitor's compiled gradient of the mean square of the outputs, ready to call."""
    xs = jax.random.normal(jax.random.key(0), (shape.steps, shape.batch, shape.hidden))
    cell = CELLS[shape.cell](shape.hidden, shape.hidden)
    params = cell.init(jax.random.key(1))
    steps = {
        name: _compile(_ours(cell, method), params, xs)
        for name, method in (("BPTT", rnn.BPTT()), ("Scan", rnn.Scan()))
    }
    steps["flax.nnx"] = _compile(*_flax(shape), xs)
    return steps


def _ours(cell: rnn.Cell, method: rnn.Method) -> Callable:
    return lambda params, xs: rnn.unroll(cell, params, xs, method=method)[1]


def _flax(shape: Shape) -> tuple[Callable, nnx.State]:
    cell = FLAX[shape.cell](shape.hidden, shape.hidden, rngs=nnx.Rngs(0))
    graph, params, rest = nnx.split(nnx.RNN(cell, time_major=True), nnx.Param, ...)
    zeros = jnp.zeros((shape.batch, shape.hidden))
    carry = (zeros, zeros) if shape.cell == "lstm" else zeros

    def run(params: nnx.State, xs: jax.Array) -> jax.Array:
        return nnx.merge(graph, params, rest)(xs, initial_carry=carry)

    return run, params


def _compile(run: Callable, params: object, xs: jax.Array) -> "Step":
    def loss(params: object, xs: jax.Array) -> jax.Array:
        return jnp.mean(jnp.square(run(params, xs)))

    program = jax.jit(jax.value_and_grad(loss)).lower(params, xs).compile()
    return Step(program, (params, xs))


class Step(NamedTuple):
    """A compiled program and its arguments."""

    program: jax.stages.Compiled
    arguments: tuple

    def __call__(self) -> None:
        """Run once, to the end."""
        jax.block_until_ready(self.program(*self.arguments))

    @property
    def temporaries(self) -> int:
        """Bytes beside arguments and results."""
        return self.program.memory_analysis().temp_size_in_bytes
