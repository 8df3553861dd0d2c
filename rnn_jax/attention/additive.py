"""The score of Bahdanau: a small network of query and key."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import positive, settle
from rnn_jax.arithmetic import matmul
from rnn_jax.attention.score import Score, beside
from rnn_jax.initializers import glorot


class AdditiveParams(NamedTuple):
    """`Q * A + A` numbers, beside the keys' `M * A`."""

    w_query: jax.Array
    """`(Q, A)`."""
    v: jax.Array
    """`(A,)`."""


@dataclasses.dataclass(frozen=True)
class Additive(Score):
    """`score_s = v . tanh(q @ w_query + m_s @ w_key)`: additive attention.

    Query and memory may be of any sizes. Parameters: `Q * A + M * A + A` with A features. Cost: a
    query makes `S * A` numbers that are kept by no step, so that all T steps at once make
    `T * S * A` of them. Source: Bahdanau, Cho & Bengio, ICLR 2015, arXiv:1409.0473, appendix A.1.2.

    >>> from rnn_jax.attention import Additive, Attention
    >>> Attention(query_size=8, memory_size=6, score=Additive(features=5)).input.shape
    (8,)

    Raises `ArgumentError` for a size that is not a positive integer.
    """

    features: int
    """A: how many units the network has."""

    def __post_init__(self) -> None:
        """Refuse a size that makes no network."""
        settle(self, features=positive)

    def init(
        self, key: jax.Array, query_size: int, memory_size: int, dtype: DTypeLike
    ) -> tuple[jax.Array, AdditiveParams]:
        """The three weights."""
        k_key, k_query, k_v = jax.random.split(key, 3)
        return glorot(k_key, (memory_size, self.features), dtype), AdditiveParams(
            w_query=glorot(k_query, (query_size, self.features), dtype),
            v=glorot(k_v, (self.features, 1), dtype)[:, 0],
        )

    def scores(
        self,
        params: AdditiveParams,
        query: jax.Array,
        keys: jax.Array,
        previous: Any,
    ) -> jax.Array:
        """`v . tanh(q @ w_query + key)`."""
        del previous
        of_query = matmul(query, params.w_query)[..., None, :]
        return matmul(jnp.tanh(of_query + beside(keys, query)), params.v[:, None])[..., 0]
