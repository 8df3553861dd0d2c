"""N-grams smoothed by a prior: a context is as if it had been seen a few times more.

Each order is smoothed by the one below it (MacKay & Peto, Natural Language Engineering 1, 1995)::

    p(w)     = (c(w)    + a)        / (N    + a V)
    p(w | v) = (c(v, w) + b p(w))   / (c(v) + b)

`a` and `b` are the best of a grid on the last tenth of the training text, counted on the rest;
then everything is counted again on all of it.
"""

from __future__ import annotations

import numpy as np

from rnn_jax.language.baselines.counting import Counted, count
from rnn_jax.language.baselines.ngram import NGram, Order, as_tokens, interpolate, walk

_GRID = np.logspace(-3, 4, 29)


def dirichlet(text: np.ndarray, size: int, order: int = 2) -> NGram:
    """The model of a text; `order` 1 is the unigram, 2 the bigram.

    Args:
        text: (T,) tokens; every order of the model is the model of that order.
        size: the size V of the vocabulary.
        order: the longest n-gram.

    Raises as `counting.count` does.

    >>> import numpy as np
    >>> from rnn_jax.language.baselines.dirichlet import dirichlet
    >>> bigram = dirichlet(np.arange(400) % 4, size=4)
    >>> bool(bigram.probabilities(np.array([2]), np.array([3]))[0] > 0.99)
    True
    """
    counted = zip(count(text, size, order), strengths(text, size, order), strict=True)
    return NGram(size, tuple(smooth(size, counts, strength) for counts, strength in counted))


def strengths(text: np.ndarray, size: int, order: int) -> list[float]:
    """For each order, how many observations the order below is worth: `a V`, `b`, ..."""
    cut = max(1, len(text) * 9 // 10)
    counted = count(text[:cut], size, order)
    inputs, targets = as_tokens(text[cut - 1 : -1], size), as_tokens(text[cut:], size)
    places = walk(size, (counts.keys for counts in counted), inputs, targets)
    chosen: list[float] = []
    p = np.full(len(targets), 1 / size)
    for counts, (contexts, found) in zip(counted, places, strict=True):
        grid = _GRID if chosen else _GRID * size
        tried = (smooth(size, counts, strength).over(p, contexts, found) for strength in grid)
        chosen.append(float(grid[np.argmin([-np.log(each).sum() for each in tried])]))
        p = smooth(size, counts, chosen[-1]).over(p, contexts, found)
    return chosen


def smooth(size: int, counts: Counted, strength: float) -> Order:
    """One order; each context is as if the order below had spoken after it so many times more."""
    return interpolate(size, counts.keys, counts.times, np.full(counts.contexts, strength))
