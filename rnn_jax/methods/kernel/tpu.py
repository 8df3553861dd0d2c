"""A loop on a TPU: a grid over blocks of time, through which the carry never leaves the chip."""

import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl

from rnn_jax.arguments.settings import positive, settle
from rnn_jax.errors import ArgumentError
from rnn_jax.methods.kernel.program import Program, Weight
from rnn_jax.methods.kernel.scan import Loop, Role

MIB = 2**20
MOST = 64
"""Steps of a block: more gain nothing, as the next block is fetched while one is worked on."""


@dataclasses.dataclass(frozen=True)
class TPU:
    """Weights and carry stay in VMEM for all steps; what steps read and make comes in blocks.

    The whole batch is worked on at once.
    """

    memory: int = 96 * MIB
    """Bytes of VMEM that a kernel may take; a TPU v5e and a v6e have 128 MiB."""

    def __post_init__(self) -> None:
        """Refuse a memory that is none."""
        settle(self, memory=positive)

    def run(self, loop: Loop, interpret: bool) -> list[jax.Array]:
        """The last carry, and what every step makes."""
        step = loop.step(loop.rows)
        carries = loop.roles.count(Role.CARRY)
        made = step.outputs[carries:]
        block = min(loop.steps, MOST, self._steps(loop, step, made))
        blocks = pl.cdiv(loop.steps, block)
        # Only what a step reads goes in.
        reads = [kept or role is Role.CARRY for kept, role in zip(step.reads, loop.roles, strict=True)]
        arrays = [x for x, kept in zip(loop.arrays, reads, strict=True) if kept]
        roles = [role for role, kept in zip(loop.roles, reads, strict=True) if kept]

        def kernel(*refs: Any) -> None:
            inputs, ends, ys = _cut(refs, len(arrays), carries)
            at = pl.program_id(0)

            @pl.when(at == 0)
            def _() -> None:
                for end, start in zip(ends, inputs[:carries], strict=True):
                    end[...] = start[...]

            count = block
            if loop.steps % block:  # the last block has fewer
                number = blocks - 1 - at if loop.reverse else at
                count = jnp.minimum(block, loop.steps - number * block)

            def body(i: jax.Array, carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
                t = count - 1 - i if loop.reverse else i
                others = zip(inputs[carries:], roles[carries:], strict=True)
                values = iter([*carry, *(_value(ref, role, t) for ref, role in others)])
                found = step(*(next(values) if kept else None for kept in reads))
                for ref, y in zip(ys, found[carries:], strict=True):
                    ref[t] = y
                return tuple(found[:carries])

            carry = lax.fori_loop(0, count, body, tuple(end[...] for end in ends))
            for end, c in zip(ends, carry, strict=True):
                end[...] = c

        def of_a_block(shape: tuple[int, ...]) -> pl.BlockSpec:
            def index(b: jax.Array) -> tuple[Any, ...]:
                return (blocks - 1 - b if loop.reverse else b, *(0 for _ in shape[1:]))

            return pl.BlockSpec((block, *shape[1:]), index)

        starts = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in loop.arrays[:carries]]
        every_y = [jax.ShapeDtypeStruct((loop.steps, *y.shape), y.dtype) for y in made]
        return pl.pallas_call(
            kernel,
            out_shape=starts + every_y,
            grid=(blocks,),
            in_specs=[
                of_a_block(x.shape) if role is Role.STEP else _whole(x.shape, once=True)
                for x, role in zip(arrays, roles, strict=True)
            ],
            out_specs=[
                *(_whole(c.shape) for c in starts),
                *(of_a_block(y.shape) for y in every_y),
            ],
            compiler_params=self._options(),
            interpret=interpret,
            name="fused_steps",
        )(*arrays)

    def _options(self) -> Any:
        from jax.experimental.pallas import tpu

        return tpu.CompilerParams(
            dimension_semantics=("arbitrary",), vmem_limit_bytes=self.memory
        )

    def _steps(self, loop: Loop, step: Program, made: Sequence[Any]) -> int:
        """How many steps fit at once."""
        return MOST


def _value(ref: Any, role: Role, t: jax.Array) -> Any:
    if role is Role.STEP:
        return ref[t]
    if role is Role.ROW or ref.ndim != 2:
        return ref[...]

    def part(axis: int, start: int, size: int) -> jax.Array:
        cut = pl.ds(start, size)
        return ref[cut, :] if axis == 0 else ref[:, cut]

    return Weight(part, ref.shape)


def _whole(shape: tuple[int, ...], once: bool = False) -> pl.BlockSpec:
    """All of an array, in every block of time."""
    mode = pl.Buffered(1) if once else None
    return pl.BlockSpec(shape, lambda b: tuple(0 for _ in shape), pipeline_mode=mode)


def _cut(refs: Sequence[Any], *sizes: int) -> Iterator[Sequence[Any]]:
    """Lists of these sizes, and the rest."""
    for size in sizes:
        yield refs[:size]
        refs = refs[size:]
    yield refs
