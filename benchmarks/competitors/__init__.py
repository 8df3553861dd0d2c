"""What rnn_jax is timed beside, one file each: `build(shape, kind, variant) -> Step`.

A competitor that is not there, or has no such cell, raises `Absent`, which says why.
"""

import functools
from collections.abc import Callable

import rnn_jax as rnn
from benchmarks.competitors import (
    by_hand,
    cudnn,
    equinox,
    flax_linen,
    flax_nnx,
    floor,
    haiku,
    keras,
    ours,
    torch,
)
from benchmarks.competitors.associative_scan import associative_scan
from benchmarks.programs import Step
from benchmarks.shapes import Shape
from benchmarks.variants import Variant

OURS, FLOOR = "rnn_jax", "floor"
METHODS: dict[str, rnn.Method] = {
    OURS: rnn.BPTT(),
    "rnn_jax sqrt": rnn.Checkpointed(rnn.BPTT(), "sqrt"),
    "rnn_jax log": rnn.Checkpointed(rnn.BPTT(), "log"),
    "rnn_jax Scan": rnn.Scan(),
}
"""The first is what others are compared with."""
PARALLEL: dict[str, rnn.Method] = {
    "rnn_jax Associative": rnn.Associative(),
    "associative_scan": associative_scan,
}
"""For cells that are linear in their carry."""

ITERATING: dict[str, rnn.Method] = {"rnn_jax Newton": rnn.Newton()}
"""For any cell with a small carry."""

FUSED: dict[str, rnn.Method] = {"rnn_jax Fused": rnn.Fused()}
"""For accelerators."""

PEERS: dict[str, Callable[[Shape, str, Variant], Step]] = {
    "flax.nnx": flax_nnx.build,
    "flax.linen": flax_linen.build,
    "haiku": haiku.build,
    "equinox": equinox.build,
    "keras": keras.build,
    "torch": torch.build,
    "cudnn": cudnn.build,
}
COMPETITORS: dict[str, Callable[[Shape, str, Variant], Step]] = {
    **{
        name: functools.partial(ours.build, method)
        for name, method in (METHODS | PARALLEL | ITERATING | FUSED).items()
    },
    "scan by hand": by_hand.build,
    **PEERS,
    FLOOR: floor.build,
}
IN_PARALLEL = [OURS, "rnn_jax Scan", *PARALLEL]
SIDE_BY_SIDE = [OURS, "rnn_jax Scan", "scan by hand", *PEERS, FLOOR]
