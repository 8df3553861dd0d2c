"""A language model whose input and output share one table of vectors."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arithmetic import affine
from rnn_jax.cell import Carry, Cell, Method, Params
from rnn_jax.combinators.fit import check_part, describe, output
from rnn_jax.combinators.stack import Stack, stack
from rnn_jax.combinators.wrapper import WrappedCell
from rnn_jax.errors import ArgumentError
from rnn_jax.layers.embedding import Embedding, EmbeddingParams
from rnn_jax.recurrence.steps import Steps


class TiedParams(NamedTuple):
    """The params of embedding and body, and a bias for each token."""

    layer: tuple[EmbeddingParams, Params]
    """`(embedding, body)`; the table of the embedding is that of the output too."""
    b: jax.Array
    """`(vocabulary_size,)`."""


@dataclasses.dataclass(frozen=True)
class Tied(WrappedCell):
    """An embedding, a body, and the embedding again as the output layer. Made by `tied`."""

    inside = Stack

    @property
    def vocabulary_size(self) -> int:
        """The number of logits."""
        return self.layer.layers[0].vocabulary_size

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> TiedParams:
        """The params of embedding and body, and a bias of zeros."""
        return TiedParams(self.layer.init(key, dtype), jnp.zeros(self.vocabulary_size, dtype))

    def initial_carry(self, params: TiedParams, batch_shape: tuple[int, ...] = ()) -> Carry:
        """The initial carry of the body; that of the embedding is empty."""
        return self.layer.initial_carry(params.layer, batch_shape)

    def project(self, params: TiedParams, xs: Any) -> Any:
        return self.layer.project(params.layer, xs)

    def step(self, params: TiedParams, carry: Carry, z: Any) -> tuple[Carry, jax.Array]:
        return self.layer.step(params.layer, carry, z)

    def readout(self, params: TiedParams, hs: jax.Array, xs: Any) -> jax.Array:
        return logits(params, self.layer.readout(params.layer, hs, xs))

    def unroll(
        self, params: TiedParams, xs: Any, carry: Carry, steps: Steps, method: Method
    ) -> tuple[Carry, jax.Array]:
        """Run the body over all steps, then compute all logits in one matmul."""
        carry, hs = self.layer.unroll(params.layer, xs, carry, steps, method)
        return carry, steps.blank(logits(params, hs))


def logits(params: TiedParams, hs: jax.Array) -> jax.Array:
    """`hs @ w.T + b`."""
    table, _ = params.layer
    return affine(hs, table.w.T, params.b)


def tied(embedding: Embedding, body: Cell) -> Tied:
    """A language model with tied weights: `logits_t = body(w[x])_t @ w.T + b`.

    One table w `(vocabulary_size, features)` embeds what is read and scores what comes next: half
    the params of a large vocabulary, and a better model of a small text. Shapes: x `(*batch)` of
    an integer dtype, y `(*batch, vocabulary_size)`. Params: those of the embedding and of the
    body, and `vocabulary_size` biases. As w is an output matrix too, draw it small, and read it as
    if it were not: `Embedding(..., rnn.Normal(0.1), scale=10.0)`. Sources: Press &
    Wolf, Using the output embedding to improve language models, EACL 2017; Inan, Khosravi & Socher,
    ICLR 2017.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> model = rnn.tied(rnn.Embedding(10, 4), rnn.LSTM(4, 4))
    >>> params = model.init(jax.random.key(0))
    >>> rnn.unroll(model, params, jnp.array([1, 9, 1]))[1].shape
    (3, 10)

    Raises `ArgumentError` for what is not an embedding, for a body that is not a cell, and where
    the body does not read, or emit, a vector as long as those of the embedding.
    """
    check_part("tied: the embedding", embedding, Embedding)
    check_part("tied: the body", body, Cell)
    layer = stack(embedding, body)
    emitted = output(body)
    if emitted.shape != (embedding.features,):
        raise ArgumentError(
            f"tied: {body!r} emits {describe(emitted)} a step, but {embedding!r} has vectors of "
            f"{embedding.features}: the output shares them, so both must be as long."
        )
    return Tied(layer)
