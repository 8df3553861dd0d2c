"""The orbit of a step that is affine in the carry: a linear recurrence itself."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.methods.blocks import before_each, scan_blocks
from rnn_jax.methods.linear.operator import Operator
from rnn_jax.methods.linear.system import Linear
from rnn_jax.methods.tangent import Keep, Kept
from rnn_jax.recurrence.recurrence import Carry, Params, Recurrence
from rnn_jax.recurrence.structure import structure


@dataclasses.dataclass(frozen=True)
class Affine:
    """`c_t = M_t c_{t-1} + b_t` with `b_t` the step from a carry of zeros, by a linear engine."""

    engine: Linear

    def __call__(
        self, cell: Recurrence, keep: Keep, params: Params, start: Carry, xs: Any
    ) -> tuple[Carry, Kept]:
        """The last carry, and of each step what is to be kept."""

        def block(start: Carry, xs: Any) -> tuple[Carry, Kept]:
            zs = cell.project(params, xs)
            nothing = jax.tree.map(jnp.zeros_like, start)

            def at_zero(z: Any) -> Any:
                return jax.linearize(lambda c: cell.update(c, cell.recur(params, c, z)), nothing)

            b, moves = jax.vmap(at_zero)(zs)
            operator = Operator(lambda _, move, x: move(x), (), moves)
            end, carries = self.engine.forward(operator, start, b)
            a = cell.recur(params, before_each(start, carries), zs)
            return end, keep.of(cell, carries, a)

        size = self.engine.block(xs, structure(cell, params, start, xs).bytes)
        return scan_blocks(block, size, start, xs)
