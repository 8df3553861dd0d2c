"""By which matrices the orbit is linearised around a guess: the derivative, or a part of it."""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from rnn_jax.arguments.settings import optional, positive, settle
from rnn_jax.errors import StructureError
from rnn_jax.methods.linear.chunked import Chunked
from rnn_jax.methods.linear.dense import Dense
from rnn_jax.methods.linear.operator import Operator
from rnn_jax.methods.linear.sequential import Sequential
from rnn_jax.methods.linear.system import Linear
from rnn_jax.recurrence.recurrence import Carry, Params, Recurrence
from rnn_jax.recurrence.structure import Structure

Update = Callable[[Carry, Any], Carry]
"""What `Recurrence.linearize` returns."""


class Jacobian(Protocol):
    """What `Newton` solves its linear recurrences with."""

    def is_exact(self, shape: Structure) -> bool:
        """Whether the matrices are the derivatives of the step; raises where there are none."""

    def engine(self) -> Linear:
        """Who solves the linear recurrences of the iterations."""

    def tangents(self, shape: Structure) -> Linear:
        """Who solves that of the tangents, whose matrices are always the derivatives."""

    def operator(
        self, cell: Recurrence, params: Params, before: Carry, zs: Any, update: Update
    ) -> Operator:
        """The matrices at all steps from `before`, where `update` has these tangents."""


@dataclasses.dataclass(frozen=True)
class FullJacobian:
    """The whole derivative of each step, a matrix for each sequence: for small carries.

    With n numbers in the carry of a sequence, an iteration costs `n^3` operations and `n^2` numbers
    of memory a step and sequence, beside one step of the cell and n tangents of it. Few iterations
    are needed, for each doubles the digits that are right.

    Raises `ArgumentError` for a `chunks` that is not a positive integer.
    """

    chunks: int | None = None
    """In how many chunks of time at once; None takes the root of the steps of a block."""

    def __post_init__(self) -> None:
        """Refuse a number of chunks that is none."""
        settle(self, chunks=optional(positive))

    def is_exact(self, shape: Structure) -> bool:
        """Always."""
        del shape
        return True

    def engine(self) -> Linear:
        """Matrices."""
        return Dense(self.chunks)

    def tangents(self, shape: Structure) -> Linear:
        """The same matrices."""
        del shape
        return Dense(self.chunks)

    def operator(
        self, cell: Recurrence, params: Params, before: Carry, zs: Any, update: Update
    ) -> Operator:
        """The tangent of the step."""

        def move(params: Params, step: Any, d_carry: Carry) -> Carry:
            update, carry, z = step
            _, d_a = jax.jvp(lambda c: cell.recur(params, c, z), (carry,), (d_carry,))
            return update(d_carry, d_a)

        return Operator(move, params, (update, before, zs))


@dataclasses.dataclass(frozen=True)
class DiagonalJacobian:
    """The part of the derivative that keeps units apart: a number a unit, of an LSTM a 2 x 2 block.

    For cells that split into a `recur` that is affine in the carry and an `update` unit by unit,
    such as `Elman`, `GRU` and `LSTM`. There the derivative is one constant matrix between pointwise
    factors, so that its diagonal costs a few pointwise operations a step; only with `reset` is the
    diagonal of that matrix looked up at every step, for the price of n steps. An iteration costs
    little more than a step of the cell, but many are needed, for each gains a constant factor at
    best, and the less the more the units depend on one another.

    Derivatives are those of the whole step nevertheless. Their linear recurrence is run in
    parallel where the cell itself keeps units apart, and otherwise step by step, as by `BPTT`.
    Source: Gonzalez et al., NeurIPS 2024, arXiv:2407.19115 (quasi-DEER); by blocks of a unit:
    Danieli et al., ParaRNN, 2025, arXiv:2510.21450.

    Raises `ArgumentError` for a `chunks` that is not a positive integer, and, when it is used,
    `StructureError` for a cell that does not split so.
    """

    chunks: int | None = None
    """In how many chunks of time at once; None as in `Associative`."""

    def __post_init__(self) -> None:
        """Refuse a number of chunks that is none."""
        settle(self, chunks=optional(positive))

    def is_exact(self, shape: Structure) -> bool:
        """Only if there is nothing else in the derivative."""
        if not (shape.recur_is_affine and shape.update_is_unitwise):
            what = "`recur` is not affine in the carry"
            if shape.recur_is_affine:
                what = "`update` mixes units"
            raise StructureError(
                f"DiagonalJacobian: {what} in the step of {shape.cell!r}, so that the diagonal of "
                "its derivative costs as much as the whole; use Newton(FullJacobian()) for a small "
                "carry, or BPTT()."
            )
        return shape.is_unitwise

    def engine(self) -> Linear:
        """Unit by unit."""
        return Chunked(self.chunks)

    def tangents(self, shape: Structure) -> Linear:
        """Unit by unit if that is all there is, and else step by step."""
        return self.engine() if shape.is_unitwise and not shape.emits_recurred else Sequential()

    def operator(
        self, cell: Recurrence, params: Params, before: Carry, zs: Any, update: Update
    ) -> Operator:
        """Block by block, a block a unit: one column for each array of the carry."""
        leaves, form = jax.tree.flatten(before)
        one = jax.tree.map(lambda c: jnp.zeros(c.shape[1:], c.dtype), before)
        columns = []
        for i in range(len(leaves)):
            d_a = jax.vmap(lambda z, i=i: _diagonal(cell, params, one, z, i))(zs)
            units = [jnp.full_like(leaf, j == i) for j, leaf in enumerate(leaves)]
            d_carry = jax.tree.unflatten(form, units)
            columns.append(jax.vmap(lambda update, *x: update(*x))(update, d_carry, d_a))

        def move(_: Any, columns: list[Carry], x: Carry) -> Carry:
            parts = zip(jax.tree.leaves(x), columns, strict=True)
            moved = [jax.tree.map(lambda m, part=part: m * part, column) for part, column in parts]
            return jax.tree.map(lambda *terms: sum(terms[1:], terms[0]), *moved)

        return Operator(move, (), columns)


def _diagonal(cell: Recurrence, params: Params, carry: Carry, z: Any, which: int) -> Any:
    """What each preactivation has from the same unit of one array of the carry, per unit of it.

    Where it is the same for every z, `jax.vmap` works it out once for all of them.
    """
    leaves, form = jax.tree.flatten(carry)
    units = leaves[which].shape[-1]

    def along(one: jax.Array) -> Any:
        directions = [
            jnp.broadcast_to(one, leaf.shape) if i == which else jnp.zeros_like(leaf)
            for i, leaf in enumerate(leaves)
        ]
        tangents = jax.tree.unflatten(form, directions)
        return jax.jvp(lambda c: cell.recur(params, c, z), (carry,), (tangents,))[1]

    rows = jax.vmap(along)(jnp.eye(units, dtype=leaves[which].dtype))

    def of_each_unit(rows: jax.Array) -> jax.Array:
        if rows.ndim <= leaves[which].ndim:  # a mark of each sequence: no unit has a part in it
            return jnp.zeros_like(rows[0])
        return jnp.diagonal(rows, axis1=0, axis2=-1)

    return jax.tree.map(of_each_unit, rows)
