"""The network of a config, and its loss."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

import rnn_jax as rnn
from rnn_jax.combinators.wrapper import Wrapper
from rnn_jax.language.cells import CELLS
from rnn_jax.language.config import Config

SHORTEST = 0.3
"""The time scale in steps of the quickest leaky unit: at first it keeps 4% of its state."""


def language_model(config: Config, size: int) -> rnn.Cell:
    """Token ids (T, *batch) -> logits (T, *batch, size) of the tokens that follow.

    With its dropout: `deterministic()` is for evaluation, and takes the same params.
    """
    body = _body(config)
    if config.tied:
        # What scores the next token must start small, but what is read be of unit size: else an
        # Elman network begins nearly linear.
        embedding = rnn.Embedding(size, config.embedding, scale=10.0, weight_init=rnn.Normal(0.1))
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
        if config.time_scales:
            cell = rnn.time_scales(cell, min(SHORTEST, config.time_scales), config.time_scales)
        if config.dropout_state:
            cell = rnn.variational(cell, inputs=0.0, state=config.dropout_state)
        body.append(cell)
        if config.dropout_outputs:
            body.append(rnn.VariationalDropout(hidden, config.dropout_outputs))
    if config.tied and config.hidden != config.embedding:
        body.append(rnn.Dense(config.hidden, config.embedding))
    return body


def with_biases(params: Any, b: jax.Array) -> Any:
    """The params of a language model with b (size,) as the biases of its output."""
    if isinstance(params, rnn.TiedParams):
        return params._replace(b=b)
    return (*params[:-1], params[-1]._replace(b=b))


def reader(model: Any, params: Any) -> tuple[rnn.Stack, Any]:
    """The part of a language model that reads, up to its output: a stack and its params."""
    if isinstance(model, rnn.Tied):
        embedding, body = model.layer.layers
        return rnn.Stack((embedding, *body.layers)), (params.layer[0], *params.layer[1])
    return rnn.Stack(model.layers[:-1]), params[:-1]


def embedding_of(model: Any) -> rnn.Embedding:
    """The layer that looks up the vectors of the tokens."""
    return (model.layer if isinstance(model, rnn.Tied) else model).layers[0]


def map_vectors(f: Callable[[Any], Any], params: Any) -> Any:
    """The params of a language model, or a tree like them, with `f` of those of its embedding."""
    if isinstance(params, rnn.TiedParams):
        return params._replace(layer=(f(params.layer[0]), *params.layer[1:]))
    return (f(params[0]), *params[1:])


@dataclasses.dataclass(frozen=True)
class Scored(Wrapper):
    """A language model that reads each token with the one that follows, and emits what that costs.

    `cross_entropy` of the logits, which are never there at once. Shapes: x `(*batch, 2)` of
    integers, y `(*batch)`. Params and carry are those of the model.
    """

    frozen: bool = False
    """Whether the loss has no gradient by the vectors of the tokens."""

    @property
    def input(self) -> rnn.Input:
        """A token and the next."""
        return rnn.Input((2,), jnp.integer)

    def unroll(
        self, params: Any, xs: Any, carry: Any, steps: rnn.Steps, method: rnn.Method
    ) -> tuple[Any, jax.Array]:
        """The model up to its output, then what each row costs."""
        tokens, targets = xs[..., 0], xs[..., 1]
        if self.frozen:
            params = map_vectors(jax.lax.stop_gradient, params)
        if isinstance(self.layer, rnn.Tied):
            embedding, body = self.layer.layer.layers
            vectors, table = look_up(embedding, params.layer[0], tokens)
            b = params.b
            inner, hs = body.unroll(
                params.layer[1], steps.blank(vectors), carry[1], steps.member(1), method
            )
            carry = (carry[0], inner)
        else:
            below = rnn.Stack(self.layer.layers[:-1])
            table, b = params[-1].w.T, params[-1].b
            carry, hs = below.unroll(params[:-1], tokens, carry[:-1], steps, method)
            carry = (*carry, ())
        return carry, steps.blank(rnn.linear_cross_entropy(hs, table, b, targets))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def look_up(
    embedding: rnn.Embedding, params: Any, tokens: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The vectors of tokens, and the table that they are from for who reads all of it as well.

    The gradient of the vectors is added to that of the table in its place, where JAX would make a
    second table of it, zeros but for these rows, and then the sum of both. Reverse mode only.
    """
    return embedding.project(params, tokens), params.w


def _look_up(
    embedding: rnn.Embedding, params: Any, tokens: jax.Array
) -> tuple[tuple[jax.Array, jax.Array], Any]:
    return look_up(embedding, params, tokens), (params, tokens)


def _add_to_table(embedding: rnn.Embedding, kept: Any, cotangents: Any) -> tuple[Any, None]:
    params, tokens = kept
    d_vectors, d_table = cotangents
    rows = d_table.at[tokens]
    summed = rows.add(embedding.scale * d_vectors, mode="drop", wrap_negative_indices=False)
    return params._replace(w=summed), None


look_up.defvjp(_look_up, _add_to_table)


def cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """-log p(target) in nats: (T, *batch, V) and (T, *batch) -> (T, *batch)."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets)


def count(params: rnn.Params) -> int:
    """How many numbers the params hold."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
