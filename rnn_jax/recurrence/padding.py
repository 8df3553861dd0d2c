"""Padding and resets: a recurrence that reads with each input whether its step happens.

So no method knows of either.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.tree_util import Partial

from rnn_jax.recurrence.recurrence import Carry, Params, Recurrence
from rnn_jax.recurrence.steps import Steps, select


def padded(
    cell: Recurrence, params: Params, xs: Any, steps: Steps
) -> tuple[Recurrence, Params, Any]:
    """What a method runs: the cell, params and inputs themselves where all steps simply happen."""
    if steps.valid is None and steps.reset is None:
        return cell, params, xs
    marks = _Marked(xs, steps.valid, steps.reset)
    return Padded(cell), _Params(params, steps.initial), marks


class _Params(NamedTuple):
    params: Params
    initial: Carry | None
    """Here, and not a constant, so that a gradient finds one that is learned."""


class _Marked(NamedTuple):
    """An input of a step, or what the cell makes of it, beside its marks."""

    value: Any
    valid: jax.Array | None
    reset: jax.Array | None


class _Preactivations(NamedTuple):
    a: Any
    start: Carry | None
    """The carry after a reset: it may depend on params, so it is `recur` that hands it over."""
    valid: jax.Array | None
    """1.0 or 0.0: whatever `recur` returns has a tangent."""


@dataclasses.dataclass(frozen=True, repr=False)
class Padded(Recurrence):
    """A recurrence with marks: before a step the initial carry is selected, after it the old."""

    inside: Recurrence

    def __repr__(self) -> str:
        """Errors are about the cell of the user."""
        return repr(self.inside)

    def project(self, params: _Params, xs: _Marked) -> _Marked:
        return xs._replace(value=self.inside.project(params.params, xs.value))

    def recur(self, params: _Params, carry: Carry, z: _Marked) -> _Preactivations:
        start = select(z.reset, params.initial, carry)
        dtype = jax.tree.leaves(carry)[0].dtype
        return _Preactivations(
            a=self.inside.recur(params.params, start, z.value),
            start=None if z.reset is None else start,
            valid=None if z.valid is None else z.valid.astype(dtype),
        )

    def update(self, carry: Carry, a: _Preactivations) -> Carry:
        start = carry if a.start is None else a.start
        after = self.inside.update(start, a.a)
        return after if a.valid is None else select(a.valid > 0, after, start)

    def emit(self, carry: Carry, a: _Preactivations) -> Any:
        return self.inside.emit(carry, a.a)

    def linearize(
        self, carries: Carry, a: _Preactivations, after: Carry
    ) -> Callable[[Carry, _Preactivations], Carry]:
        start = carries if a.start is None else a.start
        update = self.inside.linearize(start, a.a, after)
        return Partial(_tangent, update, None if a.valid is None else a.valid > 0)

    def guess(self, xs: _Marked) -> Carry | None:
        return self.inside.guess(xs.value)


def _tangent(
    update: Callable[[Carry, Any], Carry],
    valid: jax.Array | None,
    d_carry: Carry,
    d_a: _Preactivations,
) -> Carry:
    d_start = d_carry if d_a.start is None else d_a.start
    d_after = update(d_start, d_a.a)
    return d_after if valid is None else select(valid, d_after, d_start)
