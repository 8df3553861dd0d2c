"""Fewer carries kept, the others computed again."""

import dataclasses
import functools
import math
from typing import Any

import jax
from jax.export import is_symbolic_dim

from rnn_jax.arguments.settings import integer, one_method, settle
from rnn_jax.errors import ArgumentError
from rnn_jax.methods.blocks import length, scan_blocks
from rnn_jax.recurrence.recurrence import Carry, Method, Params, Recurrence

BRANCHES = 8
"""How many stretches of a level make one of the next, where the levels are nested."""
INNERMOST = 128
"""How many steps the shortest stretch has at most, where the levels are nested."""


@dataclasses.dataclass(frozen=True)
class Checkpointed:
    """A method that keeps only some carries for the gradient: `Checkpointed(BPTT(), every=100)`.

    Time is cut into stretches. The gradient keeps the carry before each, and runs a stretch again,
    by the method inside, when its turn comes: one more forward pass. What the cell emits is stored
    as ever, where the loss reads it. Memory: with `every=k` T/k + k carries, and of a method that
    stores more, such as `BPTT`, that of one stretch. Sources: Chen et al., 2016, arXiv:1604.06174;
    Griewank, Optimization Methods and Software 1, 1992.

    Raises `ArgumentError` for an `every` that is none of these, for what is no method, and for a
    number of steps that `jax.export` leaves open.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell, method = rnn.GRU(3, 4), rnn.Checkpointed(rnn.BPTT(), every="sqrt")
    >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((100, 2, 3))
    >>> loss = lambda params: rnn.unroll(cell, params, xs, method=method)[1].sum()
    >>> jax.grad(loss)(params).w_hh.shape
    (4, 12)
    """

    method: Method
    """Runs each stretch."""
    every: int | str = "sqrt"
    """How many steps a stretch has.

    An integer; "sqrt" for the root of T, with which the fewest carries are kept at one level; or
    "log" for nested stretches: 8 carries at each of about `log_8(T / 128)` levels, for one more
    forward pass a level.
    """

    def __post_init__(self) -> None:
        """Refuse what is no method, and no way to cut time."""
        settle(self, method=one_method, every=_every)

    def __call__(
        self, cell: Recurrence, params: Params, xs: Any, carry: Carry
    ) -> tuple[Carry, jax.Array]:
        """The method inside, a stretch at a time."""

        def run(carry: Carry, xs: Any) -> tuple[Carry, jax.Array]:
            return self.method(cell, params, xs, carry)

        for stretch in self._stretches(length(xs)):
            run = functools.partial(scan_blocks, jax.checkpoint(run), stretch)
        return run(carry, xs)

    def _stretches(self, steps: int) -> list[int]:
        """How many steps lie between the carries that are kept, level by level, from within."""
        if is_symbolic_dim(steps):
            raise ArgumentError(
                f"Checkpointed: every={self.every!r} needs a number of steps, but the length of "
                f"xs is left open, {steps}; use the method inside, or export for one length."
            )
        if self.every == "sqrt":
            return [max(1, math.isqrt(steps))]
        if self.every == "log":
            levels = []
            while steps > INNERMOST:
                steps = -(-steps // BRANCHES)
                levels.append(steps)
            return levels[::-1]
        return [int(self.every)]


def _every(name: str, value: Any) -> int | str:
    if isinstance(value, str) and value in ("sqrt", "log"):
        return value
    steps = integer(value)
    if steps is not None and steps >= 1:
        return steps
    raise ArgumentError(f'{name} must be a positive integer, "sqrt" or "log", got {value!r}.')
