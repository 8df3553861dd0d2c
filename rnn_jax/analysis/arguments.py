"""What every analysis is given, looked at before it starts."""

from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.errors import StructureError
from rnn_jax.unroll import unroll


def checked(
    caller: str, cell: Cell, params: Params, xs: Any, carry: Carry | None
) -> tuple[Params, Any, tuple[int, ...], Carry]:
    """Params, xs, the batch axes and where to start, as arrays; raises what `unroll` does."""
    if not isinstance(cell, Cell):
        raise StructureError(f"{caller}: the first argument must be a Cell, got {cell!r}.")
    jax.eval_shape(lambda: unroll(cell, params, xs, carry))
    params, xs = jax.tree.map(jnp.asarray, (params, xs))
    batch_shape = tuple(xs.shape[1 : xs.ndim - len(cell.input.shape)])
    if carry is None:
        carry = cell.initial_carry(params, batch_shape)
    return params, xs, batch_shape, jax.tree.map(jnp.asarray, carry)
