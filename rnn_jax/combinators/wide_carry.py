"""A carry of higher precision than the weights."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from rnn_jax.arithmetic import at_least_float32
from rnn_jax.cell import Carry, Params, SplitCell
from rnn_jax.combinators.fit import check_part
from rnn_jax.combinators.wrapper import WrappedSplitCell


@dataclasses.dataclass(frozen=True)
class WideCarry(WrappedSplitCell):
    """A cell whose carry is float32 beside narrower weights. Made by `wide_carry`."""

    def initial_carry(self, params: Params, batch_shape: tuple[int, ...] = ()) -> Carry:
        """The initial carry of the cell, in float32 or wider."""
        carry = self.layer.initial_carry(params, batch_shape)
        return jax.tree.map(lambda c: c.astype(at_least_float32(c.dtype)), carry)

    def readout(self, params: Params, hs: Any, xs: Any) -> jax.Array:
        """What the cell emits, in the dtype of its params."""
        narrow = jax.tree.leaves(params)[0].dtype
        return self.layer.readout(params, jax.tree.map(lambda h: h.astype(narrow), hs), xs)

    def linearize(self, carries: Carry, a: Any, after: Carry) -> Callable[[Carry, Any], Carry]:
        return self.layer.linearize(carries, a, after)


def wide_carry(cell: SplitCell) -> WideCarry:
    """The cell with its carry in float32, whatever narrower dtype its params have.

    In bfloat16 a state has 8 bits, and a unit that forgets over more than 256 steps moves by less
    than one of them a step. Here the carry passes from step to step in float32; the weights read
    it in their own dtype, and what the cell emits has that dtype too, so that all matmuls are as
    before. Params are the cell's own, and so are float32 and wider carries. Memory: twice the
    bytes of a half-precision carry, and what the cell emits beside it. Of a stack, wrap each cell.
    Source: Micikevicius et al., Mixed precision training, ICLR 2018, arXiv:1710.03740.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.wide_carry(rnn.LSTM(3, 4))
    >>> params = cell.init(jax.random.key(0), jnp.bfloat16)
    >>> carry, ys = rnn.unroll(cell, params, jnp.ones((7, 3), jnp.bfloat16))
    >>> carry.c.dtype.name, ys.dtype.name
    ('float32', 'bfloat16')

    Raises `ArgumentError` for a cell whose step does not split into `recur` and `update`.
    """
    check_part("wide_carry: the cell", cell, SplitCell)
    return WideCarry(cell)
