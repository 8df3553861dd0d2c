"""What Luong's attention hands to the output: a query joined with what it found."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import instance, positive, settle
from rnn_jax.arithmetic import matmul
from rnn_jax.attention.attention import Attention
from rnn_jax.cell import Input
from rnn_jax.initializers import glorot
from rnn_jax.layers.memoryless import Memoryless
from rnn_jax.recurrence.memory import AttentionParams


class AttentionReadoutParams(NamedTuple):
    """The params of the attention, and `(M + Q) * features` numbers."""

    attention: AttentionParams
    """The params of the attention, and its memory."""
    w: jax.Array
    """`(M + Q, features)`: the rows of the context come first."""


@dataclasses.dataclass(frozen=True)
class AttentionReadout(Memoryless):
    """Luong's attentional hidden state: `y_t = tanh([c_t, h_t] @ w)`, `c_t = attention(h_t)`.

    It stands behind the loop, so that all steps are attended with at once, in two matmuls; and
    `fed_back(stack(cell, readout))` is Luong's input feeding. Shapes: h `(*batch, Q)`, y
    `(*batch, features)`. Params: those of the attention, and `(M + Q) * features`. Source: Luong,
    Pham & Manning, EMNLP 2015, arXiv:1508.04025, equation 5.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> from rnn_jax.attention import Attention, AttentionReadout, Dot, with_memory
    >>> decoder = rnn.stack(
    ...     rnn.Embedding(10, 4), rnn.LSTM(4, 8), AttentionReadout(Attention(8, 8, Dot()), 8),
    ...     rnn.Dense(8, 10),
    ... )
    >>> params = with_memory(decoder, decoder.init(jax.random.key(0)), jnp.ones((9, 2, 8)))
    >>> rnn.unroll(decoder, params, jnp.zeros((7, 2), int))[1].shape
    (7, 2, 10)

    Raises `StructureError` for what is no `Attention`, and `ArgumentError` for a size that is not a
    positive integer.
    """

    attention: Attention
    """Reads the memory with what the layer reads."""
    features: int
    """How many numbers it emits at a step."""

    def __post_init__(self) -> None:
        """Refuse what is no attention, and no size."""
        settle(self, attention=instance(Attention), features=positive)

    @property
    def input(self) -> Input:
        """The query of the attention."""
        return self.attention.input

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> AttentionReadoutParams:
        """Draw the params of the attention, and the matrix."""
        k_attention, k_w = jax.random.split(key)
        rows = self.attention.memory_size + self.attention.query_size
        return AttentionReadoutParams(
            self.attention.init(k_attention, dtype), glorot(k_w, (rows, self.features), dtype)
        )

    def project(self, params: AttentionReadoutParams, xs: jax.Array) -> jax.Array:
        """`tanh([c, h] @ w)`."""
        context = self.attention.project(params.attention, xs)
        return jnp.tanh(matmul(jnp.concatenate([context, xs], -1), params.w))
