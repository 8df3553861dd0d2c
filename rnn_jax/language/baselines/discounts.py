"""How much of a count is luck: what Kneser & Ney take from each, and give to the order below.

An n-gram that a text has once is, on average, rarer than that in other texts, and what it has too
much belongs to those that the text has not. How much that is, the text tells by how many n-grams it
has once, twice, three and four times (Good & Turing's argument).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Discounts = Callable[[np.ndarray], tuple[float, float, float]]
"""`(4,) -> (D1, D2, D3+)`: from how many n-grams were counted once, twice, three, four times, to
what is taken from a count of 1, of 2, and of 3 or more. The count of k keeps `k - Dk >= 0`."""


def plain(n: np.ndarray) -> tuple[float, float, float]:
    """One discount for all counts: `D = n1 / (n1 + 2 n2)`.

    Where n1 or n2 is 0, as in a tiny text, nothing is known of D, and it is 1/2. Source: Ney,
    Essen & Kneser, Computer Speech & Language 8, 1994.

    >>> from rnn_jax.language.baselines.discounts import plain
    >>> plain([8, 4, 2, 1])
    (0.5, 0.5, 0.5)
    """
    once, twice = map(float, n[:2])
    d = once / (once + 2 * twice) if once and twice else 0.5
    return d, d, d


def modified(n: np.ndarray) -> tuple[float, float, float]:
    """A discount for each small count: `Dk = k - (k + 1) Y n_{k+1} / n_k`, `Y = n1/(n1 + 2 n2)`.

    Where one of the four numbers is 0, or a discount would not be positive, as in a tiny text, the
    three are 1/2, 1 and 3/2. Sources: Chen & Goodman, Computer Speech & Language 13, 1999; the
    numbers to fall back to: Heafield et al., ACL 2013, in KenLM.

    >>> from rnn_jax.language.baselines.discounts import modified
    >>> modified([8, 4, 2, 1])
    (0.5, 1.25, 2.0)
    """
    fallback = 0.5, 1.0, 1.5
    n1, n2, n3, n4 = map(float, n)
    if not (n1 and n2 and n3 and n4):
        return fallback
    y = n1 / (n1 + 2 * n2)
    found = 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3
    return found if min(found) > 0 else fallback
