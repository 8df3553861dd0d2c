"""A network and counts together: the one generalises, the other remembers what it saw verbatim."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np

from rnn_jax.errors import ArgumentError, ShapeError

Choice = TypeVar("Choice")

_HALVINGS = 52  # of [0, 1]: as many as a float64 has binary digits


class Mixture(NamedTuple):
    """What `mixture` finds."""

    weight: float
    """Of the first model: the best for the whole text, and so the one to take to another text."""
    perplexity: float
    """Of the text, where each half has the weight that is the best for the other half."""


def mixture(p: np.ndarray, q: np.ndarray) -> Mixture:
    """How well `weight * p + (1 - weight) * q` predicts a text.

    No token is measured with a weight that was chosen with its help: the two halves of the text
    choose for one another. Published figures choose on the validation text and measure the test
    text: `perplexity(mix(p, q, weight))` of the one with the `best_weight` of the other. On Penn
    Treebank a network of 124.7 and a Kneser-Ney 5-gram of 141.2 gave 105.7 (Mikolov 2012).

    Args:
        p: (T,) what one model gives to each token after those before it, T >= 2.
        q: (T,) what another gives, to the same tokens in the same order.

    Raises:
        ShapeError: p and q are not two vectors of one length of at least 2.
        ArgumentError: one is not a probability, or a token has probability 0 in both.

    >>> import numpy as np
    >>> from rnn_jax.language.baselines.mixture import mixture
    >>> found = mixture(np.array([0.9, 0.1] * 8), np.array([0.1, 0.9] * 8))
    >>> round(found.weight, 3), round(found.perplexity, 3)
    (0.5, 2.0)
    """
    p, q = _checked(p, q)
    if len(p) < 2:
        raise ShapeError(f"mixture: a text of two halves is needed, got {len(p)} tokens.")
    return Mixture(best_weight(p, q), perplexity(by_halves(p, q, best_weight, mix)))


def by_halves(
    p: np.ndarray,
    q: np.ndarray,
    choose: Callable[[np.ndarray, np.ndarray], Choice],
    mixed: Callable[[np.ndarray, np.ndarray, Choice], np.ndarray],
) -> np.ndarray:
    """`mixed(p, q, choice)` of each half of a text, by what `choose(p, q)` makes of the other half.

    Shapes: p `(T,)`, q `(..., T)`, the result `(T,)`; T >= 2.
    """
    half = len(p) // 2
    first, second = (p[:half], q[..., :half]), (p[half:], q[..., half:])
    return np.concatenate([mixed(*first, choose(*second)), mixed(*second, choose(*first))])


def best_weight(p: np.ndarray, q: np.ndarray) -> float:
    """The weight of p at which the mixture has the least perplexity on these tokens.

    The logarithm of a mixture is concave in its weight, so there is one best weight, and the sign
    of the slope at any other says on which side it lies. Raises as `mixture` does.

    >>> import numpy as np
    >>> from rnn_jax.language.baselines.mixture import best_weight
    >>> round(best_weight(np.array([1.0, 1.0, 1.0, 0.0]), np.array([0.0, 0.0, 0.0, 1.0])), 6)
    0.75
    """
    p, q = _checked(p, q)
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        weight = (low + high) / 2
        slope = np.mean((p - q) / mix(p, q, weight))
        low, high = (weight, high) if slope > 0 else (low, weight)
    return (low + high) / 2


def mix(p: np.ndarray, q: np.ndarray, weight: float) -> np.ndarray:
    """`weight * p + (1 - weight) * q`."""
    return weight * p + (1 - weight) * q


def perplexity(p: np.ndarray) -> float:
    """`exp(-mean(log p))` of the probabilities (T,) that the tokens of a text were given."""
    return float(np.exp(-np.log(p).mean()))


def _checked(p: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p, q = np.asarray(p, np.float64), np.asarray(q, np.float64)
    if p.ndim != 1 or p.shape != q.shape or not len(p):
        raise ShapeError(
            f"a mixture needs two vectors of one length, the probability of each token in either "
            f"model; got shapes {p.shape} and {q.shape}."
        )
    for name, values in (("p", p), ("q", q)):
        wrong = np.flatnonzero(~((values >= 0) & (values <= 1)))
        if len(wrong):
            raise ArgumentError(
                f"{name}[{wrong[0]}] is {values[wrong[0]]}, which is no probability; of losses in "
                "nats, np.exp(-losses) makes them."
            )
    impossible = np.flatnonzero(p + q == 0)
    if len(impossible):
        raise ArgumentError(
            f"the token {impossible[0]} has probability 0 in both models, and so in every mixture; "
            "one of them must be smoothed."
        )
    return p, q
