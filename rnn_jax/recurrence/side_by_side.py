"""Several of one recurrence next to one another: what a method sees of each, under `jax.vmap`."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from rnn_jax.recurrence.recurrence import Carry, Method, Params, Recurrence


@dataclasses.dataclass(frozen=True)
class SideBySide:
    """A method for one of so many recurrences, which it knows to be so many."""

    method: Method
    copies: int

    def __call__(
        self, cell: Recurrence, params: Params, xs: Any, carry: Carry
    ) -> tuple[Carry, jax.Array]:
        """Run one of them."""
        return self.method(_OneOf(cell, self.copies), params, xs, carry)


@dataclasses.dataclass(frozen=True, repr=False)
class _OneOf(Recurrence):
    inside: Recurrence
    copies: int

    def __repr__(self) -> str:
        """Errors are about the cell of the user."""
        return repr(self.inside)

    def project(self, params: Params, xs: Any) -> Any:
        return self.inside.project(params, xs)

    def recur(self, params: Params, carry: Carry, z: Any) -> Any:
        return self.inside.recur(params, carry, z)

    def update(self, carry: Carry, a: Any) -> Carry:
        return self.inside.update(carry, a)

    def emit(self, carry: Carry, a: Any) -> Any:
        return self.inside.emit(carry, a)

    def linearize(self, carries: Carry, a: Any, after: Carry) -> Callable[[Carry, Any], Carry]:
        return self.inside.linearize(carries, a, after)

    def guess(self, xs: Any) -> Carry | None:
        return self.inside.guess(xs)
