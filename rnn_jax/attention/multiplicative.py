"""The scores of Luong: products of query and memory, all of them in one matmul."""

import dataclasses
from typing import Any

import jax
from jax.typing import DTypeLike

from rnn_jax.attention.score import Score, products
from rnn_jax.errors import ArgumentError
from rnn_jax.initializers import glorot


@dataclasses.dataclass(frozen=True)
class Dot(Score):
    """`score_s = q . m_s`: query and memory must be as long as each other.

    Parameters: none. Cost: one matmul for all queries. Source: Luong, Pham & Manning, EMNLP 2015,
    arXiv:1508.04025, equation 8.

    >>> from rnn_jax.attention import Attention, Dot
    >>> Attention(query_size=6, memory_size=6, score=Dot()).input.shape
    (6,)

    Raises `ArgumentError`, when params are made, for sizes that differ.
    """

    def init(
        self, key: jax.Array, query_size: int, memory_size: int, dtype: DTypeLike
    ) -> tuple[None, tuple[()]]:
        """Nothing to learn."""
        del key, dtype
        if query_size != memory_size:
            raise ArgumentError(
                f"Dot: query and memory must be as long as each other, got query_size={query_size} "
                f"and memory_size={memory_size}; General() learns a matrix between them."
            )
        return None, ()

    def scores(
        self, params: tuple[()], query: jax.Array, keys: jax.Array, previous: Any
    ) -> jax.Array:
        """`q . m_s`."""
        del params, previous
        return products(query, keys)


@dataclasses.dataclass(frozen=True)
class General(Score):
    """`score_s = q . (m_s @ w_key)`: a learned matrix between query and memory.

    Parameters: `M * Q`. Cost: that of `Dot`, and the keys once a memory. Source: Luong, Pham &
    Manning, EMNLP 2015, arXiv:1508.04025, equation 8.

    >>> from rnn_jax.attention import Attention, General
    >>> Attention(query_size=8, memory_size=6, score=General()).input.shape
    (8,)
    """

    def init(
        self, key: jax.Array, query_size: int, memory_size: int, dtype: DTypeLike
    ) -> tuple[jax.Array, tuple[()]]:
        """The matrix."""
        return glorot(key, (memory_size, query_size), dtype), ()

    def scores(
        self, params: tuple[()], query: jax.Array, keys: jax.Array, previous: Any
    ) -> jax.Array:
        """`q . key_s`."""
        del params, previous
        return products(query, keys)
