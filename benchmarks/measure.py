"""The rows of one shape: every competitor in the same process, in turn."""

import math
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import numpy as np

from benchmarks.competitors import COMPETITORS, FLOOR, OURS
from benchmarks.competitors.absent import Absent
from benchmarks.machine import free_bytes
from benchmarks.programs import Step
from benchmarks.shapes import Shape
from benchmarks.timing import Budget, interleaved, quartiles, seconds_of
from benchmarks.variants import PLAIN, VARIANTS

KEY = (*Shape._fields, "kind", "variant", "competitor")
"""What a row is found by."""

OF_FREE_MEMORY = 0.8
"""How much of the free memory a program may take."""


class Plan(NamedTuple):
    """Who takes part, and for how long."""

    competitors: Iterable[str]
    variants: Iterable[str] = (PLAIN,)
    budget: Budget = Budget()
    limit: float = 30.0
    """Seconds of one call. A shape at which a program takes longer is left out."""
    until: float = math.inf
    """The time, by `time.monotonic`, from which on no program is built any more."""

    def entries(self) -> list[tuple[str, str]]:
        """Variant and competitor; the floor first, which tells soonest that a shape takes long."""
        names = sorted(self.competitors, key=lambda name: name != FLOOR)
        return [(variant, name) for variant in self.variants for name in names]


class Measured(NamedTuple):
    rows: list[dict]
    absent: list[dict]
    """Key and reason of each row that there could have been."""


def measure(
    shape: Shape, kind: str, plan: Plan, advance: Callable[[str], None] = lambda name: None
) -> Measured:
    """Build everything, warm it up, then time it in turn."""
    steps, first, absent = {}, {}, []
    for entry in plan.entries():
        variant, name = entry
        advance(name)
        try:
            if time.monotonic() > plan.until:
                raise Absent("there was no time left")
            step = COMPETITORS[name](shape, kind, VARIANTS[variant])
            steps[entry], first[entry] = step, _warm(step, plan.limit)
        except Absent as reason:
            absent.append({**_key(shape, kind, entry), "reason": str(reason)})
            if isinstance(reason, TooLong):
                return Measured([], absent)
    repetitions = plan.budget.repetitions(first) if first else 0
    seconds = interleaved(steps, repetitions, plan.budget.calls(first))
    rows = []
    for entry, step in steps.items():
        ours = seconds.get((entry[0], OURS))
        plain = seconds.get((PLAIN, entry[1]))
        rows.append(
            {
                **_key(shape, kind, entry),
                "milliseconds": quartiles(1e3 * seconds[entry]),
                "ratio": _ratio(seconds[entry], ours),
                "ratio to plain": _ratio(seconds[entry], plain),
                "repetitions": repetitions,
                "compilation": step.compilation,
                "temporaries": step.temporaries,
                "peak": step.peak,
            }
        )
    return Measured(rows, absent)


class TooLong(Absent):
    """One call takes more than the limit."""


def _warm(step: Step, limit: float) -> float:
    """Seconds of the second call; the first one still loads and allocates."""
    free = free_bytes()
    if step.peak and step.peak > OF_FREE_MEMORY * free:
        raise Absent(f"needs {step.peak / 1e9:.1f} GB, {free / 1e9:.1f} are free")
    try:
        first = seconds_of(step)
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        raise Absent(str(error).splitlines()[0]) from error
    if first > limit:
        raise TooLong(f"a call takes {first:.0f} s, more than the limit of {limit:.0f}")
    return min(first, seconds_of(step))


def _key(shape: Shape, kind: str, entry: tuple[str, str]) -> dict:
    variant, name = entry
    return {**shape._asdict(), "kind": kind, "variant": variant, "competitor": name}


def _ratio(seconds: np.ndarray, reference: np.ndarray | None) -> tuple | None:
    """Paired by repetition."""
    return None if reference is None else quartiles(seconds / reference)
