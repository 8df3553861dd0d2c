"""What all linear cells share: the next state is the last one times a number, plus a number."""

import abc
from typing import Any, NamedTuple, final

import jax
import jax.numpy as jnp

from rnn_jax.arithmetic import widened
from rnn_jax.cell import Carry, Params, SplitCell


class LinearCarry(NamedTuple):
    """The carry of a real linear cell, and its coefficients."""

    h: jax.Array
    """`(*batch, hidden_size)`."""

    def times(self, other: "LinearCarry") -> "LinearCarry":
        """The product, number by number."""
        return LinearCarry(self.h * other.h)


class Coefficients(NamedTuple):
    """Those of one step, `c_t = a c_{t-1} + b`, each of the form and the shape of the carry."""

    a: Any
    b: Any


class LinearCell(SplitCell):
    """A cell without activation in time: `c_t = a_t c_{t-1} + b_t`, unit by unit.

    A cell says what `coefficients` are; they follow from the input alone, so all steps can be
    solved at once, by a parallel scan. The carry is a `LinearCarry` or a `Complex`. Whatever the
    dtype of the params, coefficients are in float32 at least, and a step is worked out in
    float32, for the nearest number to 1 in bfloat16 forgets half in 177 steps. What is emitted is
    h, or the complex carry itself, of which `readout` makes what comes out.
    """

    @abc.abstractmethod
    def coefficients(self, params: Params, z: Any) -> Any:
        """`a` and `b` of a step in a NamedTuple, for any leading axes."""

    @final
    def recur(self, params: Params, carry: Carry, z: Any) -> Any:
        """The coefficients: nothing is read from the carry."""
        del carry
        return self.coefficients(params, z)

    @final
    def update(self, carry: Carry, a: Any) -> Carry:
        """`a c + b`."""
        factor, before, summand = jax.tree.map(widened, (a.a, carry, a.b))
        after = jax.tree.map(jnp.add, factor.times(before), summand)
        return jax.tree.map(lambda new, old: new.astype(old.dtype), after, carry)

    def emit(self, carry: Carry, a: Any) -> Any:
        """`h`, or both parts of a complex carry."""
        del a
        return carry.h if isinstance(carry, LinearCarry) else carry
