"""What is measured: the shapes of each grid, as values."""

import itertools
from collections.abc import Iterable
from typing import NamedTuple

GATES = {"elman": 1, "gru": 3, "lstm": 4}
"""Each cell with how many blocks of `(hidden, hidden)` its recurrent weights have."""

LINEAR = ("min_gru", "lru", "rglru")
"""Cells that are linear in their carry."""

FORWARD, TRAINING = KINDS = ("forward", "training step")
"""The outputs of all steps; or the mean of their squares and its gradient by the params."""


class Shape(NamedTuple):
    """A sequence `(steps, batch, heads * hidden)`. Each head reads `hidden` inputs of its own."""

    cell: str
    steps: int
    batch: int
    hidden: int
    heads: int = 1

    def __str__(self) -> str:
        size = f"{self.heads}x{self.hidden}" if self.heads > 1 else self.hidden
        return f"{self.cell} T={self.steps} B={self.batch} H={size}"


def product(
    cells: Iterable[str], steps: Iterable[int], sizes: Iterable[tuple[int, int]]
) -> list[Shape]:
    """Every cell at every size, `(batch, hidden)`, and every length."""
    every = itertools.product(cells, sizes, steps)
    return [Shape(cell, length, batch, hidden) for cell, (batch, hidden), length in every]


# From one small stream to a batch that keeps every core busy with matmuls.
PEERS = [
    *product(GATES, [64, 512], [(1, 32), (1, 256), (8, 128), (16, 64), (32, 256)]),
    *product(GATES, [64], [(64, 512)]),
]

SIZES = product(GATES, [64], itertools.product([1, 8, 32, 128], [32, 64, 128, 256, 512, 1024]))

SMALL, MEDIUM = (1, 32), (16, 64)
SCALING = [
    *product(GATES, [64, 256, 1024, 4096, 16384, 65536], [SMALL]),
    *product(GATES, [64, 256, 1024, 4096, 16384], [MEDIUM]),
]

# From one number a step to as many as keep a core busy.
PARALLEL = product(
    LINEAR, [64, 256, 1024, 4096, 16384, 65536], [(1, 1), (1, 16), (1, 64), (1, 256), (16, 64)]
)

# Poppel, Beck & Hochreiter, FlashRNN, ICLR 2025: 768 numbers in heads of equal size.
FLASH_RNN = [
    Shape(cell, 1024, 16, 768 // heads, heads) for cell in GATES for heads in (1, 3, 6, 12, 24, 48)
]
# Baidu, DeepBench, code/kernels/rnn_problems.h, 2017: training.
DEEP_BENCH = [
    *product(["elman"], [50], [(16, 1760), (32, 1760), (64, 1760), (128, 1760)]),
    *product(["lstm"], [25], [(16, 512), (32, 512), (64, 512), (128, 512)]),
    *product(["lstm"], [50], [(8, 1536), (16, 1536), (32, 1536)]),
    *product(["gru"], [1500], [(32, 1024), (64, 1024)]),
]
NAMED = [*FLASH_RNN, *DEEP_BENCH]

QUICK_PEERS = product(GATES, [64], [(1, 32), (16, 64)])
QUICK_SIZES = product(GATES, [16], [(1, 32), (8, 64), (1, 64), (8, 32)])
QUICK_SCALING = product(GATES, [64, 256, 1024], [SMALL])
# Newton's iterations multiply matrices of as many rows as the carry has numbers.
ITERATED = product(
    ["elman", "gru"], [64, 256, 1024, 4096, 16384, 65536], [(1, 1), (1, 4), (1, 16), (16, 1)]
)
QUICK_ITERATED = product(["elman", "gru"], [64, 1024], [(1, 4)])

QUICK_PARALLEL = product(LINEAR, [64, 1024, 16384], [(1, 16)])
QUICK_NAMED = [Shape("lstm", 64, 16, 64, 12), Shape("lstm", 25, 16, 512)]
