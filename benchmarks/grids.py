"""The words of the command line: which shapes, kinds and competitors each one measures."""

import dataclasses

from benchmarks.competitors import (
    FLOOR,
    IN_PARALLEL,
    ITERATING,
    METHODS,
    OURS,
    SIDE_BY_SIDE,
)
from benchmarks.shapes import (
    ITERATED,
    KINDS,
    NAMED,
    PARALLEL,
    PEERS,
    QUICK_ITERATED,
    QUICK_NAMED,
    QUICK_PARALLEL,
    QUICK_PEERS,
    QUICK_SCALING,
    QUICK_SIZES,
    SCALING,
    SIZES,
    TRAINING,
    Shape,
)


@dataclasses.dataclass(frozen=True)
class Grid:
    """What a word measures."""

    about: str
    shapes: list[Shape]
    quick: list[Shape]
    competitors: list[str]
    kinds: tuple[str, ...] = (TRAINING,)


GRIDS: dict[str, Grid] = {
    "peers": Grid(
        "side by side with every peer, from batch 1, hidden 32 to batch 64, hidden 512",
        PEERS,
        QUICK_PEERS,
        SIDE_BY_SIDE,
    ),
    "scaling": Grid(
        "time and memory against T, for every method, forward and training",
        SCALING,
        QUICK_SCALING,
        list(METHODS),
        KINDS,
    ),
    "parallel": Grid(
        "linear cells against T, step by step and in parallel",
        PARALLEL,
        QUICK_PARALLEL,
        IN_PARALLEL,
    ),
    "newton": Grid(
        "any cell against T, step by step and by Newton's iterations",
        ITERATED,
        QUICK_ITERATED,
        [OURS, *ITERATING],
    ),
    "sizes": Grid(
        "hidden 32 to 1024 by batch 1 to 128",
        SIZES,
        QUICK_SIZES,
        [OURS, "flax.nnx", "torch", FLOOR],
    ),
    "named": Grid(
        "the shapes of FlashRNN and DeepBench",
        NAMED,
        QUICK_NAMED,
        SIDE_BY_SIDE,
        KINDS,
    ),
}
DEFAULT = ["peers", "scaling"]
