"""How time grows with T: `a + b * T`, and how well that describes it."""

import itertools
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

GRIDS = ("scaling", "parallel", "newton")
"""Those whose rows are read against T."""


class Fit(NamedTuple):
    """Milliseconds of T steps: `a + b * T`."""

    a: float
    b: float
    residual: float
    """Root mean square of what is left, relative to what was measured."""

    def __call__(self, steps: np.ndarray) -> np.ndarray:
        return self.a + self.b * steps


def fit(steps: np.ndarray, milliseconds: np.ndarray) -> Fit:
    """Least squares of the relative error: a short sequence counts as much as a long one.

    Relative to what was measured, since times over several orders of magnitude have errors of as
    many. A negative `a` says that long sequences pay more a step.
    """
    line = np.stack([np.ones(len(steps)), np.asarray(steps, float)], 1)
    scaled = line / np.asarray(milliseconds)[:, None]
    (a, b), *_ = np.linalg.lstsq(scaled, np.ones(len(steps)), rcond=None)
    residual = np.sqrt(np.mean(np.square(scaled @ [a, b] - 1)))
    return Fit(float(a), float(b), float(residual))


SERIES = ("kind", "cell", "batch", "hidden", "heads", "competitor", "variant")


def series(rows: Iterable[dict]) -> dict[tuple, list[dict]]:
    """The rows that differ in T alone, in its order; where there are two at the least."""

    def key(row: dict) -> tuple:
        return tuple(row[name] for name in SERIES)

    rows = list(rows)
    first = {key(row): i for i, row in reversed(list(enumerate(rows)))}
    ordered = sorted(rows, key=lambda row: (first[key(row)], row["steps"]))
    groups = {k: list(group) for k, group in itertools.groupby(ordered, key)}
    return {k: group for k, group in groups.items() if len(group) > 1}


def fits(rows: Iterable[dict]) -> dict[tuple, Fit]:
    """Of the medians of each series."""
    return {
        key: fit(
            np.array([row["steps"] for row in group]),
            np.array([row["milliseconds"][1] for row in group]),
        )
        for key, group in series(rows).items()
    }
