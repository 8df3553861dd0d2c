"""The one-to-one table between tokens and the integers a network reads."""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Iterable, Sequence

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
    def of(cls, tokens: Sequence[str], limit: int | None = None) -> Vocabulary:
        """The vocabulary of a text: its `limit` most frequent tokens, in alphabetical order.

        `UNKNOWN` takes one of the places if, and only if, some token finds none.
        """
        counts = collections.Counter(tokens)
        if limit is None or len(counts) <= limit:
            return cls(tuple(sorted(counts)))
        counts.pop(UNKNOWN, None)
        # By count, then by token: the same text always gives the same ids.
        ranked = sorted(counts, key=lambda token: (-counts[token], token))
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
        unknown = self.ids.get(UNKNOWN, -1)
        tokens = list(tokens)
        ids = np.array([self.ids.get(token, unknown) for token in tokens], dtype=np.int32)
        if (ids < 0).any():
            strangers = sorted({token for token in tokens if token not in self.ids})
            shown = " ".join(repr(token) for token in strangers[:5])
            raise InputError(f"not in the vocabulary of this run: {shown}")
        return ids

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Ids -> tokens."""
        return [self.tokens[int(i)] for i in ids]
