"""The linear recurrence with all chunks of time at once, where it keeps units apart."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.export import is_symbolic_dim

from rnn_jax.methods.blocks import LONG, length
from rnn_jax.methods.linear.operator import Operator
from rnn_jax.methods.linear.sequential import Sequential
from rnn_jax.recurrence.recurrence import Carry

NUMBERS = 2**12
"""How many numbers a step should work on: fewer leave a core waiting for the next step."""
FEWEST = 16
"""Chunks, or none: fewer do not pay for working each step out twice."""

Advance = Callable[[Any, Carry, Carry], tuple[Carry, Carry]]
"""`(step, v, b) -> (next v, what is emitted)`, affine in v."""


@dataclasses.dataclass(frozen=True)
class Chunked:
    """Two loops of about `T / chunks` steps over all chunks at once, and one over the chunks.

    The first finds what each chunk makes of a carry: the last x from zero, and the product of its
    M. The short loop hands the carries from chunk to chunk; the second runs every chunk from the
    carry that it has then. Nothing is stored but the solution. It takes an M that keeps units
    apart, a block a unit: its product is carried as columns, one for each array of the carry.
    """

    chunks: int | None = None
    """None takes so many that a step works on about 2^12 numbers, but sqrt(T) at most; one, where
    that is fewer than 16."""
    devices: int = 1
    """Over how many time is split: each has as many whole chunks, and hands on what they make."""

    def block(self, xs: Any, size: int) -> int:
        """As many as stay in the cache of a CPU; all, where each device has its own."""
        return LONG.block(length(xs), size) if self.devices == 1 else max(1, length(xs))

    def forward(self, operator: Operator, start: Carry, b: Carry) -> tuple[Carry, Carry]:
        """`x_t = M_t x_{t-1} + b_t`."""

        def advance(step: Any, x: Carry, b: Carry) -> tuple[Carry, Carry]:
            x = jax.tree.map(jnp.add, operator.move(operator.weights, step, x), b)
            return x, x

        return self._run(advance, operator.steps, start, b, reverse=False) or Sequential().forward(
            operator, start, b
        )

    def backward(self, operator: Operator, end: Carry, b: Carry) -> tuple[Carry, Carry]:
        """`y_t = b_t + M_{t+1}^T y_{t+1}`."""

        def advance(step: Any, ct: Carry, b: Carry) -> tuple[Carry, Carry]:
            y = jax.tree.map(jnp.add, ct, b)
            move = jax.linear_transpose(lambda x: operator.move(operator.weights, step, x), y)
            return move(y)[0], y

        return self._run(advance, operator.steps, end, b, reverse=True) or Sequential().backward(
            operator, end, b
        )

    def _run(
        self, advance: Advance, steps: Any, start: Carry, b: Carry, reverse: bool
    ) -> tuple[Carry, Carry] | None:
        """The last v and what every step emitted; None where chunks would not pay."""
        chunks = self._chunks(length(b), start)
        if chunks < 2:
            return None
        size, rest = divmod(length(b), chunks)
        whole = size * chunks

        def all_but_rest(start: Carry, steps: Any, b: Carry) -> tuple[Carry, Carry]:
            steps, b = _apart((steps, b), chunks)
            v, found = _in_chunks(advance, steps, start, b, reverse)
            return v, _joined(found)

        def rest_alone(start: Carry, steps: Any, b: Carry) -> tuple[Carry, Carry]:
            return lax.scan(
                lambda v, at: advance(at[0], v, at[1]), start, (steps, b), reverse=reverse
            )

        head = jax.tree.map(lambda x: x[:whole], (steps, b))
        if not rest:
            return all_but_rest(start, *head)
        tail = jax.tree.map(lambda x: x[whole:], (steps, b))
        if reverse:
            v, last = rest_alone(start, *tail)
            v, first = all_but_rest(v, *head)
        else:
            v, first = all_but_rest(start, *head)
            v, last = rest_alone(v, *tail)
        return v, jax.tree.map(lambda *parts: jnp.concatenate(parts), first, last)

    def _chunks(self, steps: int, start: Carry) -> int:
        """Fewer than 2 where they would not pay, or a size is left open."""
        numbers = sum(leaf.size for leaf in jax.tree.leaves(start))
        if is_symbolic_dim(steps) or is_symbolic_dim(numbers):
            return 1
        own, rest = divmod(steps, self.devices)
        if rest or self.devices == 1:
            wanted = min(NUMBERS // max(1, numbers), math.isqrt(steps))
            return self.chunks or (wanted if wanted >= FEWEST else 1)
        wanted = min(NUMBERS // max(1, numbers), math.isqrt(own))
        if self.chunks:
            wanted = self.chunks // self.devices
        # A chunk that two devices have a part of would have to be gathered.
        return self.devices * max(n for n in range(1, max(1, wanted) + 1) if own % n == 0)


def _in_chunks(
    advance: Advance, steps: Any, start: Carry, b: Carry, reverse: bool
) -> tuple[Carry, Carry]:
    """For steps and b of the form `(T / chunks, chunks, ...)`."""
    chunks = jax.tree.leaves(b)[0].shape[1]
    everywhere = jax.tree.map(lambda c: jnp.broadcast_to(c, (chunks, *c.shape)), start)
    still = jax.tree.map(jnp.zeros_like, everywhere)
    # Column j of the product of the M of a chunk, which is one number a unit and pair of arrays.
    zeros, form = jax.tree.flatten(still)
    columns = [
        jax.tree.unflatten(form, [*zeros[:j], jnp.ones_like(zeros[j]), *zeros[j + 1 :]])
        for j in range(len(zeros))
    ]
    at_all_chunks = jax.vmap(advance)

    def gather(state: tuple[Carry, list[Carry]], at: Any) -> tuple[Any, None]:
        (v, columns), (step, b) = state, at
        columns = [at_all_chunks(step, column, still)[0] for column in columns]
        return (at_all_chunks(step, v, b)[0], columns), None

    (alone, columns), _ = lax.scan(gather, (still, columns), (steps, b), reverse=reverse)

    def hand_over(v: Carry, chunk: Any) -> tuple[Carry, Carry]:
        alone, columns = chunk
        after = alone
        for part, column in zip(jax.tree.leaves(v), columns, strict=True):
            after = jax.tree.map(lambda x, m, part=part: x + m * part, after, column)
        return after, v

    end, starts = lax.scan(hand_over, start, (alone, columns), reverse=reverse)

    def run(v: Carry, at: Any) -> tuple[Carry, Carry]:
        return at_all_chunks(at[0], v, at[1])

    _, found = lax.scan(run, starts, (steps, b), reverse=reverse)
    return end, found


def _apart(tree: Any, chunks: int) -> Any:
    """`(T, ...)` as `(T / chunks, chunks, ...)`: a chunk is a run of steps."""

    def leaf(x: jax.Array) -> jax.Array:
        return jnp.moveaxis(x.reshape(chunks, -1, *x.shape[1:]), 1, 0)

    return jax.tree.map(leaf, tree)


def _joined(tree: Any) -> Any:
    """The other way round."""

    def leaf(x: jax.Array) -> jax.Array:
        return jnp.moveaxis(x, 0, 1).reshape(-1, *x.shape[2:])

    return jax.tree.map(leaf, tree)
