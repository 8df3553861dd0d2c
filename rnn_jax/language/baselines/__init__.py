"""What counting alone achieves: n-gram models, and how they mix with a network.

============= ========================================================
`ngram`       the model that all of them are: interpolated n-grams
`counting`    the n-grams of a text, counted
`dirichlet`   the unigram and the bigram, smoothed by a prior
`discounts`   how much Kneser & Ney take from a count
`kneser_ney`  the 5-gram, the best of those that only count
`mixture`     a network and counts together
`table`       the baselines of a text, side by side
============= ========================================================
"""

from __future__ import annotations

from rnn_jax.language.baselines.table import COUNTED, Baselines, baselines

__all__ = ["COUNTED", "Baselines", "baselines"]
