"""rnn_jax, by any of its methods."""

import jax

import rnn_jax as rnn
from benchmarks.programs import Network, Step, compiled
from benchmarks.shapes import Shape
from benchmarks.variants import Variant

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

    def forward(params: rnn.Params, xs: jax.Array) -> jax.Array:
        return rnn.unroll(cell, params, xs, method=method)[1]

    return compiled(Network(params, forward), shape, kind, variant)
