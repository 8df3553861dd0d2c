"""What Newton's method does over a sequence: how often it iterates, and how far it gets."""

import functools
from typing import Any

import jax

from rnn_jax.analysis.arguments import Marks, Sequences, sequences
from rnn_jax.arguments.settings import instance
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.errors import StructureError
from rnn_jax.methods.newton import Newton
from rnn_jax.methods.orbit.newton import NewtonReport
from rnn_jax.recurrence.recurrence import Recurrence
from rnn_jax.recurrence.steps import Steps


def newton_report(
    cell: Cell,
    params: Params,
    xs: Any,
    carry: Carry | None = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    reset: Any = None,
    method: Newton = Newton(),
) -> tuple[NewtonReport, ...]:
    """How `unroll` with `method=Newton(...)` finds the carries: one report for each layer.

    A step that is not certified was run one after the other, as a loop does, so
    `(~report.certified).sum()` is how many were. A batch is certified as one: where all of its
    sequences are.

    Shapes: as for `unroll`; how a step was found is `(T,)`, and the steps of a report are in the
    order in which its layer runs. Cost: that of `unroll`, and all carries are kept.

    Raises what `unroll` raises, `ShapeError` for xs without steps, and `StructureError` for a
    cell that carries nothing and for a method that is no `Newton`.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.GRU(3, 4)
    >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((1000, 2, 3))
    >>> (report,) = rnn.analysis.newton_report(cell, params, xs)
    >>> bool(report.certified.all()), bool(report.iterations.max() < 10)
    (True, True)
    """
    method = instance(Newton)("newton_report: method", method)
    marks = Marks(lengths, mask, reset)
    return _reports(cell, method, sequences("newton_report", cell, params, xs, carry, marks))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _reports(cell: Cell, method: Newton, given: Sequences) -> tuple[NewtonReport, ...]:
    reports = []

    def recording(
        cell: Recurrence, params: Params, xs: Any, carry: Carry
    ) -> tuple[Carry, jax.Array]:
        if cell.copies > 1:
            raise StructureError(
                f"newton_report: each of the {cell.copies} heads of {cell!r} has iterations of its "
                "own; ask for the report of one."
            )
        outcome, report = method.report(cell, params, xs, carry)
        reports.append(report)
        return outcome

    initial = None
    if given.reset is not None:
        initial = cell.initial_carry(given.params, given.reset.shape[1:])
    steps = Steps(given.happens, given.reset, initial)
    cell.unroll(given.params, given.xs, given.carry, steps, recording)
    return tuple(reports)
