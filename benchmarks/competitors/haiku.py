"""haiku.dynamic_unroll. Its vanilla cell is of ReLU; its GRU resets before the matmul."""

import jax

from benchmarks.competitors.absent import needed
from benchmarks.programs import Network, Step, compiled, inputs
from benchmarks.shapes import Shape
from benchmarks.variants import Variant

CELLS = {"elman": "VanillaRNN", "gru": "GRU", "lstm": "LSTM"}


def build(shape: Shape, kind: str, variant: Variant) -> Step:
    hk = needed("haiku", "dm-haiku")

    def run(xs: jax.Array) -> jax.Array:
        core = getattr(hk, CELLS[shape.cell])(shape.hidden)
        return hk.dynamic_unroll(core, xs, _cast(core.initial_state(xs.shape[1]), xs))[0]

    network = hk.without_apply_rng(hk.transform(run))
    params = network.init(jax.random.key(1), inputs(shape._replace(heads=1), variant.dtype))
    return compiled(Network(params, network.apply), shape, kind, variant)


def _cast(state: object, xs: jax.Array) -> object:
    return jax.tree.map(lambda s: s.astype(xs.dtype), state)
