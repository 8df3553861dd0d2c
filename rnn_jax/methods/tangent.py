"""The one derivative rule: the tangent of an orbit is a linear recurrence along it.

It splits in two. What the params and the inputs contribute to each step does not depend on the
steps before, so it is worked out for a block of steps at once; what is left is the tangent of the
carry, the solution of a linear recurrence. JAX transposes this into BPTT: backward in time runs
only the cotangent of the carry, and each weight gradient is one matmul over the rows of a block.

As the rule is a tangent and made of differentiable parts, forward mode, reverse mode and any
order of both follow from it. It takes the carries from whichever engine found them, and leaves the
linear recurrence to whichever engine solves it.
"""

import dataclasses
import functools
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax.export import is_symbolic_dim

from rnn_jax.devices.platform import on_gpu
from rnn_jax.errors import DtypeError, StructureError
from rnn_jax.methods.blocks import after_last, before_each, length, scan_blocks
from rnn_jax.methods.linear.operator import Operator, turned
from rnn_jax.methods.linear.system import Linear, solve
from rnn_jax.methods.moving import jvp, moving
from rnn_jax.recurrence.recurrence import Carry, Params, Recurrence, linearized
from rnn_jax.recurrence.structure import Structure, structure


class Kept(NamedTuple):
    """What there is of each step, `(T, *batch, ...)`; None for what was not asked for."""

    carry: Carry = None
    """The carry that the step made."""
    h: Any = None
    """What it emitted."""
    a: Any = None
    """Its preactivations."""


class Keep(NamedTuple):
    """What of each step is asked for."""

    carry: bool = False
    h: bool = False
    a: bool = False

    def of(self, cell: Recurrence, carry: Carry, a: Any) -> Kept:
        """That, of a step with this carry and these preactivations."""
        return Kept(
            carry if self.carry else None,
            cell.emit(carry, a) if self.h else None,
            a if self.a else None,
        )


class Orbit(Protocol):
    """An engine: who finds the carries."""

    def __call__(
        self, cell: Recurrence, keep: Keep, params: Params, start: Carry, xs: Any
    ) -> tuple[Carry, Kept]:
        """The last carry, and of each step of `xs` what is to be kept."""


@dataclasses.dataclass(frozen=True)
class TwoLoops:
    """A method: who runs each of the two loops, and what is kept between them."""

    orbit: Orbit
    linear: Linear
    store: int
    """How many bytes of preactivations may be kept for the gradient."""

    def __call__(
        self, cell: Recurrence, params: Params, xs: Any, carry: Carry
    ) -> tuple[Carry, jax.Array]:
        """The orbit; its derivatives of every mode and order are those of the rule."""
        _check_floating(cell, carry)
        end, kept = _run(cell, self, Keep(h=True), params, carry, xs)
        return end, kept.h


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _run(
    cell: Recurrence, loops: TwoLoops, keep: Keep, params: Params, start: Carry, xs: Any
) -> tuple[Carry, Kept]:
    return loops.orbit(cell, keep, params, start, xs)


