"""How fast a cell is, where it was measured: of the files in benchmarks/results."""

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.competitors import FLOOR, OURS
from benchmarks.competitors.ours import CELLS
from benchmarks.headline import headlines
from benchmarks.shapes import TRAINING
from benchmarks.tables import shape_of
from benchmarks.variants import PLAIN
from website.rst import table

ROOT = Path(__file__).parent.parent
GRIDS = ("peers", "named", "parallel")
"""The files that have a cell beside what others make of it, at many shapes."""


def speed(kind: type) -> list[str]:
    """A table a file; nothing of a cell that was not measured."""
    parts = [part for grid in GRIDS for part in _of_grid(kind, grid)]
    return [".. rubric:: Speed", *parts] if parts else []


def _of_grid(kind: type, grid: str) -> Iterator[str]:
    path = f"benchmarks/results/cpu/{grid}"
    result = json.loads((ROOT / f"{path}.json").read_text(encoding="utf-8"))
    rows = [
        row
        for row in result["rows"]
        if CELLS[row["cell"]] is kind and (row["kind"], row["variant"]) == (TRAINING, PLAIN)
    ]
    own = [row for row in rows if row["competitor"] == OURS]
    if not own:
        return
    quick, slow = (end(own, key=lambda row: row["milliseconds"][1]) for end in (min, max))
    machine = result["machine"]
    times = " to ".join(f"{_time(row)} at {_size(row)}" for row in (quick, slow))
    yield (
        f"A training step, from {times}: medians on {machine['threads']} threads of an "
        f"{machine['processor']}, jax {machine['jax']}, {machine['date']} "
        f"(:doc:`{result['about']} </{path}>`). "
        f"The time of other ways over it, at {len(own)} shapes:"
    )
    lines = [
        (line.competitor, f"{line.every:.2f}", f"{line.worst['ratio'][1]:.2f}", _size(line.worst))
        for line in headlines(rows)
        if line.competitor not in (OURS, FLOOR)
    ]
    yield table(["", "geometric mean", "least", "at"], lines)


def _time(row: dict) -> str:
    """The median, to three digits."""
    milliseconds = float(f"{row['milliseconds'][1]:.3g}")
    return f"{milliseconds:,g} ms"


def _size(row: dict) -> str:
    """T, batch and hidden units, without the name of the cell."""
    return str(shape_of(row)).partition(" ")[2]
