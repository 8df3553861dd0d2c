"""A loop on a Hopper: 64 rows at a time, whose units are shared out over groups of threads."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from rnn_jax.arguments.settings import positive, settle
from rnn_jax.errors import ArgumentError
from rnn_jax.methods.kernel.groups import BLOCK, GROUP, Groups
from rnn_jax.methods.kernel.scan import Loop, Role
from rnn_jax.methods.kernel.shared_out import KIB, ROWS, SharedOut, without_ones


@dataclasses.dataclass(frozen=True)
class Hopper:
    """One kernel on an H100 or H200, by Mosaic GPU: weights in shared memory, carry in registers.

    Each of its programs runs 64 rows of the batch through all steps, and the batch is filled up
    with rows that nobody reads. The units are shared out over 1 to 4 groups of 128 threads: each
    has the columns of the weights that make its units, and hands what is multiplied to the others
    through shared memory. Where the weights of the loop, and 256 bytes a unit for what they are
    multiplied by, do not fit in the shared memory of one multiprocessor, 2 to 8 of them share the
    units of a program, as a cluster, and hand over through global memory. What the next step reads
    is fetched into the cache meanwhile. Products are of bfloat16, summed in float32.

    A group has 16 to 64 units, a multiple of 16. An H100 holds an `LSTM` of 128 units on one
    multiprocessor, of 256 on four and of 336 on seven; a `GRU` of up to 384, an `Elman` of up to
    512. A step that sums over units cannot be shared out: the layer-normed cells.

    Interpreted, it has no gradient: JAX's interpreter of such kernels cannot be differentiated. It
    also waits forever where XLA has fewer threads than a program has groups: on few cores start
    Python with `NPROC=32` in the environment.

    Raises `ArgumentError` for a memory that is not a positive integer.
    """

    memory: int = 227 * KIB
    """Bytes of shared memory of a multiprocessor that a program may take."""

    def __post_init__(self) -> None:
        """Refuse a memory that is none."""
        settle(self, memory=positive)

    def run(self, loop: Loop, interpret: bool) -> list[jax.Array]:
        """The last carry, and what every step makes."""
        from jax.experimental.pallas import mosaic_gpu

        step = loop.step(ROWS)
        arrays, roles = loop.read_by(step)
        shared = SharedOut(loop, step, roles, self.memory)
        programs = -(-loop.rows // ROWS)
        missing = programs * ROWS - loop.rows
        given = [
            _stored(x, role, missing)
            for i, (x, role) in enumerate(zip(arrays, roles, strict=True))
            if i not in shared.matrices
        ]
        tiles = [block.tiles(arrays[block.index], shared.shares) for block in shared.blocks]
        carries = roles.count(Role.CARRY)
        kinds = [Role.CARRY if i < carries else Role.STEP for i in range(len(step.outputs))]
        leads = [() if kind is Role.CARRY else (loop.steps,) for kind in kinds]
        results = [
            loop.made((*lead, programs * ROWS, *without_ones(y.shape[1:])), y.dtype)
            for lead, y in zip(leads, step.outputs, strict=True)
        ]

        exchanged = [
            loop.made((programs, *shape), jnp.bfloat16)
            for shape in shared.places
            if shared.cluster > 1
        ]

        def fused_steps(*refs: Any) -> None:  # so it is called in profiles
            Groups(loop, shared, roles, carries, len(results), interpret).run(refs)

        found = mosaic_gpu.kernel(
            fused_steps,
            out_type=results + exchanged,
            scratch_types=[
                *(mosaic_gpu.SMEM((shared.groups, *x.shape[1:]), x.dtype) for x in tiles),
                *(mosaic_gpu.SMEM(shape, jnp.bfloat16) for shape in shared.places),
                mosaic_gpu.Barrier(
                    num_arrivals=max(1, len(tiles) * shared.shares), num_barriers=shared.groups
                ),
                mosaic_gpu.Barrier(num_arrivals=shared.groups),
                *(
                    mosaic_gpu.ClusterBarrier(collective_axes=(BLOCK,), num_arrivals=shared.groups)
                    for _ in exchanged[:1]
                ),
            ],
            grid=(programs,),
            grid_names=("program",),
            cluster=(shared.cluster,) if shared.cluster > 1 else (),
            cluster_names=(BLOCK,) if shared.cluster > 1 else (),
            num_threads=shared.groups,
            thread_name=GROUP,
            compiler_params=mosaic_gpu.CompilerParams(
                lowering_semantics=mosaic_gpu.LoweringSemantics.Warpgroup
            ),
            interpret=_interpreter(loop, shared.cluster) if interpret else None,
        )(*given, *tiles)
        return [
            lax.slice_in_dim(x, 0, loop.rows, axis=len(lead)).reshape(
                *lead, loop.rows, *y.shape[1:]
            )
            for x, lead, y in zip(found, leads, step.outputs, strict=False)
        ]


def _stored(x: jax.Array, role: Role, missing: int) -> jax.Array:
    """Without axes of size 1 beside those of time and rows, and with so many more rows."""
    if role is Role.WEIGHT:
        return x.reshape(without_ones(x.shape) or (1,))
    rows = 1 if role is Role.STEP else 0
    x = jnp.pad(x, [(0, missing if i == rows else 0) for i in range(x.ndim)])
    return x.reshape(*x.shape[: rows + 1], *without_ones(x.shape[rows + 1 :]))


def _interpreter(loop: Loop, blocks: int) -> Any:
    from jax.experimental.pallas import mosaic_gpu

    if jax.__version_info__ < (0, 11):
        if blocks > 1:
            raise ArgumentError(
                f"Fused: {loop.name} takes {blocks} blocks, and jax {jax.__version__} cannot "
                "interpret more than one; from 0.11 on it can."
            )
        # There it has no public name.
        from jax._src.pallas.mosaic_gpu.interpret.params import InterpretGPUParams

        return InterpretGPUParams()
    return vars(mosaic_gpu)["InterpretGPUParams"]()
