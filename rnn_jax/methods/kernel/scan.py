"""`lax.scan` as one kernel: any step is traced into its body.

It is never differentiated: it runs a loop behind the rule of derivatives, as `lax.scan` does.
"""

import dataclasses
import enum
import itertools
from collections.abc import Callable
from typing import Any, Protocol

import jax
import numpy as np
from jax import lax

from rnn_jax.errors import StructureError
from rnn_jax.methods.blocks import length
from rnn_jax.methods.kernel.program import Program, program
from rnn_jax.methods.kernel.rows import Rows, Step, one_step, rows, shaped, shapes
from rnn_jax.methods.kernel.stored import form

ORIGIN = np.int32(0)
"""All places in a kernel have 32 bits, where `jax_enable_x64` would make an integer wider."""


class Role(enum.Enum):
    """What an array is to a loop."""

    CARRY = enum.auto()
    """`(rows, ...)`, where the loop starts."""
    STEP = enum.auto()
    """`(T, rows, ...)`, read a step at a time."""
    ROW = enum.auto()
    """`(rows, ...)`, read at every step."""
    WEIGHT = enum.auto()
    """Read by every row at every step."""


@dataclasses.dataclass(frozen=True)
class Loop:
    """A loop over arrays as a kernel stores them, ready for a machine."""

    name: str
    """Whose loop it is, for errors."""
    steps: int
    """T."""
    rows: int
    """How many there are."""
    reverse: bool
    """Whether it runs from the last step to the first."""
    roles: list[Role]
    arrays: list[jax.Array]
    """One a role; those of the carry come first."""
    step: Callable[[int], Program]
    """That of so many rows: of all arrays, to the carry and what else the step makes."""

    def made(self, shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
        """The shape of a result; in `jax.shard_map` it varies over devices as the carry does."""
        varies = jax.typeof(self.arrays[0]).manual_axis_type
        return jax.ShapeDtypeStruct(shape, dtype, manual_axis_type=varies)

    def read_by(self, step: Program) -> tuple[list[jax.Array], list[Role]]:
        """The arrays that a step reads, and what they are: the rest stays outside."""
        chosen = itertools.compress(self.arrays, step.reads)
        return list(chosen), list(itertools.compress(self.roles, step.reads))


class Machine(Protocol):
    """What runs a loop as one kernel."""

    def run(self, loop: Loop, interpret: bool) -> list[jax.Array]:
        """The last carry, `(rows, ...)`, and what every step makes, `(T, rows, ...)`."""


@dataclasses.dataclass(frozen=True)
class Kernel:
    """`lax.scan` on a machine."""

    machine: Machine
    interpret: bool
    name: str
    """Whose loops it runs, for errors."""

    def scan(
        self, step: Step, consts: Any, carry: Any, xs: Any, reverse: bool = False
    ) -> tuple[Any, Any]:
        """`lax.scan(partial(step, consts), carry, xs, reverse=reverse)`."""
        if 0 in [size for leaf in jax.tree.leaves((carry, xs)) for size in leaf.shape]:
            return lax.scan(lambda c, x: step(consts, c, x), carry, xs, reverse=reverse)
        given = *shapes((consts, carry)), one_step(xs)
        of = rows(step, *given)
        if of is None:
            raise StructureError(
                f"Fused: {self.name}, or its derivative, is made for one size of batch, where a "
                "kernel runs any number of rows; write it for any leading axes, or use BPTT()."
            )
        found = self.machine.run(
            _loop(self.name, step, of, consts, carry, xs, reverse), self.interpret
        )
        after, y = jax.eval_shape(step, *given)
        likes, tree = jax.tree.flatten((after, _stacked(y, length(xs))))
        as_they_were = [
            x.reshape(like.shape).astype(like.dtype) for x, like in zip(found, likes, strict=True)
        ]
        return jax.tree.unflatten(tree, as_they_were)


def _loop(name: str, step: Step, of: Rows, consts: Any, carry: Any, xs: Any, reverse: bool) -> Loop:
    """The loop over rows, and over arrays as they are stored."""
    step = of.over(step)
    read_at_all, of_all = jax.tree.flatten(consts)
    merged = (
        jax.tree.map(of.merged, carry),
        jax.tree.map(lambda x: of.merged(x, 1), xs),
        [of.merged(x) if is_so else x for x, is_so in zip(read_at_all, of.by_row, strict=True)],
    )
    roles = [
        *[Role.CARRY for _ in jax.tree.leaves(carry)],
        *[Role.STEP for _ in jax.tree.leaves(xs)],
        *[Role.ROW if is_so else Role.WEIGHT for is_so in of.by_row],
    ]
    leaves, tree = jax.tree.flatten(merged)
    in_a_step = jax.tree.leaves((merged[0], one_step(merged[1]), merged[2]))
    forms = [form(x, role is not Role.WEIGHT) for x, role in zip(in_a_step, roles, strict=True)]
    arrays = [kept.stored(x) for kept, x in zip(forms, leaves, strict=True)]

    def stored_step(*given: jax.Array) -> list[jax.Array]:
        loaded = [kept.loaded(x) for kept, x in zip(forms, given, strict=True)]
        carry, x, consts = jax.tree.unflatten(tree, loaded)
        after = step(jax.tree.unflatten(of_all, consts), carry, x)
        return [form(leaf, by_row=True).stored(leaf) for leaf in jax.tree.leaves(after)]

    def traced(count: int) -> tuple[Program, list[jax.Array]]:
        seen = [of_a_step(x, role, count) for x, role in zip(arrays, roles, strict=True)]
        return program(stored_step, seen, roles.count(Role.CARRY))

    # What the step closes over is read at all steps too.
    _, held = traced(of.number)
    return Loop(
        name,
        length(xs),
        of.number,
        reverse,
        roles + [Role.WEIGHT for _ in held],
        arrays + held,
        step=lambda count: traced(count)[0],
    )


def of_a_step(x: jax.Array, role: Role, rows: int) -> jax.ShapeDtypeStruct:
    """What a step of so many rows sees of an array."""
    if role is Role.WEIGHT:
        return shaped(x, x.shape)
    after = 2 if role is Role.STEP else 1
    return shaped(x, (rows, *x.shape[after:]))


def _stacked(y: Any, steps: int) -> Any:
    return jax.tree.map(lambda y: jax.ShapeDtypeStruct((steps, *y.shape), y.dtype), y)
