"""Contextual vectors of a text that may be larger than memory: of each token, from every layer."""

from __future__ import annotations

import functools
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

import rnn_jax as rnn
from rnn_jax.language.errors import InputError
from rnn_jax.language.tokens import parts
from rnn_jax.language.vocabulary import Vocabulary

_BLOCK = 1024


class Reader(NamedTuple):
    """What reads a text, from one of its ends."""

    stack: rnn.Stack
    """From token ids to the last layer that is of interest."""
    params: rnn.Params
    backward: bool

    @property
    def widths(self) -> list[int]:
        """How long the vectors of each layer are."""
        ids = jax.ShapeDtypeStruct((1,), np.int32)
        read = functools.partial(_vectors, self.stack, self.backward)
        _, layers = jax.eval_shape(read, self.params, None, ids, np.int32(1))
        return [layer.shape[-1] for layer in layers]

    def read(self, ids: np.ndarray) -> Iterator[tuple[slice, list[np.ndarray]]]:
        """Blocks of a text (T,), in the order of reading: which, and the vectors of each layer.

        Read as one stream, from the initial carry at the end where it begins.
        """
        carry = self.stack.initial_carry(self.params)
        starts = range(0, len(ids), _BLOCK)
        for start in reversed(starts) if self.backward else starts:
            block = ids[start : start + _BLOCK]
            length = len(block)
            # One compiled function for all blocks, for padding is invisible.
            padded = np.pad(block, (0, _BLOCK - length))
            carry, layers = _block(
                self.stack, self.backward, self.params, carry, padded, np.int32(length)
            )
            yield slice(start, start + length), [np.asarray(layer[:length]) for layer in layers]


def embed(
    readers: Sequence[Reader], vocabulary: Vocabulary, level: str, text: str, out: Path
) -> tuple[int, ...]:
    """Write the vectors of a text, what the readers find of a token side by side.

    The file is an npz of NumPy: `layer_0`, `layer_1` ... are (T, features) float32, one array a
    layer from the embedding up; `ids` (T,) int32 are the tokens, and `tokens` (V,) how they are
    written. One block of the text is in memory at a time, and the disk needs room for two such
    files, for in the second one, which is kept, an array can only stand behind another.

    Returns:
        How long the vectors of each layer are, behind T.

    Raises:
        InputError: the text cannot be read, or has a token that the vocabulary lacks.
    """
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as folder:
        ids = _encoded(vocabulary, level, text, Path(folder) / "ids.npy")
        widths = [reader.widths for reader in readers]
        sums = [sum(layer) for layer in zip(*widths, strict=True)]
        layers = [
            np.lib.format.open_memmap(
                Path(folder) / f"layer_{n}.npy", "w+", np.float32, (len(ids), width)
            )
            for n, width in enumerate(sums)
        ]
        first = [0] * len(layers)
        for reader, own in zip(readers, widths, strict=True):
            columns = [slice(a, a + width) for a, width in zip(first, own, strict=True)]
            for rows, found in reader.read(ids):
                for layer, where, vectors in zip(layers, columns, found, strict=True):
                    layer[rows, where] = vectors
            first = [where.stop for where in columns]
        np.save(Path(folder) / "tokens.npy", np.array(vocabulary.tokens))
        for layer in layers:
            layer.flush()
        _zipped(folder, out)
    return len(ids), *sums


def _encoded(vocabulary: Vocabulary, level: str, text: str, path: Path) -> np.ndarray:
    """The ids of a text, on the disk."""
    plain = path.with_suffix(".ids")
    with plain.open("wb") as file:
        for part in parts(text, level):
            try:
                file.write(vocabulary.encode(part).data)
            except InputError as error:
                raise InputError(f"{text}: {error}") from error
    np.save(path, np.memmap(plain, np.int32, "r"))  # from file to file
    plain.unlink()
    return np.load(path, mmap_mode="r")


def _zipped(folder: str, out: Path) -> None:
    """Make one npz of the arrays in a folder, whole or not at all."""
    draft = Path(folder) / "draft.npz"
    with zipfile.ZipFile(draft, "w") as archive:
        for path in sorted(Path(folder).glob("*.npy")):
            archive.write(path, path.name)
    draft.replace(out)


def _vectors(
    stack: rnn.Stack,
    backward: bool,
    params: rnn.Params,
    carry: rnn.Carry | None,
    ids: jax.Array,
    length: jax.Array,
) -> tuple[rnn.Carry, tuple[jax.Array, ...]]:
    return rnn.words.contextual_vectors(stack, params, ids, carry, lengths=length, reverse=backward)


_block = functools.partial(jax.jit, static_argnums=(0, 1))(_vectors)
