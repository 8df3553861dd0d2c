"""rnn_jax, by any of its methods."""

import jax

import rnn_jax as rnn
from benchmarks.competitors.absent import Absent
from benchmarks.programs import Network, Step, compiled
from benchmarks.shapes import Shape
from benchmarks.variants import Variant
from rnn_jax.recurrence.side_by_side import SideBySide

CELLS = {
    "elman": rnn.Elman,
    "gru": rnn.GRU,
    "lstm": rnn.LSTM,
    "min_gru": rnn.MinGRU,
    "lru": rnn.LRU,
    "rglru": rnn.RGLRU,
}


def cell_and_params(shape: Shape) -> tuple[rnn.Cell, rnn.Params]:
    cell = CELLS[shape.cell](shape.hidden, shape.hidden)
    return cell, cell.init(jax.random.key(1))


def build(method: rnn.Method, shape: Shape, kind: str, variant: Variant) -> Step:
    cell, params = cell_and_params(shape)
    # As `rnn.heads` has them: side by side, each for itself, and known to be so many.
    method = SideBySide(method, shape.heads) if shape.heads > 1 else method

    def forward(params: rnn.Params, xs: jax.Array) -> jax.Array:
        return rnn.unroll(cell, params, xs, method=method)[1]

    try:
        return compiled(Network(params, forward), shape, kind, variant)
    except rnn.RNNError as reason:  # a method that does not suit the cell or the machine
        raise Absent(str(reason)) from reason
