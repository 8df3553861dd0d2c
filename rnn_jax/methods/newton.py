"""Any cell with all of time at once, where iterations find its orbit."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.export import is_symbolic_dim

from rnn_jax.arguments.settings import above_zero, instance, optional, positive, settle
from rnn_jax.errors import ArgumentError, DtypeError, StructureError
from rnn_jax.methods.blocks import length
from rnn_jax.methods.orbit.jacobian import DiagonalJacobian, FullJacobian, Jacobian
from rnn_jax.methods.orbit.newton import Newton as NewtonOrbit
from rnn_jax.methods.orbit.newton import NewtonReport
from rnn_jax.methods.tangent import Keep, TwoLoops
from rnn_jax.recurrence.recurrence import Carry, Params, Recurrence
from rnn_jax.recurrence.structure import structure


@dataclasses.dataclass(frozen=True)
class Newton:
    """For any cell: the carries of all steps at once by Newton's method, each checked.

    From a guess of all carries the step is linearised at every carry at once, and the linear
    recurrence that this makes is solved in parallel, in about `3 sqrt(T)` steps one after the
    other; its solution moves the guess. A carry counts as found only when it is certified: every
    step up to it maps the carry before to the next one but for rounding, and, with `FullJacobian`,
    neither what is left nor rounding grows beyond the tolerance on the way. What iterations do not
    certify is run step by step from there, so the numbers are always those of a loop. Where the
    network amplifies rounding, as a chaotic one does, they differ from those of `Scan` by amplified
    rounding, as those of any two loops do that round differently. `rnn_jax.analysis.newton_report`
    tells how many iterations it took, and which steps are certified. Derivatives are exact at the
    carries, in every mode and order, and take no iterations.

    When: for long sequences and a carry of few numbers, of a network that forgets: then the
    iterations are few and do not grow with T. A chaotic network, or one at the edge, needs more and
    more of them, and pays for them in vain. It is made for accelerators, where the sources below
    report its speed; here nothing has been measured on one. On two cores of a CPU a `GRU` of 1, 4
    and 16 units was slower over 10,000 steps than by `BPTT`: an iteration works out each step and
    its derivative, and multiplies matrices of n x n for n numbers in the carry. For cells linear in
    their carry `Associative` needs no iterations.

    Cost of an iteration: see `FullJacobian` and `DiagonalJacobian`; a batch takes as many as the
    sequence that takes the most. Memory: that of one block. A reset ends what is amplified, so that
    many short sequences behind one another converge where a long one would not. With
    `map_cotangent` inside, the gradient runs step by step. Sources: Lim et al., ICLR 2024,
    arXiv:2309.12252 (DEER); Gonzalez et al., NeurIPS 2024, arXiv:2407.19115; Danieli et al.,
    ParaRNN, 2025, arXiv:2510.21450; of convergence and the largest Lyapunov exponent: Gonzalez et
    al., NeurIPS 2025, arXiv:2508.16817.

    Raises `ArgumentError` for settings that make no sense and for a number of steps that
    `jax.export` leaves open, `DtypeError` for a carry that is narrower than float32, whose rounding
    is too coarse to certify anything, and `StructureError` for a cell with a `jax.custom_vjp`
    inside and for one that the Jacobian does not suit.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.GRU(3, 4)
    >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((1000, 2, 3))
    >>> _, hs = rnn.unroll(cell, params, xs, method=rnn.Newton())
    >>> _, expected = rnn.unroll(cell, params, xs, method=rnn.Scan())
    >>> bool(jnp.allclose(hs, expected, atol=1e-5))
    True
    """

    jacobian: Jacobian = FullJacobian()
    """What the step is linearised by: `FullJacobian()`, or `DiagonalJacobian()` for more units."""
    tolerance: float | None = None
    """How far a carry may be from the orbit, and how far rounding may move the orbit.

    Relative to the largest number that the carry of its sequence has had. None takes the power 2/3
    of the distance between 1 and the next number: 4e-11 in float64, 2e-5 in float32, so that a
    network may amplify rounding by some hundred thousand and by some hundred. A `DiagonalJacobian`
    knows no such distance, and needs no tolerance.
    """
    iterations: int = 50
    """How many there may be for a block, before the rest of it is run step by step."""
    block: int | None = None
    """How many steps are solved for at once; None takes as many as have about a MiB of
    preactivations, but about 16 at least and 2^14 at most."""

    def __post_init__(self) -> None:
        """Refuse what is no Jacobian, and settings that make no sense."""
        settle(
            self,
            jacobian=instance((FullJacobian, DiagonalJacobian)),
            tolerance=optional(above_zero),
            iterations=positive,
            block=optional(positive),
        )

    def __call__(
        self, cell: Recurrence, params: Params, xs: Any, carry: Carry
    ) -> tuple[Carry, jax.Array]:
        """The orbit by iterations; the tangent of it by one linear recurrence."""
        orbit = self._orbit(cell, params, xs, carry)
        tangents = self.jacobian.tangents(structure(cell, params, carry, xs))
        return TwoLoops(orbit, tangents, store=0)(cell, params, xs, carry)

    def report(
        self, cell: Recurrence, params: Params, xs: Any, carry: Carry
    ) -> tuple[tuple[Carry, jax.Array], NewtonReport]:
        """The same without derivatives, and how each step was found."""
        orbit = self._orbit(cell, params, xs, carry)
        carry, (kept, report) = orbit.run(cell, Keep(h=True), params, carry, xs)
        return (carry, kept.h), report

    def _orbit(self, cell: Recurrence, params: Params, xs: Any, carry: Carry) -> NewtonOrbit:
        steps = length(xs)
        if is_symbolic_dim(steps):
            raise ArgumentError(
                f"Newton: the length of xs is left open, {steps}, and time cannot be cut into "
                "blocks; use BPTT(), or export for one length."
            )
        leaves = jax.tree_util.tree_leaves_with_path(carry)
        if not leaves:
            raise StructureError(
                f"Newton: {cell!r} carries nothing from step to step, so there is nothing to solve "
                "for; use BPTT()."
            )
        for path, leaf in leaves:
            if not jnp.issubdtype(leaf.dtype, jnp.floating) or jnp.finfo(leaf.dtype).bits < 32:
                raise DtypeError(
                    f"Newton: the carry of {cell!r} has {leaf.dtype} at "
                    f"{jax.tree_util.keystr(path)}, and float32 or wider is needed to tell a carry "
                    "that is right from one that is not; use BPTT(), or rnn_jax.wide_carry."
                )
        if structure(cell, params, carry, xs).has_custom_vjp:
            raise StructureError(
                f"Newton: the step of {cell!r} has a jax.custom_vjp inside, which has no tangent; "
                "define its derivative by jax.custom_jvp, or by rnn_jax.surrogate, or use "
                "method=Scan()."
            )
        return NewtonOrbit(self.jacobian, self.tolerance, self.iterations, self.block)
