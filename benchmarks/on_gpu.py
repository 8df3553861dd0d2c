"""`python -m benchmarks.on_gpu`: what to run where there is a GPU for some minutes.

First whether every method computes there what a scan computes on the CPU, then how long it takes,
by the grids of `python -m benchmarks`. Each file is written again after each point, so that a stop
loses nothing.
"""

import argparse
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import rnn_jax as rnn
from benchmarks import __main__ as suite
from benchmarks.report import RESULTS, about, table, with_machine, write
from benchmarks.shapes import TRAINING

CELLS = {"elman": rnn.Elman, "gru": rnn.GRU, "lstm": rnn.LSTM, "lru": rnn.LRU}
METHODS = {
    "Scan": rnn.Scan(),
    "BPTT": rnn.BPTT(),
    "Associative": rnn.Associative(),
    "Newton": rnn.Newton(),
    "Fused": rnn.Fused(),
}
SIZES = (256, 16, 64)
"""Steps, batch, units."""
BOUNDS = {"float32": 1e-4, "bfloat16": 5e-2}
"""Of an error, relative to the largest number of the array: rounding over all steps."""

WHO = ["--competitors", "rnn_jax", "rnn_jax Scan", "rnn_jax Fused"]
WHO += ["flax.nnx", "cudnn", "torch"]
HOW = ["--variants", "plain", "captured", "bfloat16", "--kinds", TRAINING]
LENGTHS = "--cells lstm --sizes 1x32 16x64 --steps 256 1024 4096 16384 65536 --seconds 1"
TIMED = [
    (0.4, ["scaling", *LENGTHS.split(), *WHO, *HOW]),
    (1.0, ["named", "--seconds", "0.5", *WHO, *HOW]),
]
"""Each grid, and its share of the time that is left."""
SMOKE = "scaling --quick --cells elman --sizes 1x32 --steps 64 --competitors rnn_jax".split()


def main(arguments: list[str] | None = None) -> None:
    """Compare, then time; end with an error if something is not equal."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.on_gpu", description=__doc__)
    parser.add_argument("--minutes", type=float, default=8.0, help="for everything")
    parser.add_argument("--output", type=Path, metavar="DIR", help="a folder")
    parser.add_argument("--smoke", action="store_true", help="small, to see that it runs")
    options = parser.parse_args(arguments)
    until = time.monotonic() + 60 * options.minutes
    output = options.output or RESULTS / jax.default_backend()

    result = with_machine(rows=[])
    for row in agreement((9, 2, 4), ["lru"]) if options.smoke else agreement(SIZES, CELLS):
        result["rows"].append(row)
        text = write(output / "agreement", result, markdown)
    print(text)

    for share, words in [(1.0, SMOKE)] if options.smoke else TIMED:
        minutes = share * max(0.0, until - time.monotonic()) / 60
        suite.main([*words, "--minutes", str(minutes), "--output", str(output)])
    if not all(row["agrees"] for row in result["rows"]):
        raise SystemExit("Some numbers are not those of the CPU: see agreement.md.")


def agreement(sizes: tuple[int, int, int], cells: Iterable[str]) -> Iterator[dict]:
    """For each dtype, cell and method, how far it is from a scan on the CPU.

    The scan is in float32, of params and inputs that were rounded to the dtype.
    """
    steps, batch, units = sizes
    for dtype, bound in BOUNDS.items():
        for name in cells:
            cell = CELLS[name](units, units)
            params = cell.init(jax.random.key(0), dtype)
            xs = jax.random.normal(jax.random.key(1), (steps, batch, units)).astype(dtype)
            wide = jax.tree.map(lambda x: x.astype(jnp.float32), (params, xs))
            cpu = jax.devices("cpu")[0]
            expected = outcome(cell, rnn.Scan(), *jax.device_put(wide, cpu))
            for label, method in METHODS.items():
                row = {"dtype": dtype, "cell": name, "method": label, "bound": bound}
                try:
                    error = distance(outcome(cell, method, params, xs), expected)
                except rnn.RNNError as reason:  # what does not suit the cell or the dtype
                    yield {**row, "error": None, "refused": str(reason), "agrees": True}
                except Exception as failure:  # a compiler's: the minutes go on without it
                    first = str(failure).partition("\n")[0]
                    said = f"{type(failure).__name__}: {first}"
                    yield {**row, "error": None, "refused": said, "agrees": False}
                else:
                    yield {**row, "error": error, "refused": None, "agrees": error <= bound}


def outcome(cell: rnn.Cell, method: rnn.Method, params: Any, xs: jax.Array) -> Any:
    """Outputs and gradient, without the rounding of TF32."""

    @jax.jit
    def run(params: Any, xs: jax.Array) -> Any:
        def loss(params: Any) -> tuple[jax.Array, jax.Array]:
            _, ys = rnn.unroll(cell, params, xs, method=method)
            return jnp.mean(jnp.square(ys.astype(jnp.float32))), ys

        return jax.grad(loss, has_aux=True)(params)

    with jax.default_matmul_precision("highest"):
        return jax.tree.map(np.float32, run(params, xs))


def distance(found: Any, expected: Any) -> float:
    """The largest of all arrays, each relative to its largest number."""
    errors = jax.tree.map(
        lambda a, b: np.abs(a - b).max(initial=0) / max(np.abs(b).max(initial=0), 1e-30),
        found,
        expected,
    )
    return float(max(jax.tree.leaves(errors)))


def markdown(result: dict) -> str:
    """What was compared, and with what outcome."""
    lines = []
    for row in result["rows"]:
        where = [row["dtype"], row["cell"], row["method"]]
        if row["refused"]:  # the JSON has the sentence
            outcome = "does not take it" if row["agrees"] else "**fails**"
            lines.append([*where, "", "", outcome])
        else:
            agrees = "yes" if row["agrees"] else "**no**"
            lines.append([*where, f"{row['error']:.1e}", row["bound"], agrees])
    head = ["dtype", "cell", "method", "error", "bound", "agrees"]
    title = f"# Agreement with a scan on the CPU, {result['machine']['device']}"
    return "\n".join([title, "", f"{about(result)}.", "", *table(head, lines), ""])


if __name__ == "__main__":
    main()
