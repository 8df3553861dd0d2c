"""Many ratios in a few numbers: geometric means, and the worst case."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from benchmarks.competitors import FLOOR, OURS
from benchmarks.measure import KEY

PLACE = tuple(name for name in KEY if name != "competitor")
"""What rows that are compared with one another share."""


class Headline(NamedTuple):
    """How much slower a competitor is than rnn_jax: above 1 is slower."""

    competitor: str
    cells: dict[str, float]
    """Geometric mean for each cell that it has."""
    every: float
    """Over all shapes."""
    worst: dict
    """The row where it does best against rnn_jax."""
    over_floor: float | None
    """Geometric mean of its time over that of the floor."""


def headlines(rows: Iterable[dict]) -> list[Headline]:
    """One a competitor, of rows of one kind and one variant."""
    rows = [row for row in rows if row["ratio"] is not None]
    floors = {place(row): row for row in rows if row["competitor"] == FLOOR}
    names = list(dict.fromkeys(row["competitor"] for row in rows))
    names.sort(key=lambda name: name != OURS)
    return [_headline(name, [r for r in rows if r["competitor"] == name], floors) for name in names]


def _headline(name: str, rows: list[dict], floors: dict) -> Headline:
    cells = list(dict.fromkeys(row["cell"] for row in rows))
    over = [
        row["milliseconds"][1] / floors[place(row)]["milliseconds"][1]
        for row in rows
        if place(row) in floors
    ]
    return Headline(
        name,
        {cell: mean(row["ratio"][1] for row in rows if row["cell"] == cell) for cell in cells},
        mean(row["ratio"][1] for row in rows),
        min(rows, key=lambda row: row["ratio"][1]),
        mean(over) if over else None,
    )


def mean(ratios: Iterable[float]) -> float:
    """Geometric: that of the reciprocals is its reciprocal."""
    return float(np.exp(np.mean(np.log(list(ratios)))))


def place(row: dict) -> tuple:
    return tuple(row[name] for name in PLACE)
