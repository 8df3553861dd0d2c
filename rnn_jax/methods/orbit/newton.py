"""The orbit of all steps at once, by Newton's method, with a certificate.

From a guess c of all carries the step f is linearised at every carry at once. What the guess is
wrong by is, to first order, the solution of the linear recurrence `d_t = M_t d_{t-1} + r_t` with
the residual `r_t = f_t(c_{t-1}) - c_t`; the guess is moved by it. If the first s carries are right,
so are s + 1 after the next iteration, whatever M is; and far more where M is the derivative.

**What is certified.** Two questions are asked of a guess at every step.

Is it an orbit? Each residual, number by number, must be as small as rounding makes it: no larger
than what some units in the last place of the result, of the preactivations and of each product
that they are sums of would make. Such carries are those of a loop whose steps are rounded a little
more, and no loop can claim more than to round. It does not matter what M was: one that is not the
derivative, such as its diagonal, or the slope of a surrogate, costs iterations and never a digit.
A residual that is merely small would not do: a network that amplifies a million times what rounding
leaves does the same to the residual.

Is it the only one? With the exact derivative the next move d is, to first order, the distance to
the orbit of the step as it is computed here, with all that is amplified on the way; and the same
recurrence, driven by the rounding of each step with signs drawn at random, is the distance to an
orbit that is rounded otherwise. Relative to the largest number that the carry of the sequence has
had in the block, both must be below the tolerance. Where they are not, arithmetic of this width
does not determine the carries so well: those of a loop are as good as any, and they are what a
user expects. An approximate M cannot answer this, for it leaves out what is
amplified from unit to unit. Nor can it be read from how fast successive moves shrink: what is
amplified over t steps shows up only after as many iterations. So with an approximate M the first
question has to do: the carries differ from those of a loop by what two loops differ that round
otherwise, which in a chaotic network is everything after a while.

**What is not certified** when the iterations are used up, or when only that is left which rounding
decides, is run step by step, from the last of the certified carries. No other number is in the
result. Where a guess overflows, what the step makes of the guess before is put in its place; where
the orbit itself does, nothing from there on is certified, and the loop gives what it gives.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnn_jax.methods.blocks import before_each, length, scan_blocks
from rnn_jax.methods.orbit.jacobian import Jacobian
from rnn_jax.methods.tangent import Keep, Kept
from rnn_jax.recurrence.recurrence import Carry, Params, Recurrence
from rnn_jax.recurrence.steps import select
from rnn_jax.recurrence.structure import structure

ROUNDINGS = 32
"""How many units in the last place of its parts, on average, a residual may have."""
PROBES = 4
"""How often it is asked how large the parts of a step are."""


class NewtonReport(NamedTuple):
    """How each step was found."""

    iterations: jax.Array
    """`(T,)`: iterations of its block."""
    certified: jax.Array
    """`(T,)`: whether its carry is certified; the others were run step by step."""
    carries: Carry
    """The carry that it made, `(T, *batch, ...)`: what `guided` may start from the next time."""


class Search(NamedTuple):
    """Where the iterations of a block stand."""

    iterations: jax.Array
    """How many there were."""
    certified: jax.Array
    """How many steps from the first on are certified, of the carries that were looked at."""
    carries: Carry
    """These, `(T, *batch, H)`."""
    determined: jax.Array
    """How many steps there are before rounding grows beyond the tolerance."""
    ahead: Carry
    """The next to look at."""


@dataclasses.dataclass(frozen=True)
class Newton:
    """In blocks of time, each from the last carry of the one before."""

    jacobian: Jacobian
    tolerance: float | None
    iterations: int
    block: int | None

    def __call__(
        self, cell: Recurrence, keep: Keep, params: Params, start: Carry, xs: Any
    ) -> tuple[Carry, Kept]:
        """The last carry, and of each step what is to be kept."""
        end, (kept, _) = self.run(cell, keep, params, start, xs)
        return end, kept

    def run(
        self, cell: Recurrence, keep: Keep, params: Params, start: Carry, xs: Any
    ) -> tuple[Carry, tuple[Kept, NewtonReport]]:
        """The same, and how each step was found."""
        shape = structure(cell, params, start, xs)
        is_exact, engine = self.jacobian.is_exact(shape), self.jacobian.engine()
        epsilon = max(float(jnp.finfo(leaf.dtype).eps) for leaf in jax.tree.leaves(start))
        tolerance = epsilon ** (2 / 3) if self.tolerance is None else self.tolerance

        def block(start: Carry, xs: Any) -> tuple[Carry, tuple[Kept, NewtonReport]]:
            zs, steps = cell.project(params, xs), length(xs)
            times = jnp.arange(steps)
            # Numbers of steps, which differ where each device has its own part of the batch.
            none = jnp.zeros_like(_largest(start)).sum().astype(times.dtype)
            all_steps = none + steps

            def preactivations(before: Carry) -> Any:
                return cell.recur(params, before, zs)

            def first(wrong: jax.Array) -> jax.Array:
                """Before which step all is well, in all sequences."""
                wrong = wrong.any(tuple(range(1, wrong.ndim)))
                return jnp.min(times, where=wrong, initial=steps)

            def improve(state: Search) -> Search:
                carries = state.ahead
                before = before_each(start, carries)
                a, recur = jax.linearize(preactivations, before)
                after = jax.vmap(cell.update)(before, a)
                update = cell.linearize(before, a, after)
                residual = jax.tree.map(jnp.subtract, after, carries)
                parts = _parts(recur, update, before, a, after)
                certified, determined = first(~_within(residual, parts)), all_steps
                operator = self.jacobian.operator(cell, params, before, zs, update)

                def response(driven: Carry) -> Carry:
                    still = jax.tree.map(jnp.zeros_like, start)
                    return engine.forward(operator, still, driven)[1]

                if is_exact:
                    both = jax.tree.map(
                        lambda r, s, p: jnp.stack([r, s * p]), residual, rounded, parts
                    )
                    distances = jax.vmap(response)(both)
                    scale = lax.cummax(jnp.maximum(_largest(start)[None], _largest(after)), axis=0)
                    near = _largest(distances) <= tolerance * scale[None]
                    determined = first(~near[1])
                    certified = jnp.minimum(certified, first(~near.all(0)))
                    move = jax.tree.map(lambda d: d[0], distances)
                else:
                    # What is certified stays, or the noise of it would never let the rest settle.
                    nothing = jax.tree.map(jnp.zeros_like, residual)
                    move = response(select(times < certified, nothing, residual))

                def moved(c: jax.Array, move: jax.Array, after: jax.Array) -> jax.Array:
                    there = c + move
                    return jnp.where(jnp.isfinite(there), there, after)

                ahead = jax.tree.map(moved, carries, move, after)
                return Search(state.iterations + 1, certified, carries, determined, ahead)

            def go_on(state: Search) -> jax.Array:
                # What rounding decides no iteration can.
                more = state.certified < state.determined
                return (state.iterations < self.iterations) & more

            def sign(c: jax.Array) -> jax.Array:
                signs = jax.random.rademacher(jax.random.key(0), c.shape, c.dtype)
                return float(jnp.finfo(c.dtype).eps) * signs

            guess = jax.tree.map(lambda c: jnp.broadcast_to(c, (steps, *c.shape)), start)
            near = cell.guess(xs)
            if near is not None:
                guess = jax.tree.map(lambda n, c: jnp.where(jnp.isfinite(n), n, c), near, guess)
            rounded = jax.tree.map(sign, guess)
            search = Search(jnp.zeros_like(none), none, guess, all_steps, guess)
            search = lax.while_loop(go_on, improve, search)
            certified, carries = search.certified, search.carries

            def one_step(t: jax.Array, state: tuple[Carry, Carry]) -> tuple[Carry, Carry]:
                carry, carries = state
                z = jax.tree.map(lambda z: z[t], zs)
                carry = cell.update(carry, cell.recur(params, carry, z))
                return carry, jax.tree.map(lambda cs, c: cs.at[t].set(c), carries, carry)

            last = jax.tree.map(
                lambda c, cs: jnp.concatenate([c[None], cs])[certified], start, carries
            )
            end = last
            if steps:
                end, carries = lax.fori_loop(certified, steps, one_step, (last, carries))
            kept = keep.of(cell, carries, preactivations(before_each(start, carries)))
            report = NewtonReport(jnp.full(steps, search.iterations), times < certified, carries)
            return end, (kept, report)

        size = self.block or engine.block(xs, shape.bytes)
        return scan_blocks(block, size, start, xs)


def _within(residual: Carry, parts: Carry) -> jax.Array:
    """Whether it is rounding, `(T, *batch)`."""

    def leaf(residual: jax.Array, parts: jax.Array) -> jax.Array:
        roundings = ROUNDINGS * float(jnp.finfo(parts.dtype).eps)
        # What overflows is no rounding, though infinity is not larger than itself.
        return ((jnp.abs(residual) <= roundings * parts) & jnp.isfinite(parts)).all(-1)

    return functools.reduce(jnp.logical_and, jax.tree.leaves(jax.tree.map(leaf, residual, parts)))


def _parts(
    recur: Callable[[Carry], Any],
    update: Callable[[Carry, Any], Carry],
    before: Carry,
    a: Any,
    after: Carry,
) -> Carry:
    """How large the numbers are that each number of a carry is made of, at all steps.

    These are the result, the preactivations, and all products that they are sums of, each by what
    it moves. They are asked for by signs drawn at random, which may cancel, so it is never more
    than their sum. `recur` is the tangent of the preactivations.
    """
    rng = np.random.default_rng(0)
    sizes = jax.tree.map(jnp.abs, after)

    def with_signs(x: jax.Array) -> jax.Array:
        return x * rng.choice([-1, 1], (1,) * (x.ndim - 1) + x.shape[-1:]).astype(x.dtype)

    for _ in range(PROBES):
        d_carry, d_a = jax.tree.map(with_signs, (before, a))
        d_a = jax.tree.map(jnp.add, d_a, recur(d_carry))
        moved = jax.vmap(lambda update, *tangents: update(*tangents))(update, d_carry, d_a)
        sizes = jax.tree.map(lambda size, d: size + jnp.abs(d), sizes, moved)
    return jax.tree.map(lambda size: size / (1 + PROBES), sizes)


def _largest(carry: Carry) -> jax.Array:
    """Of all numbers of the carry of each sequence."""
    sizes = [jnp.abs(leaf).max(-1).astype(float) for leaf in jax.tree.leaves(carry)]
    return functools.reduce(jnp.maximum, sizes)
