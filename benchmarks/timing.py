"""Interleaved timing: whatever else the machine does in a while hits every competitor alike."""

import time
from collections.abc import Callable

import numpy as np


def interleaved(steps: dict[str, Callable[[], None]], repetitions: int) -> dict[str, np.ndarray]:
    """Seconds of each call, `(repetitions,)` a competitor, taken in turn after a warm-up."""
    for step in steps.values():
        step()
    seconds = {name: np.empty(repetitions) for name in steps}
    for i in range(repetitions):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[name][i] = time.perf_counter() - start
    return seconds


def quartiles(values: np.ndarray) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)
