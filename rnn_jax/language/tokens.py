"""A text that may be larger than memory: its tokens counted in a pass, its ids on the disk."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import mmap
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnn_jax.language.errors import InputError, RunError, reason
from rnn_jax.language.text import BLOCK, SPLIT, blocks, line_of, pieces
from rnn_jax.language.vocabulary import Vocabulary, count

Digest = Callable[[bytes], object]
"""The `update` of a hash."""


@dataclasses.dataclass(frozen=True)
class Text:
    """A text after one pass over it, which leaves of it how often each token occurs."""

    path: str | None
    """Of its file; None for the reference that every Python carries."""
    level: str
    counts: collections.Counter[str]

    @classmethod
    def read(cls, path: str | None, level: str, digest: Digest | None = None) -> Text:
        """Read it once; arguments and errors as for `parts`.

        Cost: one pass, and memory for a block and for the different tokens.
        """
        return cls(path, level, count(parts(path, level, digest)))

    @property
    def name(self) -> str:
        """What messages call it."""
        return _name(self.path)

    def __len__(self) -> int:
        """How many tokens it has."""
        return self.counts.total()

    def check(self, vocabulary: Vocabulary) -> None:
        """Raise an `InputError` that says which tokens have no id, and where the text has them."""
        strangers = vocabulary.strangers(self.counts)
        if not strangers:
            return
        shown = ", ".join(f"{token!r} in line {self._line_of(token)}" for token in strangers[:5])
        if self.level == "word":
            raise InputError(
                f"{self.name} has words that the training file lacks: {shown}; a run with "
                f"--max-words below {len(vocabulary)} reads them as <unk>"
            )
        raise InputError(
            f"{self.name} has characters that no file had when the run was started: "
            f"{shown}; restore the file, or start a new run"
        )

    def _line_of(self, token: str) -> int:
        """The first line that has it; 0 if none has, as another was written in its place."""
        for piece in pieces(self.level, blocks(self.path)):
            if number := line_of(token, piece.text, self.level):
                return piece.line + number - 1
        return 0

    def ids(self, vocabulary: Vocabulary, folder: Path | None = None) -> np.ndarray:
        """The ids (T + 2,) of its tokens between two of `vocabulary.start`, mapped from a file.

        A text begins behind that token, and one that is read from its end begins there. The file
        has no name. It lies in `folder`, or where temporary files do, takes as few bytes a token
        as the vocabulary allows, and is gone once the array is, or the process, however that ends.

        Raises:
            InputError: the text cannot be read, or is another than was counted.
            RunError: the file cannot be written.
        """
        dtype = np.min_scalar_type(len(vocabulary) - 1)
        start = np.array([vocabulary.start], dtype)
        encoded = map(vocabulary.encode, parts(self.path, self.level))
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                for ids in itertools.chain([start], encoded, [start]):
                    file.write(ids.astype(dtype).data)
                length = file.tell() // dtype.itemsize
                file.flush()
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            place = folder or tempfile.gettempdir()
            raise RunError(
                f"cannot write the ids of {self.name} to {place}: {reason(error)}"
            ) from error
        if length != len(self) + 2:
            raise InputError(f"{self.name} was changed while it was read; start again")
        return np.ndarray(length, dtype, buffer=mapped)


def parts(path: str | None, level: str, digest: Digest | None = None) -> Iterator[Sequence[str]]:
    """The tokens of a text, a part of it at a time.

    Args:
        path: as for `text.blocks`.
        level: what a token is.
        digest: called with the bytes of each part.

    Raises:
        InputError: the text cannot be read, or has a word that stands for the end of a line.
    """
    for piece in pieces(level, blocks(path)):
        if digest is not None:
            digest(piece.text.encode())
        try:
            yield SPLIT[level](*piece)
        except InputError as error:
            raise InputError(f"{_name(path)}: {error}") from error


def _name(path: str | None) -> str:
    return path or "the reference that this Python carries"


def in_blocks(ids: np.ndarray, size: int = BLOCK) -> Iterator[np.ndarray]:
    """The ids (T,) of a text, `size` at a time, of which one block is in memory."""
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
        release(ids)


def release(ids: np.ndarray) -> None:
    """Let go of what was read of a mapped file, of which `ids` is a part; it can be read again.

    The system takes pages back only where it is short of them. Without this, a process that has
    read a text to its end is as large as the text.
    """
    base: Any = ids
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):  # Windows has none
        base.madvise(mmap.MADV_DONTNEED)
