"""A loop on a TPU: a grid over blocks of time, through which the carry never leaves the chip."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from rnn_jax.arguments.settings import optional, positive, settle
from rnn_jax.errors import ArgumentError
from rnn_jax.methods.kernel.deferred import Weight
from rnn_jax.methods.kernel.program import Program
from rnn_jax.methods.kernel.scan import ORIGIN, Loop, Role

MIB = 2**20
V5E = 128 * MIB
"""Bytes of VMEM that a TPU v5e has."""
MOST = 64
"""Steps of a block: more gain nothing, as the next block is fetched while one is worked on."""
LANES, SUBLANES = 128, 8
"""VMEM holds tiles of so many numbers of 32 bits."""


@dataclasses.dataclass(frozen=True)
class TPU:
    """One kernel on a TPU: weights and carry stay in VMEM, what steps read and make passes through.

    A block of steps is fetched and written while another is worked on. A step works on the whole
    batch.

    Raises `ArgumentError` for a memory that is not a positive integer.
    """

    memory: int | None = None
    """Bytes of VMEM that a kernel may take, a quarter of it for what a step works out.

    None takes three quarters of what the TPU has that the program is traced on, and of the 128 MiB
    of a v5e where it is traced without one.
    """

    def __post_init__(self) -> None:
        """Refuse a memory that is none."""
        settle(self, memory=optional(positive))

    def run(self, loop: Loop, interpret: bool) -> list[jax.Array]:
        """The last carry, and what every step makes."""
        from jax.experimental import pallas as pl
        from jax.experimental.pallas import tpu

        step = loop.step(loop.rows)
        arrays, roles = loop.read_by(step)
        starts = [x for x, role in zip(arrays, roles, strict=True) if role is Role.CARRY]
        made = step.outputs[len(starts) :]
        memory = self._memory()
        block = _steps_that_fit(loop, _Needs(arrays, roles, made), memory * 3 // 4)
        blocks = -(-loop.steps // block)

        def whole(shape: tuple[int, ...], **options: Any) -> pl.BlockSpec:
            return pl.BlockSpec(shape, lambda at: (ORIGIN,) * len(shape), **options)

        def of_a_block(shape: tuple[int, ...]) -> pl.BlockSpec:
            def index(at: Any) -> tuple[Any, ...]:
                return (blocks - 1 - at if loop.reverse else at, *(ORIGIN,) * len(shape[1:]))

            return pl.BlockSpec((block, *shape[1:]), index)

        def in_memory(x: jax.Array, role: Role) -> pl.BlockSpec:
            # What stays is fetched once, and needs no second place for the next block of it.
            once = pl.Buffered(1)
            return of_a_block(x.shape) if role is Role.STEP else whole(x.shape, pipeline_mode=once)

        ys = [loop.made((loop.steps, *y.shape), y.dtype) for y in made]
        return pl.pallas_call(
            functools.partial(_kernel, loop, step, roles, block),
            out_shape=[loop.made(c.shape, c.dtype) for c in starts] + ys,
            grid=(blocks,),
            in_specs=list(map(in_memory, arrays, roles)),
            out_specs=[whole(c.shape) for c in starts] + [of_a_block(y.shape) for y in ys],
            compiler_params=tpu.CompilerParams(
                dimension_semantics=("arbitrary",), vmem_limit_bytes=memory
            ),
            interpret=interpret,
            name="fused_steps",
        )(*arrays)

    def _memory(self) -> int:
        if self.memory is not None:
            return self.memory
        if jax.default_backend() != "tpu":
            return V5E * 3 // 4
        from jax.experimental.pallas import tpu

        return tpu.get_tpu_info().vmem_capacity_bytes * 3 // 4


def _kernel(loop: Loop, step: Program, roles: Sequence[Role], block: int, *refs: Any) -> None:
    """A block of steps; the carry is where the last block left it."""
    from jax.experimental import pallas as pl

    carries = roles.count(Role.CARRY)
    inputs, results = refs[: len(roles)], refs[len(roles) :]
    carry, ys = results[:carries], results[carries:]
    at, last = pl.program_id(0), pl.num_programs(0) - 1
    count = jnp.int32(block)
    if loop.steps % block:  # the last block has fewer
        number = last - at if loop.reverse else at
        count = jnp.where(number == last, jnp.int32(loop.steps % block), count)

    @pl.when(at == 0)
    def _() -> None:
        for c, start in zip(carry, inputs[:carries], strict=True):
            c[...] = start[...]

    def one(i: Any, values: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        t = count - 1 - i if loop.reverse else i
        others = zip(inputs[carries:], roles[carries:], strict=True)
        found = step(*values, *(_value(ref, role, t) for ref, role in others))
        for ref, y in zip(ys, found[carries:], strict=True):
            ref[t] = y
        return tuple(found[:carries])

    after = lax.fori_loop(ORIGIN, count, one, tuple(c[...] for c in carry))
    for c, value in zip(carry, after, strict=True):
        c[...] = value


@dataclasses.dataclass(frozen=True)
class _Needs:
    """How many bytes of VMEM a kernel takes."""

    arrays: Sequence[Any]
    roles: Sequence[Role]
    made: Sequence[Any]
    """What a step makes beside the carry."""

    @property
    def weights(self) -> int:
        """Read at all steps by every row, they are there once."""
        return sum(
            _tiled(x.shape, x.dtype)
            for x, role in zip(self.arrays, self.roles, strict=True)
            if role is Role.WEIGHT
        )

    def of(self, rows: int, steps: int) -> int:
        """With so many rows, and blocks of so many steps."""
        total = self.weights
        one_step = sum(_tiled((rows, *y.shape[1:]), y.dtype) for y in self.made)
        for x, role in zip(self.arrays, self.roles, strict=True):
            if role is Role.STEP:
                one_step += _tiled((rows, *x.shape[2:]), x.dtype)
            elif role is not Role.WEIGHT:
                # Where the loop starts; the carry itself is a result, and results are there twice.
                copies = 3 if role is Role.CARRY else 1
                total += copies * _tiled((rows, *x.shape[1:]), x.dtype)
        # One block is worked on while another is on its way.
        return total + 2 * steps * one_step


def _steps_that_fit(loop: Loop, needs: _Needs, memory: int) -> int:
    """How many steps a block has; raises where not one fits."""
    most = min(loop.steps, MOST)
    fitting = (n for n in range(most, 0, -1) if needs.of(loop.rows, n) <= memory)
    found = next(fitting, None)
    if found is not None:
        return -(-loop.steps // -(-loop.steps // found))
    rows = loop.rows
    while rows and needs.of(rows, 1) > memory:
        rows //= 2
    advice = f"a batch of {rows} fits"
    if not rows:
        advice = f"the weights of its loop take {_mib(needs.weights)}, so take fewer units, or a "
        advice += "narrower dtype"
    raise ArgumentError(
        f"Fused: {loop.name}, with {loop.rows} sequences at once, needs "
        f"{_mib(needs.of(loop.rows, 1))} of a TPU's VMEM for its arrays, where a kernel may take "
        f"{_mib(memory)}; {advice}, or use BPTT()."
    )


def _mib(size: int) -> str:
    return f"{size / MIB:.1f} MiB"


def _tiled(shape: tuple[int, ...], dtype: Any) -> int:
    """Bytes of an array in VMEM, in whole tiles."""
    *rest, rows, columns = shape
    size = jnp.dtype(dtype).itemsize
    height = SUBLANES * max(1, 4 // size)
    tiles = -(-rows // height) * -(-columns // LANES)
    return math.prod(rest) * tiles * height * LANES * size


def _value(ref: Any, role: Role, t: Any) -> Any:
    if role is Role.STEP:
        return ref[t]
    if role is not Role.WEIGHT or len(ref.shape) != 2:
        return ref[...]

    def part(axis: int, start: int, size: int) -> jax.Array:
        cut = slice(start, start + size)
        return ref[cut, :] if axis == 0 else ref[:, cut]

    return Weight(part, ref.shape)
