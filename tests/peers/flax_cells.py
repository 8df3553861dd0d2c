"""What both adapters of Flax are tested with: cells of ours, and what a cell of theirs is here."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

import rnn_jax as rnn
from rnn_jax.recurrence.memory import readers
from tests.cases import CASES
from tests.peers import parity
from tests.peers.parity import BATCH, HIDDEN, INPUTS, STEPS

XS = parity.draw(STEPS, BATCH, INPUTS)
SIZES = INPUTS, HIDDEN
OUR_CELLS = {
    case.name: case
    for case in CASES
    if isinstance(case.cell, rnn.Cell) and case.cell.input.kind is jnp.floating
}
ATTENDING = {name for name, case in OUR_CELLS.items() if readers(case.params())}
"""Of these the ones that linen has no place for the memory of."""


class Theirs(NamedTuple):
    """A cell of Flax: its own run of a sequence, and what it is here."""

    weights: Any
    run: Callable[..., Any]
    """`(weights, xs, lengths) -> (carry, ys)`."""
    cell: rnn.Cell
    params: Callable[[Any], Any]
    """The params of `cell` from the weights."""
    inputs: tuple[int, ...] = (INPUTS,)
