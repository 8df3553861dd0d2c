"""Padding and resets: a cell that reads, with each input, whether the step happens and starts anew.

Every method handles them by running this cell instead of the one it was given.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.tree_util import Partial

from rnn_jax.cell import Carry, Cell, Params, SplitCell
from rnn_jax.combinators.wrapper import WrappedCell, WrappedSplitCell
from rnn_jax.recurrence.steps import Steps, select


def marked(cell: Cell, params: Params, xs: Any, steps: Steps) -> tuple[Cell, Params, Any]:
    """What a method runs: the cell, params and inputs themselves where all steps simply happen."""
    if steps.valid is None and steps.reset is None:
        return cell, params, xs
    kind = MarkedSplitCell if isinstance(cell, SplitCell) else MarkedCell
    return kind(cell), _Params(params, steps.initial), _Marked(xs, steps.valid, steps.reset)


class _Params(NamedTuple):
    params: Params
    initial: Carry | None


class _Marked(NamedTuple):
    """An input of a step, or what the cell makes of it, between its marks."""

    value: Any
    valid: jax.Array | None
    reset: jax.Array | None


@dataclasses.dataclass(frozen=True)
class MarkedCell(WrappedCell):
    """A cell with marks whose step does not split."""

    def project(self, params: _Params, xs: _Marked) -> _Marked:
        return xs._replace(value=self.layer.project(params.params, xs.value))

    def step(self, params: _Params, carry: Carry, z: _Marked) -> tuple[Carry, jax.Array]:
        start = select(z.reset, params.initial, carry)
        after, h = self.layer.step(params.params, start, z.value)
        return (after if z.valid is None else select(z.valid, after, start)), h


class _Preactivations(NamedTuple):
    a: Any
    start: Carry | None
    """The carry after a reset: it may depend on params, so it is `recur` that hands it over."""
    valid: jax.Array | None
    """1.0 or 0.0: whatever `recur` returns has a tangent."""


@dataclasses.dataclass(frozen=True)
class MarkedSplitCell(WrappedSplitCell):
    """A split cell with marks, as split as before."""

    def project(self, params: _Params, xs: _Marked) -> _Marked:
        return xs._replace(value=self.layer.project(params.params, xs.value))

    def recur(self, params: _Params, carry: Carry, z: _Marked) -> _Preactivations:
        start = select(z.reset, params.initial, carry)
        dtype = jax.tree.leaves(carry)[0].dtype
        return _Preactivations(
            a=self.layer.recur(params.params, start, z.value),
            start=None if z.reset is None else start,
            valid=None if z.valid is None else z.valid.astype(dtype),
        )

    def update(self, carry: Carry, a: _Preactivations) -> Carry:
        start = carry if a.start is None else a.start
        after = self.layer.update(start, a.a)
        return after if a.valid is None else select(a.valid > 0, after, start)

    def linearize(
        self, carries: Carry, a: _Preactivations, after: Carry
    ) -> Callable[[Carry, _Preactivations], Carry]:
        start = carries if a.start is None else a.start
        update = self.layer.linearize(start, a.a, after)
        return Partial(_tangent, update, None if a.valid is None else a.valid > 0)


def _tangent(
    update: Callable[[Carry, Any], Carry],
    valid: jax.Array | None,
    d_carry: Carry,
    d_a: _Preactivations,
) -> Carry:
    d_start = d_carry if d_a.start is None else d_a.start
    d_after = update(d_start, d_a.a)
    return d_after if valid is None else select(valid, d_after, d_start)
