"""The network of a config, its loss and its optimiser."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import jax
import optax

import rnn_jax as rnn
from rnn_jax.language.config import Config

CELLS: dict[str, Callable[[int, int], rnn.Cell]] = {
    "elman": rnn.Elman,
    "irnn": rnn.IRNN,
    # Jordan's feedback is its output: here as wide as its hidden layer, and read out by Dense.
    "jordan": lambda inputs, hidden: rnn.Jordan(inputs, hidden, hidden),
    "lstm": rnn.LSTM,
    "gru": rnn.GRU,
    "mgu": rnn.MGU,
}


def language_model(config: Config, size: int) -> rnn.Cell:
    """Token ids (T, *batch) -> logits (T, *batch, size) of the tokens that follow."""
    cell = CELLS[config.cell]
    widths = [config.embedding] + [config.hidden] * config.layers
    layers = [cell(inputs, hidden) for inputs, hidden in itertools.pairwise(widths)]
    return rnn.stack(rnn.Embedding(size, widths[0]), *layers, rnn.Dense(config.hidden, size))


def cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """-log p(target) in nats: (T, *batch, V) and (T, *batch) -> (T, *batch)."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets)


def optimizer(config: Config) -> optax.GradientTransformation:
    """Adam on gradients whose global norm is clipped."""
    return optax.chain(optax.clip_by_global_norm(config.clip), optax.adam(config.learning_rate))


def count(params: rnn.Params) -> int:
    """How many numbers the params hold."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
