"""What counting alone achieves: the unigram and the bigram perplexity of a text.

Both are proper distributions, each smoothed by the one below it (MacKay & Peto 1995)::

    p(w)     = (c(w)    + a)        / (N    + a V)
    p(w | v) = (c(v, w) + b p(w))   / (c(v) + b)

`a` and `b` are the best of a grid on the last tenth of the training text, counted on the rest;
then everything is counted again on all of it.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

_GRID = np.logspace(-3, 4, 29)


@dataclasses.dataclass(frozen=True)
class Baselines:
    """Validation perplexities, per token."""

    unigram: float
    bigram: float


class Counts:
    """The counts of a text that both models need.

    Args:
        ids: (T,) tokens in order.
        size: the size V of the vocabulary.
    """

    def __init__(self, ids: np.ndarray, size: int) -> None:
        self.size = size
        self.single = np.bincount(ids, minlength=size)
        self.context = np.bincount(ids[:-1], minlength=size)
        # Pairs are sparse: a word vocabulary has 10^8 of them, a text some 10^5.
        self.pair_keys, self.pair = np.unique(self._keys(ids[:-1], ids[1:]), return_counts=True)

    def _keys(self, contexts: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        return contexts.astype(np.int64) * self.size + tokens

    def pairs(self, contexts: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """How often each token followed its context; both (T,)."""
        keys = self._keys(contexts, tokens)
        if not len(self.pair_keys):
            return np.zeros(len(keys))
        at = np.minimum(np.searchsorted(self.pair_keys, keys), len(self.pair_keys) - 1)
        return np.where(self.pair_keys[at] == keys, self.pair[at], 0)

    def unigram(self, tokens: np.ndarray, a: float) -> np.ndarray:
        """p(w) of each token, (T,)."""
        return (self.single[tokens] + a) / (self.single.sum() + a * self.size)

    def bigram(self, contexts: np.ndarray, tokens: np.ndarray, a: float, b: float) -> np.ndarray:
        """p(w | v) of each token after its context, (T,)."""
        backing = b * self.unigram(tokens, a)
        return (self.pairs(contexts, tokens) + backing) / (self.context[contexts] + b)


def fit(train: np.ndarray, size: int) -> tuple[float, float]:
    """The constants (a, b) that suit the last tenth of the training text best."""
    cut = max(1, len(train) * 9 // 10)
    counts, contexts, tokens = Counts(train[:cut], size), train[cut - 1 : -1], train[cut:]
    if not len(tokens):
        return 1.0, 1.0
    a = min(_GRID, key=lambda a: -np.log(counts.unigram(tokens, a)).mean())
    b = min(_GRID, key=lambda b: -np.log(counts.bigram(contexts, tokens, a, b)).mean())
    return float(a), float(b)


def baselines(train: np.ndarray, contexts: np.ndarray, tokens: np.ndarray, size: int) -> Baselines:
    """Perplexities of `tokens` (T,), each after its context (T,), with `train` counted."""
    a, b = fit(train, size)
    counts = Counts(train, size)
    return Baselines(
        unigram=math.exp(-np.log(counts.unigram(tokens, a)).mean()),
        bigram=math.exp(-np.log(counts.bigram(contexts, tokens, a, b)).mean()),
    )
