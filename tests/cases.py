"""The one table of cells: every law runs over every row, and a new cell is a new row."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from rnn_jax.attention import (
    Attention,
    AttentionReadout,
    Dot,
    LocationSensitive,
    attentive,
    with_memory,
)
from rnn_jax.attention.with_memory import attentions
from tests import reference, reference_attention, reference_linear
from tests.split import OutputGated
from tests.unsplit import PeepholeLSTM

# What a row is run for where not all rows can be run; see `every`.
NOTHING: frozenset[str] = frozenset()  # there is another row like it
# It has arithmetic of its own, and is not made of other rows.
ARITHMETIC = frozenset({"arithmetic"})
# No other row hands the same things from step to step.
RECURRENCE = frozenset({"recurrence"})
# Layers that run from either end, and all of the next line.
DIRECTION = RECURRENCE | {"direction"}
# Derivatives from the output, by default, of one leaf and of two, of a step that does not split,
# of layers upon layers.
MECHANISM = DIRECTION | {"mechanism"}
# Of these the first and the third, whose rule of derivatives is another one each.
CURVATURE = frozenset({"curvature"})
# One cell that splits and one that does not: for what depends on the loop alone.
LOOP = MECHANISM | ARITHMETIC | {"loop"}


def arrays(tree, seed):
    """Arrays in the form of a tree, every entry random; by NumPy, which compiles nothing.

    Matrices neither let a carry die out within a few steps nor blow it up, whatever their size.
    """
    rng = np.random.default_rng(seed)

    def entries(leaf):
        scale = 0.5 if len(leaf.shape) < 2 else leaf.shape[-2] ** -0.5
        numbers = rng.normal(scale=scale, size=leaf.shape)
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            numbers = numbers + 1j * rng.normal(scale=scale, size=leaf.shape)
        return jnp.asarray(numbers, leaf.dtype)

    return jax.tree.map(entries, tree)


def normal(shape, seed=0):
    """Numbers of a normal distribution."""
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def params_of(layer, dtype=jnp.float64, seed=0):
    """Params of the form that `init` makes, which draws each leaf by programs of its shape."""
    return arrays(jax.eval_shape(lambda: layer.init(jax.random.key(0), dtype)), seed)


def remembering(cell, params):
    """Params with a memory of four places for all sequences; the last one is none."""
    (leaf, *_) = jax.tree.leaves(params)
    width = next(attentions(cell)).memory_size
    memory = np.random.default_rng(3).normal(size=(4, width))
    memory[3] = np.nan
    return with_memory(cell, params, jnp.asarray(memory, leaf.dtype), lengths=3)


class Case(NamedTuple):
    name: str
    build: Callable[[], rnn.Layer]
    reference: Callable[..., Any]
    stands_for: frozenset[str] = RECURRENCE | ARITHMETIC
    complete: Callable[[rnn.Layer, Any], Any] = lambda cell, params: params

    @property
    def cell(self) -> rnn.Layer:
        return self.build()

    def params(self, dtype=jnp.float64, seed=0):
        """Params without a zero, so that no bias hides a mistake."""
        return self.complete(self.cell, params_of(self.cell, dtype, seed))

    def xs(self, *lead, dtype=jnp.float64, seed=1):
        """Inputs with the leading axes `lead`."""
        shape, kind = self.cell.input
        rng = np.random.default_rng(seed)
        if kind is jnp.integer:
            return jnp.asarray(rng.integers(VOCABULARY, size=(*lead, *shape)))
        return jnp.asarray(rng.normal(size=(*lead, *shape)), dtype)

    def carry(self, params, batch_shape=(), seed=2):
        """A carry that is not zero."""
        form = jax.eval_shape(lambda p: self.cell.initial_carry(p, batch_shape), params)
        return arrays(form, seed)


VOCABULARY = 5
MEMORY = 3

elman, gru, lstm = map(reference.loop, (reference.elman(np.tanh), reference.gru, reference.lstm))
dense, embedding = map(reference.loop, (reference.dense, reference.embedding()))
peephole = reference.loop(reference.peephole_lstm)
RATES = rnn.LSTMCarry(h=0.2, c=0.5)

CASES = [
    Case("elman", lambda: rnn.Elman(2, 3), elman, MECHANISM | ARITHMETIC | CURVATURE),
    Case(
        "elman-sin",
        lambda: rnn.Elman(2, 3, activation=jnp.sin),
        reference.loop(reference.elman(np.sin)),
        NOTHING,
    ),
    Case("irnn", lambda: rnn.IRNN(2, 3), reference.loop(reference.elman(reference.relu)), NOTHING),
    Case("jordan", lambda: rnn.Jordan(2, 3, 2), reference.loop(reference.jordan)),
    Case("lstm", lambda: rnn.LSTM(2, 3), lstm, LOOP),
    Case("gru", lambda: rnn.GRU(2, 3), gru),
    Case("mgu", lambda: rnn.MGU(2, 3), reference.loop(reference.mgu), ARITHMETIC),
    Case(
        "layer-norm-elman",
        lambda: rnn.LayerNormElman(2, 3, epsilon=reference.EPSILON),
        reference.loop(reference.layer_norm_elman),
        ARITHMETIC,
    ),
    Case(
        "layer-norm-lstm",
        lambda: rnn.LayerNormLSTM(2, 3, epsilon=reference.EPSILON),
        reference.loop(reference.layer_norm_lstm),
    ),
    Case(
        "layer-norm-gru",
        lambda: rnn.LayerNormGRU(2, 3, epsilon=reference.EPSILON),
        reference.loop(reference.layer_norm_gru),
        ARITHMETIC,
    ),
    Case(
        "projected-lstm",
        lambda: rnn.ProjectedLSTM(2, 4, 3),
        reference.loop(reference.projected_lstm),
    ),
    Case("lru", lambda: rnn.LRU(2, 3), reference.loop(reference_linear.lru)),
    Case("s5", lambda: rnn.S5(2, 3), reference.loop(reference_linear.s5), NOTHING),
    Case("rglru", lambda: rnn.RGLRU(4, 2), reference.loop(reference_linear.rglru), ARITHMETIC),
    Case("min-gru", lambda: rnn.MinGRU(2, 3), reference.loop(reference_linear.min_gru), NOTHING),
    Case(
        "min-lstm",
        lambda: rnn.MinLSTM(2, 3),
        reference.loop(reference_linear.min_lstm),
        NOTHING,
    ),
    Case(
        "selective-ssm",
        lambda: rnn.SelectiveSSM(3, 2, 2),
        reference.loop(reference_linear.selective_ssm),
    ),
    Case(
        "diagonal-gru",
        lambda: rnn.DiagonalGRU(2, 3),
        reference.loop(reference_linear.diagonal_gru),
        ARITHMETIC,
    ),
    Case(
        "diagonal-lstm",
        lambda: rnn.DiagonalLSTM(2, 3),
        reference.loop(reference_linear.diagonal_lstm),
        NOTHING,
    ),
    Case("indrnn", lambda: rnn.IndRNN(2, 3), reference.loop(reference_linear.indrnn), NOTHING),
    Case("peephole", lambda: PeepholeLSTM(2, 3), peephole, LOOP | CURVATURE),
    Case(
        "reset-before-gru",
        lambda: rnn.ResetBeforeGRU(2, 3),
        reference.loop(reference.reset_before_gru),
        frozenset({"analysis"}),
    ),
    Case(
        "output-gated",
        lambda: OutputGated(2, 3),
        reference.loop(reference.output_gated),
        RECURRENCE,
    ),
    Case("embedding", lambda: rnn.Embedding(VOCABULARY, 3), embedding),
    Case("dense", lambda: rnn.Dense(2, 3), dense),
    Case(
        "layer-mix",
        lambda: rnn.LayerMix(3, 2),
        reference.loop(reference.layer_mix),
        NOTHING,
    ),
    Case(
        "stack",
        lambda: rnn.stack(rnn.Embedding(VOCABULARY, 2), rnn.GRU(2, 3), rnn.Elman(3, 2)),
        reference.stack(embedding, gru, elman),
        MECHANISM,
    ),
    Case(
        "tied",
        lambda: rnn.tied(rnn.Embedding(VOCABULARY, 2, scale=3.0), rnn.GRU(2, 2)),
        reference.tied(reference.loop(reference.embedding(3.0)), gru),
    ),
    Case(
        "residual",
        lambda: rnn.residual(rnn.GRU(3, 3)),
        reference.residual(gru),
        RECURRENCE,
    ),
    Case(
        "leaky",
        lambda: rnn.leaky(rnn.LSTM(2, 3), RATES),
        reference.loop(reference.leaky(reference.lstm, RATES._asdict(), "h")),
        RECURRENCE,
    ),
    Case(
        "time-scales",
        lambda: rnn.time_scales(rnn.LSTM(2, 3), 0.5, 9.0),
        reference.loop(reference.time_scales(reference.lstm, "h")),
    ),
    Case("guided", lambda: rnn.guided(rnn.Elman(2, 3)), reference.around(elman), NOTHING),
    Case(
        "heads",
        lambda: rnn.heads(rnn.LSTM(2, 2), 2),
        reference.loop(reference.heads(reference.lstm, 2)),
        RECURRENCE,
    ),
    # One more batch axis to the cell inside, and its oracle takes any.
    Case("at-each", lambda: rnn.at_each(rnn.LSTM(2, 3), 2), lstm, NOTHING),
    Case("wide-carry", lambda: rnn.wide_carry(rnn.LSTM(2, 3)), lstm, ARITHMETIC),
    Case("learned-carry", lambda: rnn.learned_carry(rnn.Elman(2, 3)), reference.around(elman)),
    Case(
        "attentive",
        lambda: attentive(
            rnn.LSTM(2 + MEMORY, 3), Attention(3, MEMORY, LocationSensitive(2, 2, 3))
        ),
        reference.loop(reference_attention.attentive(reference_attention.location, reference.lstm)),
        RECURRENCE,
        remembering,
    ),
    Case(
        "fed-back",
        lambda: rnn.fed_back(
            rnn.stack(rnn.GRU(2 + 2, 3), AttentionReadout(Attention(3, MEMORY, Dot()), 2))
        ),
        reference.loop(
            reference_attention.fed_back(
                reference.gru, reference_attention.readout(reference_attention.dot)
            )
        ),
        NOTHING,
        remembering,
    ),
    Case(
        "bidirectional",
        lambda: rnn.bidirectional(rnn.LSTM(2, 3), rnn.GRU(2, 2)),
        reference.bidirectional(lstm, gru, lambda f, b: np.concatenate([f, b], -1)),
        DIRECTION,
    ),
    Case(
        "at-each-bidirectional",
        lambda: rnn.at_each(rnn.bidirectional(rnn.Elman(2, 1), rnn.Elman(2, 1)), 3),
        reference.bidirectional(elman, elman, lambda f, b: np.concatenate([f, b], -1)),
        NOTHING,
    ),
    Case(
        "deep",
        lambda: rnn.stack(
            rnn.bidirectional(rnn.Elman(2, 2), rnn.learned_carry(PeepholeLSTM(2, 2)), jnp.add),
            rnn.residual(rnn.bidirectional(rnn.Elman(2, 1), rnn.Elman(2, 1))),
            rnn.Dense(2, 2, jnp.tanh),
        ),
        reference.stack(
            reference.bidirectional(elman, reference.around(peephole), np.add),
            reference.residual(
                reference.bidirectional(elman, elman, lambda f, b: np.concatenate([f, b], -1))
            ),
            reference.loop(lambda p, c, x: (c, np.tanh(reference.dense(p, c, x)[1]))),
        ),
        DIRECTION,
    ),
]

# What the analysis is about: rows with a step, and a carry that it hands on.
REMEMBERING = [
    case
    for case in CASES
    if isinstance(case.cell, rnn.Cell) and not isinstance(case.cell, rnn.Memoryless)
]

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def every(what, cases=CASES):
    """In every run the rows that stand for `what`, in `make test-all` the others as well."""
    chosen = [case for case in cases if what in case.stands_for]
    assert chosen, f"no row stands for {what}"
    return pytest.mark.parametrize(
        "case",
        [
            pytest.param(case, id=case.name, marks=[] if case in chosen else pytest.mark.slow)
            for case in cases
        ],
    )


def larger(value, times):
    """A layer of so many times the size: of all of its settings that are integers."""
    if type(value) is int:
        return value * times
    if type(value) is tuple:
        return tuple(larger(one, times) for one in value)
    if not dataclasses.is_dataclass(value):
        return value
    settings = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return dataclasses.replace(value, **{n: larger(one, times) for n, one in settings.items()})


def plain(tree):
    """NamedTuples as dictionaries of NumPy arrays, for the reference; tuples stay tuples."""
    if tree is None:
        return None
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
