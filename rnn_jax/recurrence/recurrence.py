"""The contract of what goes through time: five functions, and the methods that run them."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
from jax.tree_util import Partial

Params = Any
"""A pytree of arrays: NamedTuples in this library."""
Carry = Any
"""A pytree of arrays of shape `(*batch, ...)`: what one step hands to the next."""


def linearized(f: Callable[..., Any], *points: Any) -> Callable[..., Any]:
    """The tangents of `f` at many points, `(T, *batch, ...)` each, as one function with those axes.

    It is made row by row, so that what it returns knows of no batch: it works for any leading axes,
    as `f` does.
    """
    first, *others = jax.tree.leaves(points)
    axes = 0  # on which all points agree, but for the last
    while axes < first.ndim - 1 and all(
        leaf.shape[axes : axes + 1] == first.shape[axes : axes + 1] for leaf in others
    ):
        axes += 1
    tangents = _over_rows(lambda *point: jax.linearize(f, *point)[1], axes)(*points)
    return Partial(_ByRow(first.ndim - axes), tangents)


@dataclasses.dataclass(frozen=True)
class _ByRow:
    """Calls a function of a row for rows of any leading axes."""

    ndim: int
    """How many axes the first of its arguments has in a row."""

    def __call__(self, of_a_row: Callable[..., Any], *arguments: Any) -> Any:
        axes = jax.tree.leaves(arguments)[0].ndim - self.ndim
        return _over_rows(lambda f, *row: f(*row), axes)(of_a_row, *arguments)


def _over_rows(f: Callable[..., Any], axes: int) -> Callable[..., Any]:
    for _ in range(axes):
        f = jax.vmap(f)
    return f


class Recurrence(abc.ABC):
    """What a method runs: a step in two parts, and the functions before and behind it.

    ============ ================================= ============================================
    part         function                          law
    ============ ================================= ============================================
    before time  `project(params, xs) -> zs`       works for any leading axes
    in the loop  `recur(params, carry, z) -> a`    every weight of the loop; any leading axes
    in the loop  `update(carry, a) -> carry`       arithmetic without params
    in the loop  `emit(carry, a) -> h`             arithmetic without params, of the new carry
    derivative   `linearize(carries, a, after)`    the tangent of `update` at many steps at once
    to start     `guess(xs)`                       carries near those of all steps, or None
    ============ ================================= ============================================

    A step is `a = recur(params, carry, z)`, `carry = update(carry, a)`, `h = emit(carry, a)`. The
    first five are pure and can be differentiated by `jax.jvp`: a `jax.custom_vjp` inside is for
    `Scan` alone.
    """

    copies: int = 1
    """How many of it a method runs at once, as under `jax.vmap`, which it is traced without."""

    @abc.abstractmethod
    def project(self, params: Params, xs: Any) -> Any:
        """What each step needs of its input, for any leading axes: `(..., *input) -> (..., Z)`."""

    @abc.abstractmethod
    def recur(self, params: Params, carry: Carry, z: Any) -> Any:
        """The preactivations `a` of a step, for any leading axes; linear in carry where it can."""

    @abc.abstractmethod
    def update(self, carry: Carry, a: Any) -> Carry:
        """The next carry from the last one and the preactivations: no params."""

    @abc.abstractmethod
    def emit(self, carry: Carry, a: Any) -> Any:
        """The hidden state h of a step, from the carry that it made and its preactivations.

        An array, or a pytree of which a cell's `readout` makes one.
        """

    def linearize(self, carries: Carry, a: Any, after: Carry) -> Callable[[Carry, Any], Carry]:
        """The tangent of `update` at every step of a block: `(d_carry, d_a) -> d_carry_next`.

        `carries`, `a` and `after` have a leading axis of steps; so has every leaf of the
        returned pytree of local derivatives, which the loop over steps slices. Override it
        where the derivatives follow from `after` alone: then `a` is never computed again.
        """
        del after
        return linearized(self.update, carries, a)

    def guess(self, xs: Any) -> Carry | None:
        """Where iterations over the carries of all steps start, `(T, *batch, ...)`.

        It moves no number of a result. None, the default: at the carry before the first step.
        """
        del xs
        return None

    def step(self, params: Params, carry: Carry, z: Any) -> tuple[Carry, jax.Array]:
        """One step: `recur`, `update`, `emit`."""
        a = self.recur(params, carry, z)
        carry = self.update(carry, a)
        return carry, self.emit(carry, a)


class Method(Protocol):
    """A way through time, as a value: `Scan()`, `BPTT(chunk=16)`.

    Any function of these four arguments is one. It need know nothing of padding, resets or noise:
    they are in the recurrence, the params and the inputs that it is given.
    """

    def __call__(
        self, cell: Recurrence, params: Params, xs: Any, carry: Carry
    ) -> tuple[Carry, jax.Array]:
        """Run `cell` over `xs`, a pytree of `(T, *batch, ...)`: the last carry and every h."""


@runtime_checkable
class TimeSplit(Protocol):
    """What a method has that can do with a part of time on each device."""

    def over_devices(self, devices: int) -> Method:
        """The method where time is split evenly over so many devices."""
