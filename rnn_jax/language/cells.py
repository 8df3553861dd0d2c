"""The cells of a run, by the name that `--cell` gives them."""

from __future__ import annotations

from collections.abc import Callable

import rnn_jax as rnn

CELLS: dict[str, Callable[[int, int], rnn.SplitCell]] = {
    "elman": rnn.Elman,
    "irnn": rnn.IRNN,
    # Jordan's feedback is its output: here as wide as its hidden layer, and read out by Dense.
    "jordan": lambda inputs, hidden: rnn.Jordan(inputs, hidden, hidden),
    "lstm": rnn.LSTM,
    "gru": rnn.GRU,
    "mgu": rnn.MGU,
}
"""`(inputs, hidden) -> cell`. One row is all that a new cell needs."""


def gates(name: str) -> tuple[str, ...]:
    """What the blocks of a cell's weights are called; nothing where a cell does not say."""
    return getattr(CELLS[name](1, 1), "gates", ())
