"""The one-to-one table between tokens and the integers a network reads."""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
import sys
from collections.abc import Iterable

import numpy as np

from rnn_jax.language.errors import InputError
from rnn_jax.language.text import END_OF_LINE

UNKNOWN = "<unk>"


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Tokens in the order of their ids.

    If it holds `UNKNOWN`, every token it lacks is read as that.
    """

    tokens: tuple[str, ...]

    @classmethod
    def of(cls, tokens: Iterable[str], limit: int | None = None) -> Vocabulary:
        """The vocabulary of a text: its `limit` most frequent tokens, in alphabetical order.

        `tokens` are those of the text, or their counts, as `count` finds them.

        `UNKNOWN` takes one of the places if, and only if, some token finds none. A text may have it
        for a word of its own, as that of the Penn Treebank does: it means the same there.
        """
        counts = tokens if isinstance(tokens, collections.Counter) else count([tokens])
        if limit is None or len(counts) <= limit:
            return cls(tuple(sorted(counts)))
        # By count, then by token: the same text always gives the same ids. However rare the end of
        # a line, it is never unknown: a text begins after one.
        known = counts.keys() - {UNKNOWN}
        ranked = sorted(known, key=lambda token: (token != END_OF_LINE, -counts[token], token))
        return cls(tuple(sorted([*ranked[: limit - 1], UNKNOWN])))

    def __len__(self) -> int:
        return len(self.tokens)

    @functools.cached_property
    def ids(self) -> dict[str, int]:
        """Token -> id."""
        return {token: i for i, token in enumerate(self.tokens)}

    @property
    def start(self) -> int:
        """The token after which a text begins: the end of a line, if there is one."""
        ends = (self.ids[token] for token in ("\n", END_OF_LINE) if token in self.ids)
        return next(ends, 0)

    def encode(self, tokens: Iterable[str]) -> np.ndarray:
        """Tokens -> ids, (T,) int32. A string is the sequence of its characters.

        Raises:
            InputError: a token is not in the vocabulary, which has no `UNKNOWN`.
        """
        if isinstance(tokens, str):
            ids = self._by_code_point[code_points(tokens)]
        else:
            tokens = list(tokens)
            found = map(self.ids.get, tokens, itertools.repeat(self._unknown))
            ids = np.fromiter(found, np.int32, len(tokens))
        if self._unknown < 0 and (ids < 0).any():
            shown = " ".join(repr(token) for token in self.strangers(tokens)[:5])
            raise InputError(f"not in the vocabulary of this run: {shown}")
        return ids

    @functools.cached_property
    def _unknown(self) -> int:
        """The id of what has none; negative without `UNKNOWN`."""
        return self.ids.get(UNKNOWN, -1)

    @functools.cached_property
    def _by_code_point(self) -> np.ndarray:
        """The id of every character that Unicode has room for."""
        table = np.full(sys.maxunicode + 1, self._unknown, np.int32)
        for token, id in self.ids.items():
            if len(token) == 1:
                table[ord(token)] = id
        return table

    def strangers(self, tokens: Iterable[str]) -> list[str]:
        """The tokens that have no id, in alphabetical order: none, if `UNKNOWN` has one."""
        return [] if UNKNOWN in self.ids else sorted(set(tokens) - self.ids.keys())

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Ids -> tokens."""
        return [self.tokens[int(i)] for i in ids]


def count(parts: Iterable[Iterable[str]]) -> collections.Counter[str]:
    """How often each token occurs in the parts of a text, of which one is in memory at a time.

    A part that is a string is the sequence of its characters.
    """
    counts: collections.Counter[str] = collections.Counter()
    of_chars = np.zeros(0, np.int64)
    for part in parts:
        if isinstance(part, str):
            found = np.bincount(code_points(part), minlength=len(of_chars))
            found[: len(of_chars)] += of_chars
            of_chars = found
        else:
            counts.update(part)
    counts.update({chr(char): int(of_chars[char]) for char in np.flatnonzero(of_chars)})
    return counts


def code_points(text: str) -> np.ndarray:
    """The numbers of its characters in Unicode, (T,) uint32."""
    # What the terminal could not decode, and a prompt may have, has a number too.
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
