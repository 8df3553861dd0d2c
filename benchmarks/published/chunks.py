"""Chunks out of tags, and how many of them are right: what conlleval counts."""

from collections.abc import Sequence


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
