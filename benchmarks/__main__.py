"""`python -m benchmarks`: time a training step against sequence length, beside flax.nnx."""

import argparse
import datetime
import itertools
import json
import os
import platform
import subprocess
from pathlib import Path

import flax
import jax
from tqdm import tqdm

from benchmarks.cases import CELLS, COMPETITORS, Shape, training_steps
from benchmarks.timing import interleaved, quartiles

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Time every shape, print the table, write both."""
    options = _options()
    shapes = [
        Shape(cell, steps, batch, hidden)
        for cell, (batch, hidden), steps in itertools.product(
            options.cells, options.sizes, options.steps
        )
    ]
    rows = []
    for shape in (bar := tqdm(shapes, unit="shape")):
        bar.set_description(str(shape))
        rows.append(measure(shape, options.repetitions))
    result = {"machine": machine(), "rows": rows}
    text = table(result)
    print(text)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    options.output.with_suffix(".md").write_text(text)


def measure(shape: Shape, repetitions: int) -> dict:
    """One row: the time of each competitor, and its ratio to the first, paired by repetition."""
    steps = training_steps(shape)
    seconds = interleaved(steps, repetitions)
    ours = seconds[COMPETITORS[0]]
    return {
        **shape._asdict(),
        "milliseconds": {name: quartiles(1e3 * t) for name, t in seconds.items()},
        "ratio": {name: quartiles(t / ours) for name, t in seconds.items()},
        "temporaries": {name: step.temporaries for name, step in steps.items()},
    }


def machine() -> dict:
    """What the numbers belong to."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "date": datetime.date.today().isoformat(),
        "device": jax.devices()[0].device_kind,
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "jax": jax.__version__,
        "flax": flax.__version__,
        "python": platform.python_version(),
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
        "commit": commit.stdout.strip(),
    }


def table(result: dict) -> str:
    """The result in Markdown."""
    names = COMPETITORS
    about = ", ".join(f"{key} {value}" for key, value in result["machine"].items() if value)
    head = ["cell", "T", "B", "H", f"{names[0]}, ms", f"{names[0]}, µs/step"]
    head += [f"{name} / {names[0]}" for name in names[1:]]
    head += [f"{name}, MB" for name in names]
    lines = [
        f"A training step (value and gradient), float32. {about}.",
        "",
        "Times are medians; a ratio is the median over interleaved repetitions, with its",
        "quartiles: above 1 the other is slower. MB are the temporaries of the compiled program.",
        "",
        "| " + " | ".join(head) + " |",
        "|" + " --- |" * len(head),
    ]
    for row in result["rows"]:
        ms = row["milliseconds"][names[0]][1]
        cells = [row["cell"], row["steps"], row["batch"], row["hidden"]]
        cells += [f"{ms:.1f}", f"{1e3 * ms / row['steps']:.1f}"]
        for name in names[1:]:
            low, middle, high = row["ratio"][name]
            cells.append(f"{middle:.2f} ({low:.2f} to {high:.2f})")
        cells += [f"{row['temporaries'][name] / 1e6:.1f}" for name in names]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--steps", nargs="+", type=int, default=[64, 256, 1024])
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=_size,
        default=[(1, 32), (16, 64), (32, 256)],
        metavar="BxH",
        help="batch and hidden size, such as 32x256",
    )
    parser.add_argument("--repetitions", type=int, default=11)
    parser.add_argument("--output", type=Path, default=RESULTS / "cpu")
    return parser.parse_args()


def _size(text: str) -> tuple[int, int]:
    batch, hidden = map(int, text.split("x"))
    return batch, hidden


if __name__ == "__main__":
    main()
