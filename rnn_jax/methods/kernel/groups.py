"""What each group of threads of a Hopper does: all steps, of its units of some rows."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnn_jax.methods.kernel.scan import ORIGIN, Loop, Role
from rnn_jax.methods.kernel.shared_out import ROWS, Block, Handed, SharedOut, Terms

GROUP, BLOCK = "group", "block"
"""The axes of a kernel: groups of threads in a block, blocks in a cluster."""


@dataclasses.dataclass(frozen=True)
class Groups:
    """What each group of threads does."""

    loop: Loop
    shared: SharedOut
    roles: Sequence[Role]
    carries: int
    results: int
    interpret: bool

    def run(self, refs: Sequence[Any]) -> None:
        """All steps of some rows."""
        from jax.experimental.pallas import mosaic_gpu

        shared, loop = self.shared, self.loop
        roles = [role for i, role in enumerate(self.roles) if i not in shared.matrices]
        left = iter(refs)
        inputs = [next(left) for _ in roles]
        tiles = [next(left) for _ in shared.blocks]
        results = [next(left) for _ in range(self.results)]
        exchanged = [next(left) for _ in shared.places if shared.cluster > 1]
        weights = {block: next(left) for block in shared.blocks}
        places = [next(left) for _ in shared.places]
        fetched, *barriers = left
        group, me = lax.axis_index(GROUP), self._me()
        for tile, weight in zip(tiles, weights.values(), strict=True):
            for j in range(shared.shares):  # a copy has so many axes at most
                mosaic_gpu.copy_gmem_to_smem(tile.at[me, j], weight.at[group, j], fetched.at[group])
        if tiles:
            mosaic_gpu.barrier_wait(fetched.at[group])

        def at(i: Any) -> Any:
            return loop.steps - 1 - i if loop.reverse else i

        of_steps = [x for x, role in zip(inputs, roles, strict=True) if role is Role.STEP]

        def read(t: Any) -> list[jax.Array]:
            return [self._read(x, Role.STEP, t) for x in of_steps]

        def fetch(t: Any) -> None:
            """From memory to the cache; registers and shared memory are full."""
            if not self.interpret:
                for x in of_steps:
                    mosaic_gpu.async_prefetch(self._own(x, Role.STEP, t))

        stay: list[Any] = [
            None if role is Role.STEP else self._read(x, role)
            for x, role in zip(inputs, roles, strict=True)
        ]

        def one(i: Any, carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
            now = iter(read(at(i)))
            fetch(at(jnp.minimum(i + np.int32(1), np.int32(loop.steps - 1))))
            first = lax.rem(i * np.int32(shared.handed), np.int32(2))
            multiply = self._multiplied(weights, places, exchanged, barriers, first)
            others = [
                next(now) if role is Role.STEP else x
                for x, role in zip(stay[self.carries :], roles[self.carries :], strict=True)
            ]
            found = shared([*carry, *others], multiply)
            for ref, y in zip(results[self.carries :], found[self.carries :], strict=True):
                self._store(self._own(ref, Role.STEP, at(i)), y)
            return tuple(found[: self.carries])

        start = tuple(stay[: self.carries])
        end = lax.fori_loop(ORIGIN, np.int32(loop.steps), one, start)
        for ref, c in zip(results, end, strict=False):
            self._store(self._own(ref, Role.CARRY), c)

    def _own(self, ref: Any, role: Role, t: Any = None) -> Any:
        """The part of an array that belongs to the group and to the rows of the program."""
        from jax.experimental import pallas as pl

        at = [] if role is Role.WEIGHT else [pl.ds(lax.axis_index("program") * ROWS, ROWS)]
        if role is Role.STEP:
            at.insert(0, t)
        if len(ref.shape) > len(at):
            size = ref.shape[-1] // self.shared.shares
            at.append(pl.ds(self._me() * size, size))
        return ref.at[tuple(at)]

    def _read(self, ref: Any, role: Role, t: Any = None) -> jax.Array:
        return self._load(self._own(ref, role, t))

    def _load(self, place: Any) -> jax.Array:
        """From global memory."""
        from jax.experimental.pallas import mosaic_gpu

        if self.interpret:  # the interpreter of jax 0.10 has no other way to read
            return place[...]
        index = ((),) if jax.__version_info__ < (0, 11) else ()
        return mosaic_gpu.load(place, *index, optimized=False)

    def _store(self, place: Any, x: jax.Array) -> None:
        """To global memory."""
        from jax.experimental.pallas import mosaic_gpu

        if self.interpret or jax.__version_info__ < (0, 12):
            place[...] = x
        else:  # by a name that jax had not before
            vars(mosaic_gpu)["store"](place, x, optimized=False)

    def _me(self) -> Any:
        """Which share of the units is this group's."""
        group = lax.axis_index(GROUP)
        if self.shared.cluster == 1:
            return group
        return lax.axis_index(BLOCK) * np.int32(self.shared.groups) + group

    def _multiplied(
        self,
        weights: dict[Block, Any],
        places: Sequence[Any],
        exchanged: Sequence[Any],
        barriers: Sequence[Any],
        first: Any,
    ) -> Callable[[Terms], jax.Array]:
        """How a group multiplies in one step; `first` of two places is free."""
        from jax.experimental import pallas as pl
        from jax.experimental.pallas import mosaic_gpu

        shared, handed = self.shared, Handed()
        group, me, program = lax.axis_index(GROUP), self._me(), lax.axis_index("program")
        widths = [shape[-1] for shape in shared.places]
        ready, *all_ready = barriers

        def hand_over(x: jax.Array, at: int, which: Any) -> None:
            place = places[at].at[which]
            if not exchanged:
                place[me] = x
            else:
                # By way of global memory: Mosaic stores nothing in the memory of another block.
                meeting = exchanged[at].at[program, which]
                self._store(meeting.at[me], x)
                self._order()
                mosaic_gpu.barrier_arrive(all_ready[0])
                mosaic_gpu.barrier_wait(all_ready[0])
                self._order()
                for block in range(shared.cluster):
                    share = np.int32(block * shared.groups) + group
                    place[share] = self._load(meeting.at[share])
            mosaic_gpu.commit_smem()
            # Who has come here no longer reads what lies in the other place.
            mosaic_gpu.barrier_arrive(ready)
            mosaic_gpu.barrier_wait(ready)

        def multiply(terms: Terms) -> jax.Array:
            def summed(total: Any) -> jax.Array:
                for x, block in terms:
                    at = widths.index(x.shape[-1])
                    number, is_there = handed.find(x)
                    which = lax.rem(first + np.int32(number), np.int32(2))
                    if not is_there:
                        hand_over(x, at, which)
                    for j in range(shared.shares):
                        here = places[at].at[which, j]
                        mosaic_gpu.wgmma(total, here, weights[block].at[group, j])
                    mosaic_gpu.wgmma_wait(0)
                return total[...]

            size = terms[0][1].columns // shared.shares
            return pl.run_scoped(summed, mosaic_gpu.ACC((ROWS, size), jnp.float32))

        return multiply

    def _order(self) -> None:
        """What this thread wrote to global memory before, others see who come after."""
        if self.interpret:  # where memory is as it is written
            return
        from jax.experimental.pallas import mosaic_gpu
        from jaxlib.mlir import ir
        from jaxlib.mlir.dialects import llvm

        @mosaic_gpu.inline_mgpu()
        def fence(_: Any) -> None:
            void = ir.Type.parse("!llvm.void")
            llvm.inline_asm(void, [], "fence.acq_rel.gpu;", "", has_side_effects=True)

        fence()
