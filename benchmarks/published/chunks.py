"""Chunks out of tags, and how many of them are right: what conlleval counts."""

from collections.abc import Sequence

import numpy as np


def chunks(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """(kind, start, stop) of each chunk of a sentence, from its tags O, B-KIND and I-KIND.

    A B begins a chunk, and so does an I that continues none of its kind, as in conlleval (Tjong
    Kim Sang & Buchholz, CoNLL 2000).
    """
    found: list[tuple[str, int, int]] = []
    for at, tag in enumerate(tags):
        if tag == "O":
            continue
        place, _, kind = tag.partition("-")
        if place == "I" and found and found[-1][::2] == (kind, at):
            found[-1] = (kind, found[-1][1], at + 1)
        else:
            found.append((kind, at, at + 1))
    return found


def chunk_scores(
    said: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
) -> dict[str, float]:
    """F1, precision and recall in percent, over all chunks of all sentences.

    A chunk is right if kind, start and stop are. 0 where there is nothing to divide by.
    """
    right = guessed = there = 0
    for mine, theirs in zip(said, references, strict=True):
        a, b = set(chunks(mine)), set(chunks(theirs))
        right, guessed, there = right + len(a & b), guessed + len(a), there + len(b)
    return {
        "F1": 200 * right / max(1, guessed + there),
        "precision": 100 * right / max(1, guessed),
        "recall": 100 * right / max(1, there),
    }


def follows(tags: Sequence[str]) -> np.ndarray:
    """`(tags + 1, tags)` of bool: which tag may follow which, and in the last row begin a sentence.

    An I follows a B or an I of its kind alone.
    """
    before = [*tags, "O"]
    return np.array(
        [[tag[0] != "I" or last[1:] == tag[1:] for tag in tags] for last in before], bool
    )


def likeliest(scores: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """The sequence of highest sum of scores `(n, tags)` in which each tag may follow the last.

    `allowed` is of `follows`. Source: Viterbi, IEEE Transactions on Information Theory 13, 1967.
    """
    barred = np.where(allowed, 0.0, -np.inf)
    best, back = scores[0] + barred[-1], []
    for own in scores[1:]:
        through = best[:, None] + barred[:-1]
        back.append(through.argmax(0))
        best = through.max(0) + own
    path = [int(best.argmax())]
    for step in reversed(back):
        path.append(int(step[path[-1]]))
    return np.array(path[::-1])
