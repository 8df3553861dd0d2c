"""The n-grams of a text, of every length up to n, each length in one sort."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnn_jax.arguments.settings import positive
from rnn_jax.language.baselines.ngram import as_tokens


class Counted(NamedTuple):
    """The M different n-grams of one length; keys as in `Order`."""

    contexts: int
    """How many different n-grams one token shorter there are: 1, the empty one, below a unigram."""
    keys: np.ndarray
    """`(M,)` int64, sorted."""
    first: np.ndarray
    """`(M,)`: the number of the occurrence that was the first."""
    places: np.ndarray
    """`(T - n + 1,)`: the place of each occurrence, in the order of the text."""
    times: np.ndarray
    """`(M,)`: how often each occurs."""


def count(text: np.ndarray, size: int, longest: int) -> list[Counted]:
    """The n-grams of a text, n from 1 to `longest`.

    Args:
        text: (T,) tokens.
        size: the size V of the vocabulary.
        longest: the last n, at least 1.

    Cost: a sort of T keys for each n, and 16 bytes for each n and token. Raises as
    `NGram.probabilities` does.

    >>> import numpy as np
    >>> from rnn_jax.language.baselines.counting import count
    >>> [counted.times.tolist() for counted in count(np.array([0, 1, 0, 1]), 2, longest=2)]
    [[2, 2], [2, 1]]
    """
    size, longest = positive("size", size), positive("longest", longest)
    tokens = as_tokens(text, size)
    contexts, number = np.zeros_like(tokens), 1
    counted = []
    for _ in range(longest):
        counted.append(Counted(number, *np.unique_all(contexts * size + tokens)))
        # An n-gram is the context of the token after it.
        contexts, tokens = counted[-1].places[:-1], tokens[1:]
        number = len(counted[-1].keys)
    return counted


def preceded(shorter: Counted, longer: Counted) -> np.ndarray:
    """After how many different tokens each of the shorter n-grams was seen, (M,)."""
    # Each of the longer is the shorter one that ends with it, after one token more; the k-th of
    # their occurrences ends where the (k + 1)-th of the shorter ends.
    endings = shorter.places[1:][longer.first]
    return np.bincount(endings, minlength=len(shorter.keys))
