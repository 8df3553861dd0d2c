"""Interleaved timing: whatever else the machine does in a while hits every competitor alike."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

ORDER = 0
"""Seed of the order in which competitors take their turns."""


class Budget(NamedTuple):
    """How often each competitor runs at a shape."""

    seconds: float = 4.0
    """For each competitor, on average."""
    least: int = 5
    most: int = 31
    sample: float = 2e-3
    """Seconds of a repetition at the least: what is shorter is called several times in it."""

    def repetitions(self, seconds: Mapping[str, float]) -> int:
        """For competitors that take so long."""
        samples = [max(s, self.sample) for s in seconds.values()]
        return int(np.clip(self.seconds / np.mean(samples), self.least, self.most))

    def calls(self, seconds: Mapping[str, float]) -> dict[str, int]:
        """How many calls make a repetition of each."""
        return {name: max(1, round(self.sample / s)) for name, s in seconds.items()}


def seconds_of(run: Callable[[], object]) -> float:
    """One call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def interleaved(
    steps: Mapping[str, Callable[[], object]],
    repetitions: int,
    calls: Mapping[str, int] | None = None,
) -> dict[str, np.ndarray]:
    """Seconds of a call, `(repetitions,)` a competitor, after a warm-up.

    In each repetition all take their turn, in a new order, so that none runs after the same other
    one each time: threads that wait for more work, and caches, are a part of the next one's time.
    """
    for step in steps.values():
        step()
    names, rng = list(steps), np.random.default_rng(ORDER)
    seconds = {name: np.empty(repetitions) for name in names}
    for i in range(repetitions):
        for j in rng.permutation(len(names)):
            name = names[j]
            times = calls[name] if calls else 1
            step, start = steps[name], time.perf_counter()
            for _ in range(times):
                step()
            seconds[name][i] = (time.perf_counter() - start) / times
    return seconds


def quartiles(values: np.ndarray) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)
