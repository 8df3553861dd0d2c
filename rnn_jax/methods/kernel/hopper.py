"""A loop on a Hopper: 64 rows at a time, whose units are shared out over groups of threads."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import Literal

from rnn_jax.arguments.settings import positive, settle
from rnn_jax.errors import ArgumentError, DtypeError, StructureError
from rnn_jax.methods.kernel.program import RULES, Deferred, Joined, Program, Rule, plain, value
from rnn_jax.methods.kernel.scan import ORIGIN, Loop, Role

KIB = 2**10
ROWS = 64
"""Rows of the smallest product that a group of threads works out."""
DEEP = 16
"""How many units a product takes at once."""
GROUPS = 4
"""Of 128 threads each: with more, a thread has fewer registers than a step of an LSTM needs."""
WIDEST = 64
"""Units of a group: its sums and all that a step has of them are in its registers."""
CLUSTER = 8
"""Blocks of a cluster, at most, that every Hopper runs side by side."""
GROUP, BLOCK = "group", "block"


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
        shared = _SharedOut(loop, step, roles, self.memory)
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
            loop.made((*lead, programs * ROWS, *_without_ones(y.shape[1:])), y.dtype)
            for lead, y in zip(leads, step.outputs, strict=True)
        ]

        exchanged = [
            loop.made((programs, *shape), jnp.bfloat16)
            for shape in shared.places
            if shared.cluster > 1
        ]

        def fused_steps(*refs: Any) -> None:  # so it is called in profiles
            _Kernel(loop, shared, roles, carries, len(results), interpret).run(refs)

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


@dataclasses.dataclass(frozen=True)
class _Block:
    """Some rows and columns of a matrix, as they are multiplied by."""

    index: int
    """The matrix, among the arrays."""
    turned: bool
    """Whether it is transposed first."""
    row: int
    rows: int
    column: int
    columns: int

    def tiles(self, matrix: jax.Array, shares: int) -> jax.Array:
        """`[i, j]` is what makes the units of share i from those of share j."""
        whole = jnp.matrix_transpose(matrix) if self.turned else matrix
        cut = whole[self.row : self.row + self.rows, self.column : self.column + self.columns]
        parts = cut.reshape(shares, self.rows // shares, shares, self.columns // shares)
        return jnp.transpose(parts, (2, 0, 1, 3))


Terms = Sequence[tuple[jax.Array, _Block]]
"""The units of a group, and what all units are multiplied by; to be summed."""


@dataclasses.dataclass(frozen=True)
class _Matrix(Deferred):
    """A weight, which is not in the program of the step but in memory."""

    index: int
    shape: tuple[int, ...]
    turned: bool = False

    def transposed(self) -> "_Matrix":
        """The same numbers in memory."""
        return _Matrix(self.index, self.shape[::-1], not self.turned)


@dataclasses.dataclass(frozen=True)
class _Product(Deferred):
    """`x @ w`, not worked out yet."""

    x: Any
    weight: _Matrix
    dtype: Any
    shares: int
    multiply: Callable[[Terms], jax.Array]

    def part(self, start: int, size: int) -> jax.Array:
        """So many of its columns."""
        terms, at = [], 0
        for x in self.x.parts if isinstance(self.x, Joined) else [self.x]:
            rows = x.shape[-1] * self.shares
            block = _Block(self.weight.index, self.weight.turned, at, rows, start, size)
            terms.append((x, block))
            at += rows
        return self.multiply(terms).astype(self.dtype)

    def value(self) -> jax.Array:
        """All of its columns."""
        return self.part(0, self.weight.shape[1])


class _Handed:
    """Which units all groups have put where the others see them: the last two."""

    def __init__(self) -> None:
        self._last: list[tuple[Any, int]] = []
        self.count = 0

    def find(self, x: jax.Array) -> tuple[int, bool]:
        """The number of x, and whether it is there already."""
        for before, number in self._last:
            if before is x:
                return number, True
        self._last = [*self._last[-1:], (x, self.count)]
        self.count += 1
        return self.count - 1, False


class _SharedOut:
    """A step of which each group of threads has a slice of the units.

    Axes of size 1 are left out of its arrays: Mosaic has none of shape `(64, 1)`.
    """

    def __init__(self, loop: Loop, step: Program, roles: Sequence[Role], memory: int) -> None:
        """Raises where a step cannot be shared out."""
        self._name, self._step = loop.name, step
        shapes = [x.aval.shape for x in step.arguments]
        is_matrix = [
            role is Role.WEIGHT and shape[0] > 1 for shape, role in zip(shapes, roles, strict=True)
        ]
        self.matrices = {i: _Matrix(i, shape) for i, shape in enumerate(shapes) if is_matrix[i]}
        sizes, widest = self._sizes(shapes)
        self.shares = 1
        self._axes: dict[Any, tuple[str | None, ...]] = {}
        self._weights = set(itertools.compress(step.arguments, is_matrix))
        for x, role in zip(step.arguments, roles, strict=True):
            lead = None if role is Role.WEIGHT else "rows"
            self._axes[x] = (lead, None if x.aval.shape[1] == 1 else "units")
        for equation in step.equations:
            axes = self._follow(equation)
            self._axes.update((out, axes) for out in equation.outvars)
        self.blocks, self.handed = self._products()
        self.cluster, self.groups = self._share_out(math.gcd(*sizes), widest, memory)
        self.shares = self.cluster * self.groups
        widths = sorted({block.rows for block in self.blocks})
        # Two, of which one is written while others may still read the other.
        self.places = [(2, self.shares, ROWS, n // self.shares) for n in widths]

    def __call__(
        self, others: Sequence[jax.Array], multiply: Callable[[Terms], jax.Array]
    ) -> list[jax.Array]:
        """The step, of the units of a group, and of all that it reads but the matrices."""
        left = iter(others)
        count = len(self._step.arguments)
        values = [self.matrices[i] if i in self.matrices else next(left) for i in range(count)]
        names = {equation.primitive.name for equation in self._step.equations}
        rules: dict[str, Rule] = {
            **dict.fromkeys(names.difference(RULES), self._elementwise),
            "add_any": _add,
            **dict.fromkeys(_MOVES, self._broadcast),
            "dot_general": functools.partial(self._dot_general, multiply),
            "split": self._split,
            "transpose": _transpose,
        }
        return self._step(*values, rules=rules)

    def _shape(self, variable: Any) -> tuple[int, ...]:
        """That of what a group has of it."""
        found = zip(self._axes[variable], variable.aval.shape, strict=True)
        return tuple(n if axis == "rows" else n // self.shares for axis, n in found if axis)

    def _products(self) -> tuple[list[_Block], int]:
        """What a step multiplies by, and how often it hands units over."""
        found: dict[_Block, None] = {}
        handed = _Handed()

        def multiply(terms: Terms) -> jax.Array:
            for x, block in terms:
                if x.dtype != jnp.bfloat16:
                    raise DtypeError(
                        f"Fused: {self._name} multiplies numbers of {x.dtype}, and Hopper() "
                        "multiplies bfloat16; take bfloat16 params and inputs, GPU() if it fits, "
                        "or BPTT()."
                    )
                handed.find(x)
                found[block] = None
            return jnp.zeros((ROWS, terms[0][1].columns // self.shares), jnp.float32)

        others = [
            jax.ShapeDtypeStruct(self._shape(x), x.aval.dtype)
            for i, x in enumerate(self._step.arguments)
            if i not in self.matrices
        ]
        jax.eval_shape(lambda *others: self(others, multiply), *others)
        return list(found), handed.count

    def _sizes(self, shapes: Sequence[tuple[int, ...]]) -> tuple[set[int], int]:
        """Those of all axes that are shared out, and the most units that a step works on."""
        units: set[int] = set()
        for i, shape in enumerate(shapes):
            if len(shape) != 2:
                self._refuse(f"has an array of shape {shape}, and a Hopper has rows of units")
            units.update(() if i in self.matrices else _without_ones(shape[1:]))
        sizes = units.union(*(shapes[i] for i in self.matrices))
        odd = [n for n in sizes if n % DEEP]
        if odd:
            self._refuse(f"has {min(odd)} units, and a Hopper multiplies {DEEP} at once")
        return sizes, max(units, default=0)

    def _share_out(self, common: int, widest: int, memory: int) -> tuple[int, int]:
        """Over how many blocks, and groups of threads in each: the fewest blocks that hold it."""
        ways: dict[int, int] = {}
        for blocks, groups in itertools.product(range(1, CLUSTER + 1), range(1, GROUPS + 1)):
            shares = blocks * groups
            if common % (DEEP * shares) == 0 and widest <= shares * WIDEST:
                ways[blocks] = groups
        if not ways:
            self._refuse(
                f"has {widest} units, which cannot be shared out equally in multiples of {DEEP} up "
                f"to {WIDEST}; take a multiple of {GROUPS * DEEP}"
            )
        weights = sum(2 * block.rows * block.columns for block in self.blocks)
        operands = sum(2 * 2 * ROWS * n for n in {block.rows for block in self.blocks})
        others = 2 * KIB  # what threads wait at, and what fills up
        for blocks, groups in ways.items():
            if weights / blocks + operands + others <= memory:
                return blocks, groups
        most = max(ways)
        raise ArgumentError(
            f"Fused: {self._name} needs {(weights / most + operands + others) / KIB:.0f} KiB of "
            f"the shared memory of each of {most} multiprocessors, {weights / most / KIB:.0f} for "
            f"its part of the weights of the loop and {operands / KIB:.0f} for what they are "
            f"multiplied by, and a program may take {memory / KIB:.0f} KiB; take fewer units, or "
            "use BPTT()."
        )

    def _follow(self, equation: Any) -> tuple[str | None, ...]:
        """Which axes are those of the rows and the units in what an equation makes."""
        name, (out, *_) = equation.primitive.name, equation.outvars
        arrays = [x for x in equation.invars if not isinstance(x, Literal) and x.aval.ndim]
        if self._weights.intersection(arrays) and name != "dot_general":
            if name != "transpose":
                self._refuse(
                    f"has a `{name}` of a weight, where a Hopper multiplies by it as it is"
                )
            self._weights.add(out)
        if name == "broadcast_in_dim":
            places = equation.params["broadcast_dimensions"]
            known = dict(zip(places, self._axes[arrays[0]], strict=True)) if arrays else {}
            new = ("rows", "units")
            return tuple(
                None if n == 1 else known.get(i) or new[i] for i, n in enumerate(out.aval.shape)
            )
        if name in _MOVES:
            before, after = (_without_ones(x.aval.shape) for x in (arrays[0], out))
            if before != after:
                self._refuse(f"has a `{name}` of an array of shape {arrays[0].aval.shape}")
            left = iter(filter(None, self._axes[arrays[0]]))
            return tuple(None if n == 1 else next(left) for n in out.aval.shape)
        if name in ("dot_general", "split", "concatenate", "transpose"):
            return "rows", "units"
        shapes = [x.aval.shape for x in arrays]
        if name in _ALONG or not all(len(a) == out.aval.ndim for a in shapes):
            self._refuse(
                f"has a `{name}` of an array of shape {equation.invars[0].aval.shape}, of which "
                "no group of threads has all units"
            )
        found: list[str | None] = [None] * out.aval.ndim
        for x in arrays:
            found = [axis or own for axis, own in zip(found, self._axes[x], strict=True)]
        return tuple(found)

    def _broadcast(self, equation: Any, operands: Sequence[Any]) -> list[Any]:
        """What drops or adds axes; here those of size 1 are not there."""
        (before, *_), (out,) = equation.invars, equation.outvars
        x, shape = jnp.asarray(value(operands[0])), self._shape(out)
        if x.shape == shape:
            return [x]
        axes = list(filter(None, self._axes[out]))
        places = [] if isinstance(before, Literal) else filter(None, self._axes[before])
        return [lax.broadcast_in_dim(x, shape, [axes.index(axis) for axis in places])]

    def _elementwise(self, equation: Any, operands: Sequence[Any]) -> list[Any]:
        """Where an axis of size 1 stands for any size, it is made so long."""
        (out, *_) = equation.outvars
        axes, shape = list(filter(None, self._axes[out])), self._shape(out)

        def spread(before: Any, x: jax.Array) -> jax.Array:
            if jnp.ndim(x) in (0, len(shape)):
                return x
            own = filter(None, self._axes[before])
            return lax.broadcast_in_dim(x, shape, [axes.index(axis) for axis in own])

        wide = map(spread, equation.invars, map(value, operands))
        return plain(equation, list(wide))

    def _dot_general(
        self, multiply: Callable[[Terms], jax.Array], equation: Any, operands: Sequence[Any]
    ) -> list[Any]:
        x, w = operands
        (left, (right, *_)), batch = equation.params["dimension_numbers"]
        if not isinstance(w, _Matrix) or (batch, left) != (((), ()), (1,)):
            shapes = " and ".join(str(x.aval.shape) for x in equation.invars)
            self._refuse(f"multiplies arrays of shapes {shapes}, the second of which is no weight")
        x = x if isinstance(x, Joined) else value(x)
        dtype = equation.outvars[0].aval.dtype
        return [_Product(x, w.transposed() if right else w, dtype, self.shares, multiply)]

    def _split(self, equation: Any, operands: Sequence[Any]) -> list[Any]:
        (x,), sizes = operands, list(map(int, equation.params["sizes"]))
        if not isinstance(x, _Product) or equation.params["axis"] != 1:
            shape = equation.invars[0].aval.shape
            self._refuse(f"has a `split` of an array of shape {shape} that is no product")
        return [x.part(sum(sizes[:i]), size) for i, size in enumerate(sizes)]

    def _refuse(self, why: str) -> NoReturn:
        raise StructureError(f"Fused: {self._name} {why}; use BPTT().")


def _add(equation: Any, operands: Sequence[Any]) -> list[Any]:
    del equation
    return [lax.add(*map(value, operands))]


def _transpose(equation: Any, operands: Sequence[Any]) -> list[Any]:
    del equation
    return [x.transposed() for x in operands]


_MOVES = ("broadcast_in_dim", "expand_dims", "reshape", "squeeze")
_ALONG = frozenset("cumlogsumexp cummax cummin cumprod cumsum iota rev sort".split())


@dataclasses.dataclass(frozen=True)
class _Kernel:
    """What each group of threads does."""

    loop: Loop
    shared: _SharedOut
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
        else:
            mosaic_gpu.store(place, x, optimized=False)  # type: ignore[attr-defined]

    def _me(self) -> Any:
        """Which share of the units is this group's."""
        group = lax.axis_index(GROUP)
        if self.shared.cluster == 1:
            return group
        return lax.axis_index(BLOCK) * np.int32(self.shared.groups) + group

    def _multiplied(
        self,
        weights: dict[_Block, Any],
        places: Sequence[Any],
        exchanged: Sequence[Any],
        barriers: Sequence[Any],
        first: Any,
    ) -> Callable[[Terms], jax.Array]:
        """How a group multiplies in one step; `first` of two places is free."""
        from jax.experimental import pallas as pl
        from jax.experimental.pallas import mosaic_gpu

        shared, handed = self.shared, _Handed()
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


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for n in shape if n > 1)


def _stored(x: jax.Array, role: Role, missing: int) -> jax.Array:
    """Without axes of size 1 beside those of time and rows, and with so many more rows."""
    if role is Role.WEIGHT:
        return x.reshape(_without_ones(x.shape) or (1,))
    rows = 1 if role is Role.STEP else 0
    x = jnp.pad(x, [(0, missing if i == rows else 0) for i in range(x.ndim)])
    return x.reshape(*x.shape[: rows + 1], *_without_ones(x.shape[rows + 1 :]))


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
