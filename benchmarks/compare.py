"""What got slower or faster between two results, beyond the noise."""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

from benchmarks.competitors import FLOOR
from benchmarks.headline import mean
from benchmarks.measure import KEY
from benchmarks.report import table
from benchmarks.shapes import Shape

LEAST = 0.05
"""A change of less is none."""

MACHINE = ("device", "processor", "threads", "XLA_FLAGS", "jax", "jaxlib", "python")
"""Where these differ, times may."""


class Change(NamedTuple):
    key: tuple
    ratio: float
    """New median over old."""
    beyond: bool
    """Whether by more than LEAST, and each median outside the other's quartiles."""


class Comparison(NamedTuple):
    changes: list[Change]
    """The largest ratio first."""
    alone: int
    """Rows that the other result does not have."""
    machines: list[str]
    """What differs between the machines, so that times do not compare."""


def compare(old: dict, new: dict) -> Comparison:
    """Rows of the same shape, kind, variant and competitor."""
    if "grid" not in old:
        raise SystemExit("--compare: the old file is no result of this suite (it has no grid).")
    before, after = ({_key(row): row for row in result["rows"]} for result in (old, new))
    shared = before.keys() & after.keys()
    changes = [
        _change(key, before[key]["milliseconds"], after[key]["milliseconds"]) for key in shared
    ]
    changes.sort(key=lambda change: -change.ratio)
    machines = [
        f"{name} {old['machine'].get(name)}, now {new['machine'].get(name)}"
        for name in MACHINE
        if old["machine"].get(name) != new["machine"].get(name)
    ]
    return Comparison(changes, len(before.keys() ^ after.keys()), machines)


def _change(key: tuple, old: list[float], new: list[float]) -> Change:
    ratio = new[1] / old[1]
    outside = not old[0] <= new[1] <= old[2] and not new[0] <= old[1] <= new[2]
    return Change(key, ratio, outside and abs(ratio - 1) > LEAST)


def _key(row: dict) -> tuple:
    return tuple(row[name] for name in KEY)


def markdown(comparison: Comparison) -> str:
    """What changed, in words and a table; slower first."""
    changes = comparison.changes
    real = [change for change in changes if change.beyond]
    slower = sum(change.ratio > 1 for change in real)
    lines = [
        f"{len(changes)} rows compared: {slower} slower, {len(real) - slower} faster, "
        f"{len(changes) - len(real)} within the noise. "
        f"{comparison.alone} rows had no partner.",
    ]
    if comparison.machines:
        lines += ["", f"Not the same machine: {'; '.join(comparison.machines)}."]
    if changes:
        overall = mean(change.ratio for change in changes)
        lines += ["", f"Geometric mean of new / old over all rows: {overall:.3f}."]
    floors = [change.ratio for change in changes if FLOOR in change.key]
    if floors:
        lines[-1] += f" Of the floor, which is none of our code: {mean(floors):.3f}."
    if real:
        rows = [_named(change) for change in real]
        lines += ["", *table(["shape", "kind", "competitor", "new / old", ""], rows)]
    return "\n".join(lines) + "\n"


def _named(change: Change) -> list[str]:
    key = dict(zip(KEY, change.key, strict=True))
    shape = Shape(*(key[name] for name in Shape._fields))
    name = f"{key['competitor']}, {key['variant']}"
    word = "slower" if change.ratio > 1 else "faster"
    return [str(shape), key["kind"], name, f"{change.ratio:.2f}", word]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    options = parser.parse_args()
    old, new = (json.loads(path.read_text()) for path in (options.old, options.new))
    print(markdown(compare(old, new)), end="")


if __name__ == "__main__":
    main()
