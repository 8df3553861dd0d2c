"""A loss in nats, as the numbers that the field compares."""

from __future__ import annotations

import math
from typing import Any

# Larger than any loss of a model that has learned something, small enough for a float.
_LARGEST = 700.0


def perplexity(nats: float) -> float:
    """exp(loss): how many tokens, all as likely, would be as hard to guess."""
    return math.exp(min(nats, _LARGEST))


def bits(nats: float) -> float:
    """The loss in bits per token."""
    return nats / math.log(2)


def describe(nats: float, level: str) -> dict[str, float]:
    """The loss of a `char` or `word` model, by name."""
    return {"loss": nats, "perplexity": perplexity(nats), f"bits_per_{level}": bits(nats)}


def is_measured(record: Any) -> bool:
    """Whether a line of metrics.jsonl holds what `describe` said of some split."""
    numbers = (record.get("loss"), record.get("perplexity"))
    sound = all(isinstance(number, float) and math.isfinite(number) for number in numbers)
    return sound and record.get("split") in ("train", "validation")
