"""The network of a config, and its loss."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

import rnn_jax as rnn
from rnn_jax.language.config import Config
from rnn_jax.language.softmax import linear_cross_entropy
from rnn_jax.wrapper import Wrapper

CELLS: dict[str, Callable[[int, int], rnn.SplitCell]] = {
    "elman": rnn.Elman,
    "irnn": rnn.IRNN,
    # Jordan's feedback is its output: here as wide as its hidden layer, and read out by Dense.
    "jordan": lambda inputs, hidden: rnn.Jordan(inputs, hidden, hidden),
    "lstm": rnn.LSTM,
    "gru": rnn.GRU,
    "mgu": rnn.MGU,
}
# What scores the next token must start small. One object, for layers are compared by settings.
_small = jax.nn.initializers.normal(0.1)


def language_model(config: Config, size: int) -> rnn.Cell:
    """Token ids (T, *batch) -> logits (T, *batch, size) of the tokens that follow.

    With its dropout: `deterministic()` is for evaluation, and takes the same params.
    """
    body = _body(config)
    if config.tied:
        embedding = rnn.Embedding(size, config.embedding, weight_init=_small)
        return rnn.tied(embedding, rnn.stack(*body))
    return rnn.stack(rnn.Embedding(size, config.embedding), *body, rnn.Dense(config.hidden, size))


def _body(config: Config) -> list[rnn.Cell]:
    """What lies between embedding and output."""
    widths = [config.embedding] + [config.hidden] * config.layers
    body: list[rnn.Cell] = []
    if config.dropout_inputs:
        body.append(rnn.VariationalDropout(config.embedding, config.dropout_inputs))
    for inputs, hidden in itertools.pairwise(widths):
        cell = CELLS[config.cell](inputs, hidden)
        if config.leak:
            cell = rnn.leaky(cell, config.leak)
        if config.dropout_state:
            cell = rnn.variational(cell, inputs=0.0, state=config.dropout_state)
        body.append(cell)
        if config.dropout_outputs:
            body.append(rnn.VariationalDropout(hidden, config.dropout_outputs))
    if config.tied and config.hidden != config.embedding:
        body.append(rnn.Dense(config.hidden, config.embedding))
    return body


@dataclasses.dataclass(frozen=True)
class Scored(Wrapper):
    """A language model that reads each token with the one that follows, and emits what that costs.

    `cross_entropy` of the logits, which are never there at once. Shapes: x `(*batch, 2)` of
    integers, y `(*batch)`. Params and carry are those of the model.
    """

    @property
    def input(self) -> rnn.Input:
        """A token and the next."""
        return rnn.Input((2,), jnp.integer)

    def unroll(
        self, params: Any, xs: Any, carry: Any, steps: rnn.Steps, method: rnn.Method
    ) -> tuple[Any, jax.Array]:
        """The model up to its output, then what each row costs."""
        tokens, targets = xs[..., 0], xs[..., 1]
        if isinstance(self.layer, rnn.Tied):
            table, b = params.layer[0].w, params.b
            carry, hs = self.layer.layer.unroll(params.layer, tokens, carry, steps, method)
        else:
            below = rnn.Stack(self.layer.layers[:-1])
            table, b = params[-1].w.T, params[-1].b
            carry, hs = below.unroll(params[:-1], tokens, carry[:-1], steps, method)
            carry = (*carry, ())
        rows = hs.reshape(-1, hs.shape[-1])
        losses = linear_cross_entropy(rows, table, b, targets.ravel())
        return carry, steps.blank(losses.reshape(targets.shape))


def cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """-log p(target) in nats: (T, *batch, V) and (T, *batch) -> (T, *batch)."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets)


def count(params: rnn.Params) -> int:
    """How many numbers the params hold."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
