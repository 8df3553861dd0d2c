"""Linear cells with all of time at once."""

import dataclasses
from typing import Any

import jax

from rnn_jax.arguments.settings import optional, positive, settle
from rnn_jax.errors import StructureError
from rnn_jax.methods.linear.chunked import Chunked
from rnn_jax.methods.orbit.affine import Affine
from rnn_jax.methods.tangent import TwoLoops
from rnn_jax.recurrence.recurrence import Carry, Params, Recurrence
from rnn_jax.recurrence.structure import Structure, structure


@dataclasses.dataclass(frozen=True)
class Associative:
    """For cells that are linear in their carry, unit by unit: time in chunks, all at once.

    `c_t = M_t c_{t-1} + b_t` is associative: a run of steps is one M and one b again. So chunks of
    time are worked on side by side, and only what each hands to the next goes one after the other.
    The numbers are those of `BPTT`, to rounding, in values and derivatives of every order; resets,
    gaps and lengths are an M of 0 or of 1. Work and memory are O(T): each step is worked out twice,
    with one more product for each array of the carry. Time is taken in blocks of up to 2^14 steps,
    and a block of n steps has about `3 sqrt(n)` one after the other, where BPTT has n.

    When: `LRU`, `S5`, `RGLRU`, `MinGRU`, `MinLSTM` over long sequences with few numbers a step. On
    two cores of a CPU a training step over 65,536 steps took, of the time of `BPTT`, for `MinGRU`
    and `LRU`: 0.69 and 0.58 with 16 units at batch 1, 0.52 and 0.89 with 64 at batch 1, 0.97 and
    0.94 with 64 at batch 16; with 1 unit 1.19 and 1.77, where `BPTT` is the better one. From 257
    numbers a step on (batch times units, twice for complex states) it runs as one chunk. Sources:
    Blelloch, Prefix sums and their applications, CMU-CS-90-190, 1990; Martin & Cundy, Parallelizing
    linear recurrent neural nets over sequence length, ICLR 2018.

    Where time is split over devices each has its own part of all steps, in one block, and memory
    is O(T / devices).

    Raises `ArgumentError` for `chunks` or `devices` that are no positive integers, and
    `StructureError` for a cell whose step is not affine in the carry, or mixes its units, as one
    with a recurrent matrix.
    """

    chunks: int | None = None
    """How many; T need not be a multiple. None takes so many that a step works on about 2^12
    numbers, and sqrt(T) at most; where that is fewer than 16, one."""

    devices: int = 1
    """Over how many devices time is split; T must be a multiple to stay so.

    An Explicit mesh says so itself, in the type of `xs`; it must be said where time is split by an
    Auto mesh, or by `jax.jit(in_shardings=)`.
    """

    def __post_init__(self) -> None:
        """Refuse a number of chunks that is none."""
        settle(self, chunks=optional(positive), devices=positive)

    def over_devices(self, devices: int) -> "Associative":
        """Each runs its own chunks, and hands on what they make of a carry."""
        return dataclasses.replace(self, devices=devices)

    def __call__(
        self, cell: Recurrence, params: Params, xs: Any, carry: Carry
    ) -> tuple[Carry, jax.Array]:
        """Both loops in chunks."""
        shape = structure(cell, params, carry, xs)
        if not shape.joins_steps:
            raise StructureError(
                f"Associative: the step of {cell!r} {_reason(shape)} its carry, so that its steps "
                "cannot be joined to one; use BPTT(), or a linear cell such as LRU or MinGRU."
            )
        engine = Chunked(self.chunks, self.devices)
        return TwoLoops(Affine(engine), engine, store=0)(cell, params, xs, carry)


def _reason(shape: Structure) -> str:
    if shape.maps_cotangent:
        return "changes the cotangent of"
    if not shape.is_affine:
        return "is not linear in"
    return "emits more than the new" if shape.is_unitwise else "mixes the units of"
