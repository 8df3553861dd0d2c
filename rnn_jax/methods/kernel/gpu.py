"""A loop on a GPU: one block of threads a few rows, for all steps, with the weights beside it."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnn_jax.arguments.settings import integer, positive, settle
from rnn_jax.errors import ArgumentError, StructureError
from rnn_jax.methods.kernel.deferred import Weight
from rnn_jax.methods.kernel.program import Program
from rnn_jax.methods.kernel.scan import ORIGIN, Loop, Role, of_a_step

KIB = 2**10
LEAST = 16
"""Rows and columns of the smallest matrix that the units multiply."""


@dataclasses.dataclass(frozen=True)
class GPU:
    """One kernel on a GPU, by Triton: weights in shared memory, gate by gate, carry in registers.

    Each of its programs runs a few rows of the batch through all steps, and knows nothing of the
    others; the batch is filled up with rows that nobody reads. A size is a power of 2, and 16 at
    least where it is multiplied. The weights of the loop must fit in the shared memory of one
    multiprocessor: of an H100 those of an `LSTM` of 64 units in float32 and 128 in bfloat16, a
    `GRU` of 128, an `Elman` of 128 and of 256 in bfloat16. Triton cuts and joins no arrays: gates
    are read from weights one by one, but inputs, states and outputs of a step are whole.

    Raises `ArgumentError` for settings that are not positive integers, and for rows that are no
    power of 2 from 16 on.
    """

    memory: int = 227 * KIB
    """Bytes of shared memory that a program may take; an H100 has 227 KiB, an A100 163."""
    rows: int = LEAST
    """How many rows of the batch a program has."""
    warps: int = 8
    """Of 32 threads each, that run a program."""

    def __post_init__(self) -> None:
        """Refuse settings that make no kernel."""
        settle(self, memory=positive, rows=_rows, warps=positive)

    def run(self, loop: Loop, interpret: bool) -> list[jax.Array]:
        """The last carry, and what every step makes."""
        from jax.experimental import pallas as pl
        from jax.experimental.pallas import triton

        step = loop.step(self.rows)
        arrays, roles = loop.read_by(step)
        parts = self._parts(loop, step, arrays, roles)
        programs = -(-loop.rows // self.rows)
        missing = programs * self.rows - loop.rows
        given = [_filled_up(x, role, missing) for x, role in zip(arrays, roles, strict=True)]

        def of_rows(x: Any, role: Role) -> pl.BlockSpec:
            if role is Role.WEIGHT:
                return pl.BlockSpec(x.shape, lambda at: (ORIGIN,) * len(x.shape))
            lead = x.shape[:1] if role is Role.STEP else ()
            rest = x.shape[len(lead) + 1 :]

            def index(at: Any) -> tuple[Any, ...]:
                return (*(ORIGIN,) * len(lead), at, *(ORIGIN,) * len(rest))

            return pl.BlockSpec((*lead, self.rows, *rest), index)

        carries = roles.count(Role.CARRY)
        kinds = [Role.CARRY if i < carries else Role.STEP for i in range(len(step.outputs))]
        results = [
            loop.made(
                (*[loop.steps] * (kind is Role.STEP), loop.rows + missing, *y.shape[1:]), y.dtype
            )
            for y, kind in zip(step.outputs, kinds, strict=True)
        ]

        def fused_steps(*refs: Any) -> None:  # so it is called in profiles
            _kernel(loop, step, roles, parts, *refs)

        found = pl.pallas_call(
            fused_steps,
            out_shape=results,
            grid=(programs,),
            in_specs=list(map(of_rows, given, roles)),
            out_specs=list(map(of_rows, results, kinds)),
            compiler_params=triton.CompilerParams(num_warps=self.warps, num_stages=1),
            interpret=interpret,
            name="fused_steps",
        )(*given)
        return [
            lax.slice_in_dim(x, 0, loop.rows, axis=1 if kind is Role.STEP else 0)
            for x, kind in zip(found, kinds, strict=True)
        ]

    def _parts(
        self, loop: Loop, step: Program, arrays: Sequence[Any], roles: Sequence[Role]
    ) -> list["_Part"]:
        """What a step reads of its matrices; raises where the kernel cannot be."""
        parts: dict[_Part, None] = {}

        def dry(*values: Any) -> list[jax.Array]:
            def read(matrix: jax.Array, part: _Part) -> jax.Array:
                parts[part] = None
                return part.of(matrix)

            return step(*_with_weights(values, roles, read))

        shapes = [of_a_step(x, role, self.rows) for x, role in zip(arrays, roles, strict=True)]
        traced = jax.make_jaxpr(dry)(*shapes).jaxpr
        for equation in traced.eqns:
            if equation.primitive.name != "slice" or equation.invars[0] not in traced.invars:
                _check_operation(loop, equation)
        matrices = _multiplied(traced)
        weights = sum(math.prod(x.shape) * x.dtype.itemsize for x in matrices)
        # What is multiplied by each part, and the last product, on their way between threads.
        widest = max((n for x in matrices for n in x.shape), default=0)
        needs = weights + (len(matrices) + 1) * self.rows * widest * 4
        if needs > self.memory:
            halves = 1
            while needs > self.memory * 4**halves:
                halves += 1
            raise ArgumentError(
                f"Fused: {loop.name} needs {needs / KIB:.0f} KiB of a GPU's shared memory, "
                f"{weights / KIB:.0f} for the weights of its loop, and a program may take "
                f"{self.memory / KIB:.0f} KiB; 1/{2**halves} of the units would fit, and a "
                "narrower dtype takes less, or use BPTT()."
            )
        return list(parts)


@dataclasses.dataclass(frozen=True)
class _Part:
    """Some rows or columns of a matrix."""

    index: int
    """The matrix, among the arrays."""
    axis: int
    start: int
    size: int

    def of(self, matrix: Any) -> Any:
        """Read it."""
        cut = slice(self.start, self.start + self.size)
        return matrix[cut, :] if self.axis == 0 else matrix[:, cut]


def _multiplied(traced: Any) -> list[Any]:
    """The parts of matrices that are multiplied by; twice where they are transposed as well.

    Shared memory has each as the units that multiply read it.
    """
    known: dict[Any, tuple[Any, ...]] = {x: (x,) for x in traced.invars}
    found = {}
    for equation in traced.eqns:
        name, (x, *others), (out, *_) = equation.primitive.name, equation.invars, equation.outvars
        if name == "slice" and x in known:
            limits = equation.params["start_indices"], equation.params["limit_indices"]
            known[out] = (*known[x], limits)
        elif name == "transpose" and x in known:
            known[out] = (*known[x], "transposed")
        elif name == "dot_general" and (w := others[0]) in known:
            (_, (axis,)), _ = equation.params["dimension_numbers"]
            turned = (axis == 1) != ("transposed" in known[w])
            part = tuple(how for how in known[w] if how != "transposed")
            found[*part, turned] = w.aval
    return list(found.values())


def _kernel(
    loop: Loop, step: Program, roles: Sequence[Role], parts: Sequence[_Part], *refs: Any
) -> None:
    """All steps of some rows."""
    carries = roles.count(Role.CARRY)
    inputs, results = refs[: len(roles)], refs[len(roles) :]
    ends, ys = results[:carries], results[carries:]
    # Read ahead of the loop, or every step would read them from memory again.
    held = {part: part.of(inputs[part.index]) for part in parts}
    stay = [
        ref if role is Role.STEP or _is_matrix(ref, role) else ref[...]
        for ref, role in zip(inputs, roles, strict=True)
    ]

    def one(i: Any, carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        t = loop.steps - 1 - i if loop.reverse else i
        read = [x[t] if role is Role.STEP else x for x, role in zip(stay, roles, strict=True)]
        values = _with_weights([*carry, *read[carries:]], roles, lambda _, part: held[part])
        found = step(*values)
        for ref, y in zip(ys, found[carries:], strict=True):
            ref[t] = y
        return tuple(found[:carries])

    bounds = ORIGIN, np.int32(loop.steps)
    for ref, c in zip(ends, lax.fori_loop(*bounds, one, tuple(stay[:carries])), strict=True):
        ref[...] = c


def _is_matrix(x: Any, role: Role) -> bool:
    return role is Role.WEIGHT and len(x.shape) == 2


def _with_weights(
    values: Sequence[Any], roles: Sequence[Role], read: Callable[[Any, _Part], jax.Array]
) -> list[Any]:
    """The arguments of a step, whose matrices are read by `read(matrix, part)`."""

    def weight(index: int, x: Any) -> Weight:
        return Weight(
            lambda axis, start, size: read(x, _Part(index, axis, start, size)), tuple(x.shape)
        )

    return [
        weight(i, x) if _is_matrix(x, role) else x
        for i, (x, role) in enumerate(zip(values, roles, strict=True))
    ]


def _filled_up(x: jax.Array, role: Role, missing: int) -> jax.Array:
    """With so many more rows."""
    if role is Role.WEIGHT or not missing:
        return x
    axis = 1 if role is Role.STEP else 0
    return jnp.pad(x, [(0, missing if i == axis else 0) for i in range(x.ndim)])


_CUTS = frozenset("concatenate dynamic_slice gather pad rev slice split".split())


def _check_operation(loop: Loop, equation: Any) -> None:
    """Triton has arrays of sizes 2^n alone, and cuts and joins none."""
    name = equation.primitive.name
    shapes = [tuple(x.aval.shape) for x in [*equation.invars, *equation.outvars]]
    odd = [shape for shape in shapes if any(n & (n - 1) for n in shape)]
    small = [shape for shape in shapes if name == "dot_general" and min(shape) < LEAST]
    if odd:
        reason = f"has an array of shape {odd[0]}, and a kernel on a GPU has sizes 2^n alone"
    elif small:
        reason = f"multiplies an array of shape {small[0]}, and a GPU takes {LEAST} units at least"
    elif name in _CUTS:
        reason = (
            f"has a `{name}` of an array of shape {shapes[0]}, and a kernel on a GPU cuts and "
            "joins nothing but weights and what is made of them"
        )
    else:
        return
    raise StructureError(f"Fused: {loop.name} {reason}; use BPTT().")


def _rows(name: Any, value: Any) -> int:
    found = integer(value)
    if found is None or found < LEAST or found & (found - 1):
        raise ArgumentError(f"{name} must be a power of 2 from {LEAST} on, got {value!r}.")
    return found
