"""flax.linen.RNN."""

import jax

from benchmarks.competitors.absent import needed
from benchmarks.programs import Network, Step, compiled, inputs
from benchmarks.shapes import Shape
from benchmarks.variants import Variant

CELLS = {"elman": "SimpleCell", "gru": "GRUCell", "lstm": "OptimizedLSTMCell"}


def build(shape: Shape, kind: str, variant: Variant) -> Step:
    linen = needed("flax.linen", "flax")
    network = linen.RNN(getattr(linen, CELLS[shape.cell])(shape.hidden), time_major=True)
    xs = inputs(shape._replace(steps=1, heads=1), variant.dtype)
    params = network.init(jax.random.key(1), xs)
    return compiled(Network(params, network.apply), shape, kind, variant)
