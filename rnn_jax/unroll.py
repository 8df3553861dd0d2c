"""Run a cell over a sequence, or take one step of it."""

from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.cell import Carry, Cell, Layer, Method, Params
from rnn_jax.checks import check_carry, check_input, check_params
from rnn_jax.errors import StructureError
from rnn_jax.methods.bptt import BPTT


def unroll(
    cell: Layer, params: Params, xs: Any, carry: Carry | None = None, *, method: Method = BPTT()
) -> tuple[Carry, jax.Array]:
    """Run `cell` over all steps of `xs`: the final carry, and what each step emits.

    Args:
      cell: A cell or any other layer.
      params: Its params, all of one floating dtype.
      xs: `(T, *batch, D)` of the params' dtype, or `(T, *batch)` of integers for an `Embedding`.
        T may be 0 and there may be any number of batch axes.
      carry: Where to start, with the batch axes of `xs`; `cell.initial_carry` if None.
      method: How to go through time, as a value: `BPTT()`, the default, or `Scan()`.

    Returns:
      `(carry, ys)`, the order of `lax.scan`: the carry after the last step, and ys
      `(T, *batch, ...)`.

    Raises:
      ShapeError, DtypeError, StructureError: What was handed over is not of this cell; the
        message names the place.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Elman(input_size=3, hidden_size=5)
    >>> params = cell.init(jax.random.key(0))
    >>> carry, hs = rnn.unroll(cell, params, jnp.ones((7, 2, 3)))
    >>> _, same = rnn.unroll(cell, params, jnp.ones((7, 2, 3)), method=rnn.Scan())
    >>> bool(jnp.allclose(hs, same))
    True
    """
    _check_is(Layer, cell, "unroll")
    params, xs, carry = _checked(cell, params, xs, carry, "xs", axes=1)
    return cell.unroll(params, xs, carry, method)


def step(cell: Cell, params: Params, carry: Carry | None, x: Any) -> tuple[Carry, jax.Array]:
    """Take one step, for streaming: equal to `unroll` step by step.

    Args:
      cell: A cell; a layer without a single step has no `step`.
      params: Its params.
      carry: The carry so far; `cell.initial_carry` if None.
      x: One step of the input, `(*batch, D)`, or `(*batch)` for an `Embedding`.

    Returns:
      `(carry, y)`: the carry after the step, and y `(*batch, ...)`.

    Raises:
      ShapeError, DtypeError, StructureError: As `unroll`.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.GRU(input_size=3, hidden_size=5)
    >>> params = cell.init(jax.random.key(0))
    >>> carry = cell.initial_carry(params)
    >>> for x in jnp.ones((4, 3)):
    ...     carry, y = rnn.step(cell, params, carry, x)
    >>> y.shape
    (5,)
    """
    _check_is(Cell, cell, "step")
    params, x, carry = _checked(cell, params, x, carry, "x", axes=0)
    carry, h = cell.step(params, carry, cell.project(params, x))
    return carry, cell.readout(params, h, x)


def _checked(
    cell: Layer, params: Params, xs: Any, carry: Carry | None, name: str, axes: int
) -> tuple[Params, Any, Carry]:
    """What was handed over, as arrays of JAX; NumPy's would compute by NumPy's rules."""
    dtype = check_params(cell, params)
    batch_shape = check_input(cell, name, xs, dtype, axes)
    params, xs = jax.tree.map(jnp.asarray, (params, xs))
    if carry is None:
        return params, xs, cell.initial_carry(params, batch_shape)
    check_carry(cell, params, carry, batch_shape, dtype)
    return params, xs, jax.tree.map(jnp.asarray, carry)


def _check_is(kind: type, cell: Any, caller: str) -> None:
    if not isinstance(cell, kind):
        raise StructureError(
            f"{caller}: the first argument must be a {kind.__name__}, got {cell!r}."
        )
