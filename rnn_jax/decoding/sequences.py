"""What decoders return: sequences of tokens, and how long each is."""

from typing import NamedTuple

import jax


class Sequences(NamedTuple):
    """A sequence of tokens for each of a batch."""

    tokens: jax.Array
    """`(T, *batch)` int32."""
    lengths: jax.Array
    """`(*batch)` int32: how many tokens of each are its own; what comes after is filled up."""


class NBest(NamedTuple):
    """The N best sequences for each of a batch, the best first."""

    tokens: jax.Array
    """`(T, N, *batch)` int32."""
    lengths: jax.Array
    """`(N, *batch)` int32: how many tokens of each are its own; what comes after is filled up."""
    scores: jax.Array
    """`(N, *batch)`: -inf, and a length of 0, where there are no more sequences."""
