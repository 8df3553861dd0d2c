"""`python -m benchmarks.devices`: a training step over virtual devices of one CPU.

What it can show on a few cores is what splitting costs, and what the cores are good for; not how a
network scales over machines.
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import rnn_jax as rnn
from benchmarks.report import RESULTS, about, spread, with_machine, write
from benchmarks.report import table as as_table
from benchmarks.timing import interleaved, quartiles

HIDDEN, BATCH, STEPS = 256, 64, 64
MESHES = ((1, 1), (2, 1), (4, 1), (8, 1), (1, 2), (1, 4), (2, 2), (4, 2))
"""Parts of the batch, parts of the units."""
DEVICES = max(data * model for data, model in MESHES)


def main() -> None:
    """Time a step on each mesh, print the table, write both."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.devices", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=31)
    parser.add_argument("--output", type=Path, default=RESULTS / "devices")
    options = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", DEVICES)
    rows = measure(HIDDEN, BATCH, STEPS, options.repetitions)
    result = with_machine(cores=os.cpu_count(), rows=rows)
    print(write(options.output, result, table))


def measure(hidden: int, batch: int, steps: int, repetitions: int) -> list[dict]:
    """Milliseconds of a step on each mesh, and the ratio to one device, by repetition."""
    seconds = interleaved(
        {name(*sizes): training_step(*sizes, hidden, batch, steps) for sizes in MESHES}, repetitions
    )
    alone = seconds[name(*MESHES[0])]
    return [
        {
            "data": data,
            "model": model,
            "milliseconds": quartiles(1e3 * seconds[name(data, model)]),
            "ratio": quartiles(seconds[name(data, model)] / alone),
        }
        for data, model in MESHES
    ]


def name(data: int, model: int) -> str:
    """A mesh in words."""
    return f"data {data}, model {model}"


def training_step(
    data: int, model: int, hidden: int, batch: int, steps: int
) -> Callable[[], object]:
    """Loss and gradient of an LSTM on a mesh, whose params and batch lie where they are needed."""
    mesh = jax.make_mesh(
        (data, model),
        ("data", "model"),
        devices=jax.devices()[: data * model],
        axis_types=(AxisType.Auto,) * 2,
    )
    cell = rnn.LSTM(hidden, hidden)
    placed = rnn.placement(cell, mesh)

    def loss(params: rnn.LSTMParams, xs: jax.Array) -> jax.Array:
        return jnp.mean(jnp.square(rnn.unroll(cell, params, xs)[1]))

    where = jax.tree.map(
        lambda spec: NamedSharding(mesh, spec), (placed.params, PartitionSpec(None, "data"))
    )
    params = cell.init(jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (steps, batch, hidden))
    arguments = jax.device_put((params, xs), where)
    step = jax.jit(jax.value_and_grad(loss), in_shardings=where)
    return lambda: jax.block_until_ready(step(*arguments))


def table(result: dict) -> str:
    """The result in Markdown."""
    cores = result.get("cores")
    lines = [
        f"A training step of an LSTM, {HIDDEN} units, batch {BATCH}, T = {STEPS}, float32, on",
        f"virtual devices of one CPU with {cores} cores. {about(result)}.",
        "",
        "`data` parts of the batch, `model` parts of the units. A ratio is the median over",
        "interleaved repetitions, with its quartiles: below 1 is faster than one device. Up to as",
        "many devices as there are cores, what `data` gains is real: XLA runs the arithmetic of a",
        "loop on one core. Beyond them nothing can be gained, nor along `model`, whose parts wait",
        "for each other at every step of time: there the numbers say what splitting costs. How it",
        "scales over machines nothing here says; that results are right is what the tests show.",
        "",
    ]
    rows = [
        [row["data"], row["model"], f"{row['milliseconds'][1]:.1f}", spread(row["ratio"])]
        for row in result["rows"]
    ]
    head = ["data", "model", "ms", "/ one device"]
    return "\n".join([*lines, *as_table(head, rows)]) + "\n"


if __name__ == "__main__":
    main()