def _tangent(
    cell: Recurrence,
    loops: TwoLoops,
    keep: Keep,
    primals: tuple[Any, ...],
    tangents: tuple[Any, ...],
) -> tuple[tuple[Carry, Kept], tuple[Carry, Kept]]:
    params, start, xs = primals
    d_params, d_start, d_xs = map(moving, tangents)
    d_start = jax.tree.map(lambda c, d: jnp.zeros_like(c) if d is None else d, start, d_start)
    shape = structure(cell, params, start, xs)
    _check_differentiable(shape)
    # Through `_run` again, so that second derivatives see how the stored carries move.
    stored = Keep(
        carry=True,
        h=keep.h and not shape.emits_carry,
        a=keep.a or (not shape.derives_from_carry and _fits(length(xs) * shape.bytes, loops.store)),
    )
    end, found = _run(cell, loops, stored, params, start, xs)
    # What is made of the last carry beside the new one goes through the loop with it: there its
    # derivative shares the products with the weights.
    beside = None
    if keep.h and shape.emits_recurred:
        beside = jax.tree.map(lambda h: jnp.zeros_like(h).sum(0), found.h)

    # Here and not in the block, or every block would do it again.
    way_back = turned(params, start)

    # Without the checkpoint every block's preactivations would be stored after all.
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def block(state: tuple[Carry, Carry], steps: tuple[Any, ...]) -> tuple[Any, Kept]:
        start, d_start = state
        xs, d_xs, after, kept = steps
        before = before_each(start, after)
        # z and a are computed only where a derivative in the loop, or of `update`, asks for them.
        zs = cell.project(params, xs)
        a, d_a = jvp(
            lambda params, xs: cell.recur(params, before, cell.project(params, xs)),
            (params, xs),
            (d_params, d_xs),
        )
        a = a if kept is None else kept
        update = cell.linearize(before, a, after)
        emit = None if beside is None else linearized(cell.emit, after, a)

        # What is added to a product XLA hands to the library that multiplies, for a GPU, and so
        # writes it to memory first, by a kernel of its own at every step. What is subtracted from,
        # it does not; and the opposite of what the opposite of a number gives is the same number.
        signed = _opposite if on_gpu((xs, start)) else _itself

        def move(params: Params, step: tuple[Any, ...], x: tuple[Carry, Any]) -> tuple[Carry, Any]:
            update, emit, carry, z = step
            d_carry, _ = x
            _, d_a = jax.jvp(lambda c: cell.recur(params, c, z), (carry,), (signed(d_carry),))
            d_carry = update(d_carry, signed(d_a))
            return d_carry, emit and emit(d_carry, d_a)

        def drive(update: Any, emit: Any, d_a: Any) -> tuple[Carry, Any]:
            d_carry = update(jax.tree.map(jnp.zeros_like, d_start), d_a)
            return d_carry, emit and emit(d_carry, d_a)

        operator = Operator(move, params, (update, emit, before, zs), way_back)
        driven = jax.vmap(drive)(update, emit, d_a)
        (d_end, _), (d_carries, d_h) = solve(loops.linear, operator, (d_start, beside), driven)
        if keep.h and d_h is None:
            _, d_h = jax.jvp(cell.emit, (after, a), (d_carries, d_a))
        if keep.a:
            d_before = before_each(d_start, d_carries)
            _, d_recurred = jax.jvp(lambda c: cell.recur(params, c, zs), (before,), (d_before,))
            d_a = jax.tree.map(jnp.add, d_a, d_recurred)
        d_kept = Kept(d_carries if keep.carry else None, d_h, d_a if keep.a else None)
        return (after_last(start, after), d_end), d_kept

    states, steps = (start, d_start), (xs, d_xs, found.carry, found.a)
    size = loops.linear.block(xs, shape.bytes)
    (_, d_end), d_kept = scan_blocks(block, size, states, steps)
    h = found.h
    if keep.h and not stored.h:
        h = cell.emit(found.carry, shape.unread_preactivations(length(xs)))
    kept = Kept(found.carry if keep.carry else None, h, found.a if keep.a else None)
    return (end, kept), (d_end, d_kept)


_run.defjvp(_tangent, symbolic_zeros=True)


def _opposite(tree: Any) -> Any:
    return jax.tree.map(jnp.negative, tree)


def _itself(tree: Any) -> Any:
    return tree


def _fits(size: int, store: int) -> bool:
    return not is_symbolic_dim(size) and size <= store


def _check_floating(cell: Recurrence, carry: Carry) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(carry):
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            raise DtypeError(
                f"BPTT: the carry of {cell!r} has {leaf.dtype} at {jax.tree_util.keystr(path)}, "
                "which has no gradient; use method=Scan() for this cell."
            )


def _check_differentiable(shape: Structure) -> None:
    if shape.has_custom_vjp:
        raise StructureError(
            f"BPTT: the step of {shape.cell!r} has a jax.custom_vjp inside, which has no tangent, "
            "and the gradient through time is made of tangents. Define its derivative by "
            "jax.custom_jvp, or by rnn_jax.surrogate; change the cotangent of the carry by "
            "rnn_jax.map_cotangent; or use method=Scan()."
        )
