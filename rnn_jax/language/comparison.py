"""A network beside counting: what each achieves on a split, and what both together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnn_jax.language.baselines import COUNTED, Baselines, baselines
from rnn_jax.language.baselines.kneser_ney import kneser_ney
from rnn_jax.language.baselines.mixture import Mixture, best_weight, mix, mixture, perplexity
from rnn_jax.language.corpus import Corpus

Pairs = tuple[np.ndarray, np.ndarray]
"""`(inputs, targets)` of a split, both (T,)."""


class Comparison(NamedTuple):
    """Perplexities of a split."""

    counts: Baselines
    """Of the counts alone."""
    mixed: Mixture
    """Of network and Kneser-Ney counts, and the network's weight."""
    counted: str
    """What was counted, if it was not all of the training text."""

    def rows(self) -> dict[str, float]:
        """Name -> perplexity."""
        mixed = f"{self.mixed.weight:.2f} network + {1 - self.mixed.weight:.2f} Kneser-Ney"
        return {
            mixed: self.mixed.perplexity,
            f"Kneser-Ney 5-gram counts{self.counted}": self.counts.kneser_ney,
            f"bigram counts{self.counted}": self.counts.bigram,
            f"unigram counts{self.counted}": self.counts.unigram,
        }


def compare(
    corpus: Corpus, pairs: Pairs, losses: np.ndarray, tuned: tuple[Pairs, np.ndarray] | None = None
) -> Comparison:
    """What counts of the training text, and the mixture, achieve where the network has `losses`.

    Args:
        corpus: whose training text is counted, up to `COUNTED` tokens of it.
        pairs: the split.
        losses: (T,) of the network in nats, a target each.
        tuned: another split and its losses, on which the weight is chosen. Without one each half
            of this split chooses for the other half.
    """
    size = len(corpus.vocabulary)
    model = kneser_ney(corpus.train[:COUNTED], size)
    network, counts = np.exp(-losses), model.probabilities(*pairs)
    if tuned is not None:
        weight = best_weight(np.exp(-tuned[1]), model.probabilities(*tuned[0]))
        mixed = Mixture(weight, perplexity(mix(network, counts, weight)))
    elif len(losses) < 2:
        mixed = Mixture(1.0, perplexity(network))
    else:
        mixed = mixture(network, counts)
    counted = f" of the first {COUNTED:,} tokens" if len(corpus.train) > COUNTED else ""
    return Comparison(baselines(corpus.train, *pairs, size), mixed, counted)
