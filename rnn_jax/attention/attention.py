"""Attention: what a query finds in a memory. A layer without memory of its own."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import instance, positive, settle
from rnn_jax.arithmetic import matmul
from rnn_jax.attention.score import Score, mixed, normalized
from rnn_jax.cell import Input
from rnn_jax.errors import ArgumentError, ShapeError
from rnn_jax.layers.memoryless import Memoryless
from rnn_jax.recurrence.memory import AttentionParams, Memory

WEIGHTS = "rnn_jax.attention"
"""The name of the weights in a program, by which `analysis.attention_weights` finds them."""


@dataclasses.dataclass(frozen=True)
class Attention(Memoryless):
    """The mean of a memory, each place weighed by how well it fits the query.

    `c = sum_s w_s m_s`, `w = softmax_s score(q, m_s)` over the places that there are. A query reads
    a memory `(S, *batch, M)` that `with_memory` puts beside the params. Shapes: q
    `(*batch, query_size)`, c `(*batch, memory_size)`; axes that only the query has, before the
    batch axes of the memory, read the same memory. A memory of length 0 gives zeros.

    In a `stack` above a cell it attends with all hidden states at once, in two matmuls; `attentive`
    feeds what it finds back into the loop. Params: `AttentionParams`, those of the score.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> from rnn_jax.attention import Attention, General, with_memory
    >>> layer = Attention(query_size=8, memory_size=6, score=General())
    >>> params = layer.init(jax.random.key(0))  # what is trained: without a memory
    >>> memory, lengths = jnp.ones((9, 2, 6)), jnp.array([9, 4])
    >>> params = with_memory(layer, params, memory, lengths=lengths)
    >>> rnn.unroll(layer, params, jnp.ones((7, 2, 8)))[1].shape
    (7, 2, 6)

    Raises `ArgumentError` for a size that is not a positive integer, and for a `LocationSensitive`
    score where there is no carry that holds the weights of the step before.
    """

    query_size: int
    """Q: how long a query is."""
    memory_size: int
    """M: how long what is remembered at a place is."""
    score: Score
    """How well a place fits a query: `Additive(A)`, `Dot()`, `General()`, `LocationSensitive`."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no attention, and what is no score."""
        settle(self, query_size=positive, memory_size=positive)
        settle(self, score=instance(Score, ", such as Additive(features=64) or General()"))

    @property
    def input(self) -> Input:
        """`(query_size,)` numbers a step."""
        return Input((self.query_size,), jnp.floating)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> AttentionParams:
        """Draw the params of the score; there is no memory yet."""
        return AttentionParams(*self.score.init(key, self.query_size, self.memory_size, dtype))

    def project(self, params: AttentionParams, xs: jax.Array) -> jax.Array:
        """What all queries find, at once."""
        if self.score.located:
            raise ArgumentError(
                f"{self!r}: the score reads the weights of the step before, which a layer without "
                "a carry does not have; attentive(cell, attention) carries them."
            )
        return self.read(params, xs, None)[0]

    def read(
        self, params: AttentionParams, query: jax.Array, previous: Any
    ) -> tuple[jax.Array, jax.Array]:
        """What queries `(*lead, *batch, Q)` find, `(*lead, *batch, M)`, and `(*lead, *batch, S)`.

        `previous` are the weights of the step before, for a score that is `located`. Without a
        memory, as where a stack asks what its layers emit, there are no places.
        """
        memory = params.memory
        if memory is None:
            memory = remember(params, jnp.zeros((0, self.memory_size), query.dtype), None)
        if memory.values.shape[-1] != self.memory_size:
            raise ShapeError(
                f"{self!r}: the memory must have {self.memory_size} numbers a place, got "
                f"{memory.values.shape[-1]}; with_memory(cell, params, memory) checks it."
            )
        keys = memory.values if memory.keys is None else memory.keys
        scores = self.score.scores(params.score, query, keys, previous)
        weights = checkpoint_name(normalized(scores, memory), WEIGHTS)
        return mixed(weights, memory.values), weights

    def places(self, params: AttentionParams) -> int:
        """S: how many places the memory has."""
        return 0 if params.memory is None else params.memory.values.shape[0]


def remember(params: AttentionParams, values: jax.Array, valid: jax.Array | None) -> Memory:
    """The memory that these params read, with its keys."""
    keys = None if params.w_key is None else matmul(values, params.w_key)
    return Memory(values, keys, valid)
