"""The one-to-one table between tokens and the integers a network reads."""

from __future__ import annotations

import collections
import dataclasses
import functools
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

        `UNKNOWN` takes one of the places if, and only if, some token finds none. A text may have it
        for a word of its own, as that of the Penn Treebank does: it means the same there.
        """
        counts = collections.Counter(tokens)
        if limit is None or len(counts) <= limit:
            return cls(tuple(sorted(counts)))
        counts.pop(UNKNOWN, None)
        # By count, then by token: the same text always gives the same ids. However rare the end of
        # a line, it is never unknown: a text begins after one.
        ranked = sorted(counts, key=lambda token: (token != END_OF_LINE, -counts[token], token))
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
        """Tokens -> ids, (T,) int32.

        Raises:
            InputError: a token is not in the vocabulary, which has no `UNKNOWN`.
        """
        tokens = list(tokens)
        if strangers := self.strangers(tokens):
            shown = " ".join(repr(token) for token in strangers[:5])
            raise InputError(f"not in the vocabulary of this run: {shown}")
        unknown = self.ids.get(UNKNOWN, -1)
        return np.array([self.ids.get(token, unknown) for token in tokens], dtype=np.int32)

    def strangers(self, tokens: Iterable[str]) -> list[str]:
        """The tokens that have no id, in alphabetical order: none, if `UNKNOWN` has one."""
        return [] if UNKNOWN in self.ids else sorted(set(tokens) - self.ids.keys())

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Ids -> tokens."""
        return [self.tokens[int(i)] for i in ids]
