"""Interpolated n-grams: the one form that every model by counts here has.

The order k knows what followed the last k - 1 tokens, u, and leaves the rest to the order below::

    p_k(w | u) = share(u w) + rest(u) p_{k-1}(w | u without its first token)        p_0(w) = 1/V

`share` is what the count of `u w` earns, and `rest` what `u` gives away; together they are 1.
How much is given away is all that tells one smoothing from another.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from rnn_jax.errors import ArgumentError, DtypeError, ShapeError

_BLOCK = 2**18  # tokens whose probabilities are worked out at once
UNSEEN = -1
"""The place of an n-gram that the training text has not: the last element of share and rest."""


class Order(NamedTuple):
    """All n-grams of one length, M of them, that the training text has.

    An n-gram is known by its place among those of its length. Its key is made of the place of its
    first n - 1 tokens, its context, and of its last token: `place * V + token`. So an n-gram of any
    length is one integer, and to look it up is a binary search.
    """

    keys: np.ndarray
    """`(M,)` int64, sorted."""
    share: np.ndarray
    """`(M + 1,)`: what its own count adds to p; 0 for the unseen."""
    rest: np.ndarray
    """`(C + 1,)`: the weight of the order below after each of C contexts; 1 after the unseen."""

    def over(self, below: np.ndarray, contexts: np.ndarray, found: np.ndarray) -> np.ndarray:
        """The p of tokens, (T,), from that of the order below; the places are those of `walk`."""
        return self.share[found] + self.rest[contexts] * below


@dataclasses.dataclass(frozen=True, eq=False)
class NGram:
    """A fitted model: the orders 1, 2, ... n over a vocabulary of `size` tokens.

    >>> import numpy as np
    >>> from rnn_jax.language.baselines.kneser_ney import kneser_ney
    >>> model = kneser_ney(np.array([0, 1, 2] * 20), size=4, order=3)
    >>> inputs = np.array([0, 1])
    >>> model.probabilities(inputs, np.array([1, 2])).round(2)
    array([0.65, 0.97])
    >>> each = [model.probabilities(inputs, np.array([token, token])) for token in range(4)]
    >>> np.sum(each, axis=0).round(12)
    array([1., 1.])
    """

    size: int
    orders: tuple[Order, ...]

    def probabilities(self, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """`p(targets[t] | ..., inputs[t - 1], inputs[t])` for each t, (T,) float64.

        The arguments are a split as a network reads it, and the result is for the same tokens: see
        `Corpus.split`. The first targets have shorter contexts, as nothing is before `inputs[0]`.
        Cost: n binary searches for each token, twice, and 24 bytes of memory.

        Args:
            inputs: (T,) tokens, in order.
            targets: (T,) the token to predict after each; any token of the vocabulary.

        Raises:
            ShapeError: the two differ in length, or are not vectors.
            DtypeError: they are not integers.
            ArgumentError: a token is not in the vocabulary.
        """
        inputs, targets = as_tokens(inputs, self.size), as_tokens(targets, self.size)
        if inputs.shape != targets.shape:
            raise ShapeError(
                f"probabilities: inputs and targets must have one token each a step, got "
                f"{inputs.shape} and {targets.shape}."
            )
        found = np.empty(len(targets))
        for start in range(0, len(targets), _BLOCK):
            # The longest context of the first token reaches into the block before.
            begin, block = max(0, start - len(self.orders)), slice(start, start + _BLOCK)
            p = self._of_block(inputs[begin : block.stop], targets[begin : block.stop])
            found[block] = p[start - begin :]
        return found

    def _of_block(self, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        p = np.full(len(targets), 1 / self.size)
        places = walk(self.size, (order.keys for order in self.orders), inputs, targets)
        for order, (contexts, found) in zip(self.orders, places, strict=True):
            p = order.over(p, contexts, found)
        return p


def walk(
    size: int, keys: Iterable[np.ndarray], inputs: np.ndarray, targets: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each order, given by its keys: the place of each context, and that of it with its target.

    Both (T,), both `UNSEEN` where the training text has not what is looked for.
    """
    # The context that ends at inputs[t]: at first the empty one, everywhere.
    contexts, before = np.zeros(len(inputs), np.int64), 0
    for of_order in keys:
        yield contexts, find(of_order, contexts * size + targets)
        # One token longer: the one that ended a step earlier, and this input.
        shorter = np.append(before, contexts)[: len(inputs)]
        contexts, before = find(of_order, shorter * size + inputs), UNSEEN


def find(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The places of the wanted among the sorted keys, or `UNSEEN`; a negative one is unseen."""
    if not len(keys):
        return np.full(len(wanted), UNSEEN)
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, places, UNSEEN)


def interpolate(size: int, keys: np.ndarray, kept: np.ndarray, reserved: np.ndarray) -> Order:
    """The order in which each context divides what it has as its n-grams keep and it reserves.

    Args:
        size: of the vocabulary.
        keys: (M,) of the n-grams.
        kept: (M,) what the count of each is still worth.
        reserved: (C,) what each context gives to the order below. A context that has neither kept
            nor reserved anything, as nothing follows it, gives all.
    """
    contexts = keys // size
    total = np.bincount(contexts, kept, minlength=len(reserved)) + reserved
    empty = total == 0
    divisor = np.where(empty, 1, total)
    share, rest = kept / divisor[contexts], np.where(empty, 1, reserved / divisor)
    return Order(keys, np.append(share, 0.0), np.append(rest, 1.0))


def as_tokens(ids: np.ndarray, size: int) -> np.ndarray:
    """Tokens as a vector of int64, for keys; raises where they are not of this vocabulary."""
    ids = np.asarray(ids)
    if ids.ndim != 1:
        raise ShapeError(f"tokens must be a vector (T,), got shape {ids.shape}.")
    if not len(ids):
        return ids.astype(np.int64)
    if ids.dtype.kind not in "iu":
        raise DtypeError(f"tokens must be integers, got {ids.dtype}; Vocabulary.encode makes them.")
    if ids.min() < 0 or ids.max() >= size:
        raise ArgumentError(
            f"tokens must be from 0 to {size - 1}, the size of the vocabulary less one; "
            f"got {ids.min()} to {ids.max()}."
        )
    return ids.astype(np.int64)
