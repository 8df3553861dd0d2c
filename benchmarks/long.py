"""`python -m benchmarks.long`: a training step over a million steps of time, in little memory."""

import argparse
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp

import rnn_jax as rnn
from benchmarks.report import RESULTS, about, table, with_machine, write
from rnn_jax import tasks

BATCH, HIDDEN = 4, 128
METHODS = {"sqrt": rnn.Checkpointed(rnn.BPTT(), "sqrt"), "log": rnn.Checkpointed(rnn.BPTT(), "log")}


def main() -> None:
    """Take a training step by each method, print the table, write both."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.long", description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, default=RESULTS / "long")
    options = parser.parse_args()
    rows = [measure(name, options.steps) for name in METHODS]
    print(write(options.output, with_machine(steps=options.steps, rows=rows), markdown))


def measure(name: str, steps: int) -> dict:
    """The adding problem, whose answer is due after the last step: the loss reads that alone."""
    step, params, batch = training_step(METHODS[name], steps)
    start = time.perf_counter()
    program = step.lower(params, *batch).compile()
    compiled = time.perf_counter()
    loss, grads = jax.block_until_ready(program(params, *batch))
    seconds = time.perf_counter() - compiled
    return {
        "checkpoint": name,
        "seconds": seconds,
        "compilation": compiled - start,
        "temporaries": program.memory_analysis().temp_size_in_bytes,
        "resident": peak(),
        "loss": float(loss),
        "gradient_norm": float(jnp.sqrt(sum(jnp.vdot(g, g) for g in jax.tree.leaves(grads)))),
    }


def training_step(method: rnn.Method, steps: int) -> tuple[Callable, rnn.Params, tuple]:
    """Loss and gradient of a GRU and a readout of its last state; params; a batch."""
    cell, head = rnn.GRU(2, HIDDEN), rnn.Dense(HIDDEN, 1)

    def loss(params: tuple, xs: jax.Array, targets: jax.Array) -> jax.Array:
        carry, _ = rnn.unroll(cell, params[0], xs, method=method)
        _, answer = rnn.step(head, params[1], carry.h)
        return jnp.mean(jnp.square(answer[:, 0] - targets))

    keys = jax.random.split(jax.random.key(0), 3)
    params = cell.init(keys[0]), head.init(keys[1])
    xs, targets = tasks.adding(keys[2], steps, BATCH)
    return jax.jit(jax.value_and_grad(loss)), params, (xs, targets)


def peak() -> int:
    """The most bytes that this process has had in memory so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def markdown(result: dict) -> str:
    """The result as a text with a table."""
    head = ["checkpoint", "s", "µs/step", "compilation, s", "temporaries, MB", "resident, MB"]
    rows = [
        [
            row["checkpoint"],
            f"{row['seconds']:.1f}",
            f"{1e6 * row['seconds'] / result['steps']:.1f}",
            f"{row['compilation']:.1f}",
            f"{row['temporaries'] / 1e6:.1f}",
            f"{row['resident'] / 1e6:.0f}",
        ]
        for row in result["rows"]
    ]
    lines = [
        f"One training step of a GRU of {HIDDEN} units at batch {BATCH} on the adding problem",
        f"over {result['steps']:,} steps, float32. {about(result)}.",
        "",
        "Temporaries are those of the compiled program; resident is the most memory that the",
        "process has had by then: Python, JAX and data together.",
        "",
        *table(head, rows),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
