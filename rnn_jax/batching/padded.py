"""Batches with one sequence in a row, padded at its end: one batch, or few lengths."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from rnn_jax.arguments.settings import generator, increasing, integer, integers, optional, positive
from rnn_jax.batching.sequences import check_fits, check_outputs, check_sequences, lay


class Padded(NamedTuple):
    """A batch with one sequence a row; a pytree, to be handed to a jitted function."""

    xs: Any
    """`(T, B, ...)`, in the structure of a sequence: each from step 0, zeros after its end."""
    lengths: np.ndarray
    """`(B,)` int32: how many steps each row has; 0 in a row that only fills the batch."""
    indices: np.ndarray
    """`(B,)` int32: which sequence is in each row; -1 for none."""

    @property
    def mask(self) -> Any:
        """`(T, B)` of bool: which steps belong to a sequence; for the loss."""
        steps = len(jax.tree.leaves(self.xs)[0])
        return np.arange(steps, dtype=np.int32)[:, None] < self.lengths[None]

    @property
    def marks(self) -> dict[str, Any]:
        """The arguments of `rnn_jax.unroll`: `unroll(model, params, xs, **batch.marks)`."""
        return {"lengths": self.lengths}

    def split(self, ys: Any) -> dict[int, Any]:
        """Each sequence's own part `(n, ...)` of ys `(T, B, ...)`, by its index.

        Raises `ShapeError` for ys without the axes of this batch.
        """
        steps = len(jax.tree.leaves(self.xs)[0])
        ys = check_outputs("Padded.split", ys, (steps, len(self.indices)))
        rows = zip(self.indices.tolist(), self.lengths.tolist(), strict=True)
        return {
            index: jax.tree.map(lambda y, row=row, n=n: y[:n, row], ys)
            for row, (index, n) in enumerate(rows)
            if index >= 0
        }


def pad(sequences: Sequence[Any], length: int | None = None) -> Padded:
    """All sequences in one batch, each padded to `length`, or else to the longest.

    Args:
      sequences: Arrays `(n, ...)`, or pytrees of arrays of one length n.
      length: T; the longest if None. One `length` for all batches is one compilation.

    Raises:
      ArgumentError: There is no sequence, or one is longer than `length`.
      ShapeError, DtypeError, StructureError: The sequences do not go together.

    >>> import numpy as np, rnn_jax as rnn
    >>> batch = rnn.batching.pad([np.array([1, 2, 3]), np.array([4])])
    >>> batch.xs.tolist(), batch.lengths.tolist()
    ([[1, 4], [2, 0], [3, 0]], [3, 1])
    """
    sequences, lengths = check_sequences("pad", sequences)
    length = int(lengths.max()) if length is None else positive("pad: length", length)
    check_fits("pad", lengths, length, "cut them, or leave out length")
    return batched(sequences, lengths, range(len(sequences)), length, len(sequences))


def bucket(
    sequences: Sequence[Any],
    buckets: int | Sequence[int],
    batch_size: int,
    rng: np.random.Generator | None = None,
) -> Iterator[Padded]:
    """Batches of sequences of about one length, each padded to the end of its bucket.

    A bucket has one shape: its last batch is filled with empty rows. So a jitted function is
    compiled once a bucket, whatever comes (`jit_at_most` makes sure). Batches are made when they
    are asked for. Source: Khomenko et al., Accelerating recurrent neural network training using
    sequence bucketing and multi-GPU data parallelization, DSMP 2016.

    Args:
      sequences: Arrays `(n, ...)`, or pytrees of arrays of one length n.
      buckets: The lengths T of the buckets, from the shortest; a sequence goes to the first that
        holds it. Or how many: then they are those of `boundaries`.
      batch_size: B.
      rng: Shuffles which sequences of a bucket meet, and the order of the batches. Without one,
        sequences keep their order and buckets come from the shortest.

    Raises:
      ArgumentError: There is no sequence, one is longer than the last bucket, the buckets are
        not increasing positive integers, or `rng` is no generator of NumPy's.
      ShapeError, DtypeError, StructureError: The sequences do not go together.

    >>> import numpy as np, rnn_jax as rnn
    >>> sentences = [np.ones(n, int) for n in (2, 9, 3, 2, 8)]
    >>> for batch in rnn.batching.bucket(sentences, buckets=2, batch_size=2):
    ...     print(batch.xs.shape, batch.lengths, batch.indices)
    (3, 2) [2 3] [0 2]
    (3, 2) [2 0] [ 3 -1]
    (9, 2) [9 8] [1 4]
    """
    sequences, lengths = check_sequences("bucket", sequences)
    plan = planned("bucket", lengths, buckets, batch_size, rng)
    return (batched(sequences, lengths, own, length, batch_size) for length, own in plan)


def planned(
    caller: str, lengths: np.ndarray, buckets: int | Sequence[int], batch_size: int, rng: Any
) -> list[tuple[int, np.ndarray]]:
    """The end of its bucket and the indices of its sequences, for each batch."""
    batch_size = positive(f"{caller}: batch_size", batch_size)
    rng = optional(generator)(f"{caller}: rng", rng)
    many = integer(buckets)
    if many is None:
        ends = increasing(f"{caller}: buckets", buckets)
    else:
        many = positive(f"{caller}: buckets", many)
        ends = np.array(boundaries(lengths, many, batch_size))
    check_fits(caller, lengths, int(ends[-1]), "cut them, or add a bucket that holds them")
    order = np.arange(len(lengths)) if rng is None else rng.permutation(len(lengths))
    homes = np.searchsorted(ends, lengths[order])
    plan = [
        (length, own[first : first + batch_size])
        for home, length in enumerate(ends.tolist())
        for own in [order[homes == home]]
        for first in range(0, len(own), batch_size)
    ]
    if rng is not None:
        rng.shuffle(plan)
    return plan


def boundaries(lengths: Sequence[int] | np.ndarray, buckets: int, batch_size: int) -> list[int]:
    """The at most `buckets` lengths to pad to with which the fewest steps are computed.

    With `n_k` sequences in the bucket of length `T_k`, `sum_k T_k B ceil(n_k / B)` is smallest:
    the last, filled batch of each bucket counts. An exact dynamic programme over the D lengths
    that occur, of `buckets * D^2` operations: for each number of buckets and each length, the
    best place where the bucket below ends.

    Raises:
      ArgumentError: `buckets` or `batch_size` is not a positive integer, or a length no integer of
        0 or more.

    >>> import rnn_jax as rnn
    >>> rnn.batching.boundaries([3, 3, 4, 9, 10, 30], buckets=3, batch_size=1)
    [4, 10, 30]
    """
    buckets = positive("boundaries: buckets", buckets)
    batch_size = positive("boundaries: batch_size", batch_size)
    lengths = integers("boundaries: lengths", lengths)
    # A bucket of no steps would be a program for nothing.
    ends, counts = np.unique(np.maximum(lengths, 1), return_counts=True)
    below = np.concatenate([[0], np.cumsum(counts)])
    # Steps for the sequences of the j shortest lengths, with the buckets so far.
    fewest = np.where(below == 0, 0.0, np.inf)
    cuts = []
    for _ in range(buckets):
        after, cut = fewest.copy(), np.arange(len(below))
        for j in range(1, len(below)):
            rows = -(-(below[j] - below[:j]) // batch_size) * batch_size
            steps = fewest[:j] + rows * ends[j - 1]
            if steps.min() < after[j]:
                after[j], cut[j] = steps.min(), steps.argmin()
        fewest = after
        cuts.append(cut)
    chosen, j = [], len(ends)
    for cut in reversed(cuts):
        if cut[j] < j:
            chosen.append(int(ends[j - 1]))
            j = cut[j]
    return chosen[::-1]


def batched(
    sequences: Sequence[Any], lengths: np.ndarray, chosen: Any, length: int, size: int
) -> Padded:
    """The chosen sequences as a batch of `size` rows, those that are left over empty."""
    indices = np.full(size, -1, np.int32)
    indices[: len(chosen)] = chosen
    own = np.zeros(size, np.int32)
    own[: len(chosen)] = lengths[np.asarray(chosen)]
    places = [(index, 0, row) for row, index in enumerate(chosen)]
    return Padded(lay(sequences, places, length, size), own, indices)
