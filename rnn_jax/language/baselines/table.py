"""The baselines of a text, side by side."""

from __future__ import annotations

import dataclasses

import numpy as np

from rnn_jax.language.baselines.dirichlet import dirichlet
from rnn_jax.language.baselines.kneser_ney import kneser_ney
from rnn_jax.language.baselines.mixture import perplexity
from rnn_jax.language.baselines.ngram import NGram

COUNTED = 2**22
"""So many tokens of a text are counted at most, its first: each takes about 250 bytes of memory."""


@dataclasses.dataclass(frozen=True)
class Baselines:
    """Perplexities of a text, per token."""

    unigram: float
    """Every token by its frequency alone."""
    bigram: float
    """Every token after the one before it."""
    kneser_ney: float
    """Every token after the four before it: modified Kneser-Ney, order 5."""


def baselines(train: np.ndarray, contexts: np.ndarray, tokens: np.ndarray, size: int) -> Baselines:
    """Perplexities of `tokens` with `train` counted, or the first `COUNTED` tokens of it.

    Args:
        train: (N,) tokens to count.
        contexts: (T,) the token before each: a split of a `Corpus` is `(contexts, tokens)`.
        tokens: (T,) tokens to predict, in order.
        size: the size of the vocabulary.

    Raises as `NGram.probabilities` does.

    >>> import numpy as np
    >>> from rnn_jax.language.baselines import baselines
    >>> text = np.arange(400) % 4
    >>> found = baselines(text, text[:-1], text[1:], 4)
    >>> round(found.unigram, 2), round(found.bigram, 2), round(found.kneser_ney, 2)
    (4.0, 1.0, 1.0)
    """
    train = train[:COUNTED]
    bigram = dirichlet(train, size)
    models = NGram(size, bigram.orders[:1]), bigram, kneser_ney(train, size)
    return Baselines(*(perplexity(model.probabilities(contexts, tokens)) for model in models))
