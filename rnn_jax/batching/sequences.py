"""Checks of sequences, and how they are laid into a batch."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

import jax
import numpy as np

from rnn_jax.arguments.arrays import is_array, taken
from rnn_jax.arguments.settings import short
from rnn_jax.errors import ArgumentError, DtypeError, ShapeError, StructureError


def check_sequences(caller: str, sequences: Sequence[Any]) -> tuple[list[Any], np.ndarray]:
    """The sequences as arrays, and how many steps each has; raises where they do not fit."""
    if not hasattr(sequences, "__len__") or isinstance(sequences, str | bytes | Mapping | Set):
        raise StructureError(
            f"{caller}: sequences must be a list of arrays, got {short(sequences)}"
            + ("; list(...) makes one of a generator." if isinstance(sequences, Iterator) else ".")
        )
    if not len(sequences):
        raise ArgumentError(f"{caller}: there are no sequences, so a batch of them has no shape.")
    found: list[Any] = []
    lengths: list[int] = []
    first: Any = None
    for index, sequence in enumerate(sequences):
        leaves, structure = jax.tree.flatten(sequence)
        where = f"{caller}: sequences[{index}]"
        leaves = [taken(where, leaf) for leaf in leaves]
        if not leaves or not all(map(is_array, leaves)):
            raise StructureError(
                f"{where} must be an array of its steps, or a tuple of such, got "
                f"{short(sequence)}; np.asarray makes one."
            )
        for leaf in leaves:
            if not isinstance(leaf.dtype, np.dtype) or leaf.dtype.kind in "OSU":
                raise DtypeError(f"{where} must be of numbers, got {short(leaf)}.")
        if not all(leaf.shape for leaf in leaves):
            raise ShapeError(f"{where} has an array without axes; axis 0 is time.")
        steps = {leaf.shape[0] for leaf in leaves}
        if len(steps) > 1:
            raise ShapeError(
                f"{where} holds arrays of {' and '.join(map(str, sorted(steps)))} steps; what "
                "travels together has one length."
            )
        lengths += steps
        shapes, dtypes = [leaf.shape[1:] for leaf in leaves], [leaf.dtype for leaf in leaves]
        kind = (structure, shapes, dtypes)
        first = first or kind
        if kind != first:
            part = next(i for i in range(3) if kind[i] != first[i])
            name = ("structure", "shape of a step", "dtype")[part]
            raise (StructureError, ShapeError, DtypeError)[part](
                f"{where} has another {name} than sequences[0]: {kind[part]}, expected "
                f"{first[part]}."
            )
        found.append(jax.tree.unflatten(structure, leaves))
    return found, np.array(lengths)


def check_outputs(caller: str, ys: Any, lead: tuple[int, ...]) -> Any:
    """Outputs as arrays of NumPy; raises where they lack the axes of the batch."""
    ys = jax.tree.map(lambda y: np.asarray(taken(f"{caller}: ys", y)), ys)
    for y in jax.tree.leaves(ys):
        if y.shape[:2] != lead:
            raise ShapeError(
                f"{caller}: ys must have the axes of steps and rows, {lead}, in front, got shape "
                f"{y.shape}."
            )
    return ys


def check_fits(caller: str, lengths: np.ndarray, length: int, advice: str) -> None:
    """Raise where a sequence is longer than `length`."""
    over = np.flatnonzero(lengths > length)
    if len(over):
        shown = ", ".join(f"sequences[{i}] has {lengths[i]}" for i in over[:3].tolist())
        more = f" and {len(over) - 3} more are too long" if len(over) > 3 else ""
        raise ArgumentError(
            f"{caller}: {shown} steps{more}, but there is room for {length}; {advice}."
        )


def lay(
    sequences: Sequence[Any], places: Iterable[tuple[int, int, int]], length: int, size: int
) -> Any:
    """A batch `(length, size, ...)` with each `(index, start, row)` in its place, else zeros."""
    leaves, structure = jax.tree.flatten(sequences[0])
    batch = [np.zeros((length, size, *leaf.shape[1:]), leaf.dtype) for leaf in leaves]
    for index, start, row in places:
        for out, leaf in zip(batch, jax.tree.leaves(sequences[index]), strict=True):
            out[start : start + len(leaf), row] = leaf
    return jax.tree.unflatten(structure, batch)
