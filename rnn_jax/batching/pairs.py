"""Batches of pairs whose sides differ in length, such as a sentence and its translation."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnn_jax.batching.padded import Padded, batched, planned
from rnn_jax.batching.sequences import check_sequences
from rnn_jax.errors import ArgumentError


class Pairs(NamedTuple):
    """A batch with one pair a row, each side with lengths of its own; a pytree."""

    source: Padded
    """One side; row by row those of `target`."""
    target: Padded
    """The other."""


def bucket_pairs(
    sources: Sequence[Any],
    targets: Sequence[Any],
    buckets: int | Sequence[int],
    batch_size: int,
    rng: np.random.Generator | None = None,
) -> Iterator[Pairs]:
    """Batches of pairs of about one length, in one shape a bucket: `bucket`, of two sides.

    A pair goes into a bucket by the longer of its sides, and each side of a bucket is padded to the
    longest in it. What travels at one length, such as words with their tags, is one sequence of
    `bucket`.

    Args:
      sources: Arrays `(n, ...)`, or pytrees of arrays of one length n.
      targets: As many, of lengths of their own; `targets[i]` belongs to `sources[i]`.
      buckets: The lengths of the longer side with which buckets end, or how many there are to be,
        as for `bucket`.
      batch_size: B.
      rng: Shuffles which pairs of a bucket meet, and the order of the batches.

    Raises:
      ArgumentError: There are more of the one than of the other; and what `bucket` raises.
      ShapeError, DtypeError, StructureError: The sequences of a side do not go together.

    >>> import numpy as np, rnn_jax as rnn
    >>> words = [np.ones(n, int) for n in (3, 4, 8)]
    >>> sounds = [np.ones(n, int) for n in (2, 5, 7)]
    >>> for batch in rnn.batching.bucket_pairs(words, sounds, buckets=2, batch_size=2):
    ...     print(batch.source.lengths, batch.source.xs.shape, batch.target.lengths)
    [3 0] (3, 2) [2 0]
    [4 8] (8, 2) [5 7]
    """
    sources, s = check_sequences("bucket_pairs", sources)
    targets, t = check_sequences("bucket_pairs", targets)
    if len(s) != len(t):
        raise ArgumentError(
            f"bucket_pairs: each source needs its target, got {len(s)} sources and {len(t)} "
            "targets."
        )
    longer = np.maximum(s, t)
    plan = planned("bucket_pairs", longer, buckets, batch_size, rng)
    own = {end: np.concatenate([rows for other, rows in plan if other == end]) for end, _ in plan}
    ends = {end: tuple(max(1, int(n[rows].max())) for n in (s, t)) for end, rows in own.items()}
    return (
        Pairs(
            batched(sources, s, rows, ends[end][0], batch_size),
            batched(targets, t, rows, ends[end][1], batch_size),
        )
        for end, rows in plan
    )
