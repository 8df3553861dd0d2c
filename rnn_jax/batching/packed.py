"""Batches with several sequences in a row, one after the other, and a reset before each."""

import bisect
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from rnn_jax.arguments.settings import generator, optional, positive
from rnn_jax.batching.sequences import check_fits, check_outputs, check_sequences, lay


class Packed(NamedTuple):
    """A batch whose rows hold several sequences; a pytree, to be handed to a jitted function."""

    xs: Any
    """`(T, B, ...)`, in the structure of a sequence; zeros where there is none."""
    reset: np.ndarray
    """`(T, B)` of bool: where a sequence begins."""
    indices: np.ndarray
    """`(T, B)` int32: to which sequence each step belongs; -1 for none."""

    @property
    def mask(self) -> Any:
        """`(T, B)` of bool: which steps belong to a sequence; for the loss."""
        return self.indices >= 0

    @property
    def marks(self) -> dict[str, Any]:
        """The arguments of `rnn_jax.unroll`: `unroll(model, params, xs, **batch.marks)`."""
        return {"mask": self.mask, "reset": self.reset}

    def split(self, ys: Any) -> dict[int, Any]:
        """Each sequence's own part `(n, ...)` of ys `(T, B, ...)`, by its index.

        Raises `ShapeError` for ys without the axes of this batch.
        """
        indices = np.asarray(self.indices)
        ys = check_outputs("Packed.split", ys, indices.shape)
        steps = np.bincount(indices[indices >= 0])
        parts = {}
        for start, row in np.argwhere(self.reset).tolist():
            index = int(indices[start, row])
            own = (slice(start, start + steps[index]), row)
            parts[index] = jax.tree.map(lambda y, own=own: y[own], ys)
        return parts


def pack(
    sequences: Sequence[Any],
    length: int,
    batch_size: int,
    rng: np.random.Generator | None = None,
) -> Iterator[Packed]:
    """Batches of one shape in which hardly a step is wasted: several sequences share a row.

    Best fit decreasing: from the longest on, each sequence goes to the fullest row that still
    holds it, which takes at most 11/9 of the rows that the best packing takes, and four more.
    Time `N log N`. A row's final carry is that of its last sequence only; the last output of
    each is `split(ys)[index][-1]`. A sequence of no steps is in no batch. Sources: Johnson,
    thesis, MIT, 1973 (the bound); Krell et al., Efficient sequence packing without
    cross-contamination, arXiv 2107.02027, 2021.

    Args:
      sequences: Arrays `(n, ...)`, or pytrees of arrays of one length n.
      length: T, at least that of the longest sequence; twice that wastes less still.
      batch_size: B; the last batch is filled with empty rows.
      rng: Shuffles which of equally long sequences meet, and the order of the rows.

    Raises:
      ArgumentError: There is no sequence, one is longer than `length`, or `rng` is no generator of
        NumPy's.
      ShapeError, DtypeError, StructureError: The sequences do not go together.

    >>> import numpy as np, rnn_jax as rnn
    >>> sentences = [np.full(n, n) for n in (2, 5, 1, 3)]
    >>> (batch,) = rnn.batching.pack(sentences, length=6, batch_size=2)
    >>> batch.xs.T.tolist()
    [[5, 5, 5, 5, 5, 0], [3, 3, 3, 2, 2, 1]]
    >>> batch.reset.T.astype(int).tolist()
    [[1, 0, 0, 0, 0, 0], [1, 0, 0, 1, 0, 1]]
    >>> {index: part.tolist() for index, part in batch.split(10 * batch.xs).items()}
    {1: [50, 50, 50, 50, 50], 3: [30, 30, 30], 0: [20, 20], 2: [10]}
    """
    sequences, lengths = check_sequences("pack", sequences)
    length = positive("pack: length", length)
    batch_size = positive("pack: batch_size", batch_size)
    rng = optional(generator)("pack: rng", rng)
    longest = int(lengths.max())
    advice = f"take length={longest}, or cut them: sequence[:{length}], sequence[{length}:]"
    check_fits("pack", lengths, length, advice)
    order = np.arange(len(lengths)) if rng is None else rng.permutation(len(lengths))
    rows = _best_fit(lengths, order, length)
    if rng is not None:
        rng.shuffle(rows)
    groups = (rows[i : i + batch_size] for i in range(0, len(rows), batch_size))
    return (_batch(sequences, lengths, group, length, batch_size) for group in groups)


def _best_fit(lengths: np.ndarray, order: np.ndarray, length: int) -> list[list[int]]:
    """The indices of the sequences of each row."""
    order = order[np.argsort(-lengths[order], kind="stable")]
    rows: list[list[int]] = []
    spaces: list[int] = []  # How much is free in some row: each number once, sorted.
    rows_with: dict[int, list[int]] = {}
    for index, steps in zip(order.tolist(), lengths[order].tolist(), strict=True):
        if not steps:
            break
        place = bisect.bisect_left(spaces, steps)
        if place == len(spaces):
            row, space = len(rows), length
            rows.append([])
        else:
            space = spaces[place]
            row = rows_with[space].pop()
            if not rows_with[space]:
                del spaces[place]
        rows[row].append(index)
        if space > steps:
            own = rows_with.setdefault(space - steps, [])
            if not own:
                bisect.insort(spaces, space - steps)
            own.append(row)
    return rows


def _batch(
    sequences: Sequence[Any], lengths: np.ndarray, rows: list[list[int]], length: int, size: int
) -> Packed:
    reset = np.zeros((length, size), bool)
    indices = np.full((length, size), -1, np.int32)
    places = []
    for row, own in enumerate(rows):
        start = 0
        for index in own:
            places.append((index, start, row))
            reset[start, row] = True
            end = start + int(lengths[index])
            indices[start:end, row] = index
            start = end
    return Packed(lay(sequences, places, length, size), reset, indices)
