"""How far what was said is from what should have been."""

from collections.abc import Sequence

import numpy as np


def edits(a: Sequence, b: Sequence) -> int:
    """How many insertions, deletions and replacements make b of a (Levenshtein 1966)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            best = min(diagonal + (x != y), row[j - 1] + 1, row[j] + 1)
            diagonal, row[j] = row[j], best
    return row[-1]


def error_rates(
    said: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]
) -> dict[str, float]:
    """PER and WER in percent, each word beside the nearest of its references.

    WER counts words that are like none of theirs. PER is the sum of edits over the sum of the
    lengths of the references, the first of those that are equally near.
    """
    wrong = errors = length = 0
    for word, own in zip(said, references, strict=True):
        distances = [edits(word, reference) for reference in own]
        nearest = int(np.argmin(distances))
        wrong += distances[nearest] > 0
        errors += distances[nearest]
        length += len(own[nearest])
    return {"PER": 100 * errors / length, "WER": 100 * wrong / len(said)}
