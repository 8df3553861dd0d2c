"""What is known of a recurrence's structure, read from the programs of its own functions.

Nothing is declared, so nothing is lost where a cell is wrapped or padded, and no cell of a user's
own has to say anything. What the programs do not show counts as not so.
"""

import dataclasses
from collections.abc import Callable
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.recurrence.cotangent import NAME
from rnn_jax.recurrence.dependence import contains, depends, is_unitwise
from rnn_jax.recurrence.recurrence import Carry, Params, Recurrence


def structure(cell: Recurrence, params: Params, carry: Carry, xs: Any) -> "Structure":
    """That of a recurrence with these params, this carry and `xs` `(T, *batch, ...)`."""
    x = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), xs)
    params, carry = jax.eval_shape(lambda *same: same, params, carry)
    z = jax.eval_shape(cell.project, params, x)
    return Structure(cell, params, carry, z, jax.eval_shape(cell.recur, params, carry, z))


@dataclasses.dataclass(frozen=True)
class Structure:
    """What holds at every step, whatever the numbers. Made by `structure`."""

    cell: Recurrence
    params: Params
    """Shapes and dtypes, as all that follows."""
    carry: Carry
    z: Any
    a: Any

    @cached_property
    def bytes(self) -> int:
        """How large the preactivations of a step are, of all that are run at once."""
        return self.cell.copies * sum(
            leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(self.a)
        )

    @cached_property
    def emits_carry(self) -> bool:
        """Whether h is made of the carry alone: then whoever has the carries has every h."""
        return not depends(self.cell.emit, (self.carry, self.a), 1)

    @cached_property
    def emits_recurred(self) -> bool:
        """Whether h is made of the last carry in another way than through the new one."""

        def h(carry: Carry, after: Carry, params: Params, z: Any) -> jax.Array:
            return self.cell.emit(after, self.cell.recur(params, carry, z))

        return depends(h, (self.carry, self.carry, self.params, self.z), 0)

    def unread_preactivations(self, steps: int) -> Any:
        """In place of those of so many steps, where nobody reads them."""
        return jax.tree.map(lambda leaf: jnp.zeros((steps, *leaf.shape), leaf.dtype), self.a)

    @cached_property
    def derives_from_carry(self) -> bool:
        """Whether `linearize` never reads the preactivations."""
        steps = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype), (self.carry, self.a)
        )
        carries, a = steps
        return not depends(self.cell.linearize, (carries, a, carries), 1)

    @cached_property
    def recur_is_affine(self) -> bool:
        """Whether `d recur / d carry` is the same matrix at every carry."""
        return self._is_affine(self.cell.recur)

    @cached_property
    def is_affine(self) -> bool:
        """Whether the whole step is affine in the carry: `c_t = M_t c_{t-1} + b_t`."""
        return self._is_affine(lambda params, c, z: self._next(c, params, z))

    @cached_property
    def update_is_unitwise(self) -> bool:
        """Whether each unit of the next carry is made of the same unit of all that is read."""
        return is_unitwise(self.cell.update, (self.carry, self.a))

    @cached_property
    def is_unitwise(self) -> bool:
        """Whether each unit of the next carry is made of the same unit of the last one."""
        return is_unitwise(self._next, (self.carry, self.params, self.z), of=1)

    @cached_property
    def has_custom_vjp(self) -> bool:
        """Whether something in the step has no tangent."""
        return self._runs("custom_vjp")

    @cached_property
    def maps_cotangent(self) -> bool:
        """Whether the step changes what flows back through it, as by `map_cotangent`."""
        return self._runs(NAME)

    def _runs(self, primitive: str) -> bool:
        return contains(self.cell.step, (self.params, self.carry, self.z), primitive)

    @cached_property
    def joins_steps(self) -> bool:
        """Whether any run of steps is one of the same form: affine, unit by unit."""
        return self.is_affine and self.is_unitwise and not self.emits_recurred

    def _next(self, carry: Carry, params: Params, z: Any) -> Carry:
        return self.cell.update(carry, self.cell.recur(params, carry, z))

    def _is_affine(self, f: Callable[[Params, Carry, Any], Any]) -> bool:
        def tangent(params: Params, c: Carry, z: Any, d_c: Carry) -> Any:
            return jax.jvp(lambda c: f(params, c, z), (c,), (d_c,))[1]

        return not depends(tangent, (self.params, self.carry, self.z, self.carry), 1)
