"""What a type checker makes of layers made of layers; mypy reads this, nothing runs it."""

from typing import assert_type

import rnn_jax as rnn


def of_cells(cell: rnn.Cell, gru: rnn.GRU) -> None:
    """A cell remains one: it may take a single step."""
    assert_type(rnn.stack(cell, gru), rnn.Stack)
    assert_type(rnn.residual(gru), rnn.Residual)
    assert_type(rnn.at_each(gru, 2), rnn.AtEach)
    assert_type(rnn.learned_carry(gru), rnn.LearnedCarry)
    assert_type(rnn.with_method(gru, rnn.Scan()), rnn.WithMethod)
    rnn.step(rnn.stack(rnn.residual(gru), rnn.learned_carry(gru)), (), 0.0)


def of_layers(layer: rnn.Layer, gru: rnn.GRU) -> None:
    """A layer without a single step makes layers without one."""
    assert_type(rnn.stack(gru, layer), rnn.LayerStack)
    assert_type(rnn.stack(gru, rnn.bidirectional(gru, gru)), rnn.LayerStack)
    assert_type(rnn.residual(layer), rnn.ResidualLayer)
    assert_type(rnn.at_each(layer, 2), rnn.AtEachLayer)
    assert_type(rnn.learned_carry(layer), rnn.LearnedCarryLayer)
    assert_type(rnn.with_method(layer, rnn.Scan()), rnn.WithMethodLayer)
    rnn.step(rnn.stack(gru, layer), (), 0.0)  # type: ignore[arg-type]
