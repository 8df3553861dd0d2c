"""The one table of cells: every law runs over every row, and a new cell is a new row."""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from tests import reference
from tests.unsplit import PeepholeLSTM, ResetBeforeGRU


class Case(NamedTuple):
    name: str
    build: Callable[[], rnn.Cell]
    reference: Callable[..., Any]

    @property
    def cell(self) -> rnn.Cell:
        return self.build()

    def params(self, dtype=jnp.float64, seed=0):
        """Fresh params with every entry moved, so that no zero bias hides a mistake."""
        key = jax.random.key(seed)
        params = self.cell.init(key, dtype)
        leaves, structure = jax.tree.flatten(params)
        keys = jax.random.split(key, len(leaves))
        return structure.unflatten(
            [
                p + 0.3 * jax.random.normal(k, p.shape, dtype)
                for k, p in zip(keys, leaves, strict=True)
            ]
        )

    def xs(self, *lead, dtype=jnp.float64, seed=1):
        """Inputs with the leading axes `lead`."""
        shape, kind = self.cell.input
        key = jax.random.key(seed)
        if kind is jnp.integer:
            return jax.random.randint(key, (*lead, *shape), 0, VOCABULARY)
        return jax.random.normal(key, (*lead, *shape), dtype)

    def carry(self, params, batch_shape=(), seed=2):
        """A carry that is not zero."""
        carry = self.cell.initial_carry(params, batch_shape)
        key = jax.random.key(seed)
        return jax.tree.map(lambda c: c + jax.random.normal(key, c.shape, c.dtype) / 2, carry)


VOCABULARY = 5

CASES = [
    Case("elman", lambda: rnn.Elman(2, 3), reference.elman(np.tanh)),
    Case("elman-sin", lambda: rnn.Elman(2, 3, activation=jnp.sin), reference.elman(np.sin)),
    Case("irnn", lambda: rnn.IRNN(2, 3), reference.elman(reference.relu)),
    Case("jordan", lambda: rnn.Jordan(2, 3, 2), reference.jordan),
    Case("lstm", lambda: rnn.LSTM(2, 3), reference.lstm),
    Case("gru", lambda: rnn.GRU(2, 3), reference.gru),
    Case("mgu", lambda: rnn.MGU(2, 3), reference.mgu),
    Case(
        "layer-norm-elman",
        lambda: rnn.LayerNormElman(2, 3, epsilon=reference.EPSILON),
        reference.layer_norm_elman,
    ),
    Case(
        "layer-norm-lstm",
        lambda: rnn.LayerNormLSTM(2, 3, epsilon=reference.EPSILON),
        reference.layer_norm_lstm,
    ),
    Case(
        "layer-norm-gru",
        lambda: rnn.LayerNormGRU(2, 3, epsilon=reference.EPSILON),
        reference.layer_norm_gru,
    ),
    Case("projected-lstm", lambda: rnn.ProjectedLSTM(2, 4, 3), reference.projected_lstm),
    Case("peephole", lambda: PeepholeLSTM(2, 3), reference.peephole_lstm),
    Case("reset-before", lambda: ResetBeforeGRU(2, 3), reference.reset_before_gru),
    Case("embedding", lambda: rnn.Embedding(VOCABULARY, 3), reference.embedding),
    Case("dense", lambda: rnn.Dense(2, 3), reference.dense),
    Case(
        "stack",
        lambda: rnn.stack(rnn.Embedding(VOCABULARY, 2), rnn.GRU(2, 3), rnn.Elman(3, 2)),
        reference.stack(reference.embedding, reference.gru, reference.elman(np.tanh)),
    ),
]

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def plain(tree):
    """NamedTuples as dictionaries of NumPy arrays, for the reference; tuples stay tuples."""
    if hasattr(tree, "_fields"):
        return {name: plain(leaf) for name, leaf in zip(tree._fields, tree, strict=True)}
    if isinstance(tree, dict):
        return {name: plain(leaf) for name, leaf in tree.items()}
    if isinstance(tree, tuple | list):
        return type(tree)(map(plain, tree))
    return np.asarray(tree)


def assert_close(actual, expected, tolerance=1e-10):
    """Equal pytrees to `tolerance`, absolute and relative, with the place in the message."""
    chex.assert_trees_all_close(plain(actual), plain(expected), rtol=tolerance, atol=tolerance)
