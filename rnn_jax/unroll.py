"""Run a cell over a sequence, or take one step of it: what padding, resets and noise mean."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from rnn_jax.arguments import integers
from rnn_jax.arguments.arrays import taken_tree
from rnn_jax.cell import Carry, Cell, Layer, Method, Params
from rnn_jax.checks import (
    check_carry,
    check_input,
    check_key,
    check_layer,
    check_mark,
    check_memory,
    check_number,
    check_params,
    check_steps,
    check_way,
)
from rnn_jax.devices.sharding import split_like, whole_beside
from rnn_jax.methods.bptt import BPTT
from rnn_jax.recurrence.recurrence import Recurrence
from rnn_jax.recurrence.steps import Steps, flip, select


def unroll(
    cell: Layer,
    params: Params,
    xs: Any,
    carry: Carry | None = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    reset: Any = None,
    reverse: bool = False,
    key: jax.Array | None = None,
    t: Any = 0,
    method: Method = BPTT(),
) -> tuple[Carry, jax.Array]:
    """Run `cell` over all steps of `xs`: the final carry, and what each step emits.

    A step happens where it is before its sequence's length and the mask is true. Any other step
    keeps the carry and emits zeros, and what `xs` holds there, be it NaN, reaches no value and no
    gradient. So each sequence of a padded batch has the numbers that it has alone.

    Args:
      cell: A cell or any other layer.
      params: Its params, all of one floating dtype.
      xs: `(T, *batch, D)` of the params' dtype, or `(T, *batch)` of integers for an `Embedding`.
        T may be 0 and there may be any number of batch axes, which may be split over devices;
        so may time, for a method that does not take one step after the other.
      carry: Where to start, with the batch axes of `xs`; `cell.initial_carry` if None.
      lengths: `(*batch)` of integers from 0 to T, how many steps each sequence has; all T if
        None. Where one is out of range under jit, where nothing can be raised, its carry is NaN.
      mask: `(T, *batch)` of bool, false where there is a gap; no gap if None.
      reset: `(T, *batch)` of bool, true where a new sequence begins: before that step the carry
        becomes `cell.initial_carry`, by selection. Run backward, nothing passes the mark either.
      reverse: Run from the last step to the first. Outputs stay with their inputs, and the final
        carry is that of the first step.
      key: For a cell with noise, such as `Dropout`. What is drawn at a step comes from the key
        and the number of the step, what is drawn once for all steps from the key alone.
      t: The number of the first step, where `xs` is a later part of a run with one key.
      method: How to go through time, as a value: `BPTT()`, the default, `Associative()` for linear
        cells, `Checkpointed(BPTT())` for fewer carries, `Scan()`, or a function of your own.

    Returns:
      `(carry, ys)`, the order of `lax.scan`: the carry after the last step, and ys
      `(T, *batch, ...)`.

    Raises:
      ShapeError, DtypeError, StructureError, ArgumentError: What was handed over is not of this
        cell, a length is not in `[0, T]`, or a key is missing; the message names the place.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Elman(input_size=3, hidden_size=5)
    >>> params = cell.init(jax.random.key(0))
    >>> carry, hs = rnn.unroll(cell, params, jnp.ones((7, 2, 3)), lengths=jnp.array([7, 4]))
    >>> alone, _ = rnn.unroll(cell, params, jnp.ones((4, 3)))
    >>> bool(jnp.allclose(carry.h[1], alone.h)), hs[4:, 1].any().item()
    (True, False)
    """
    check_layer("unroll", cell)
    check_key(cell, key)
    check_way(cell, method, reverse, t)
    params, xs, carry, batch_shape = _checked(cell, params, xs, carry, "xs", axes=1)
    marks = check_steps(cell, xs.shape[0], batch_shape, lengths, mask, reset)
    return _run(cell, method, reverse, params, xs, carry, *marks, key, integers.step_number(t))


# A loop that is not under jit is compiled anew at every call, and so is its gradient: here it is
# compiled once for a layer, a method and shapes. Under jit, XLA puts it where it is called.
@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _run(
    cell: Layer,
    method: Method,
    reverse: bool,
    params: Params,
    xs: Any,
    carry: Carry | None,
    lengths: jax.Array | None,
    mask: jax.Array | None,
    reset: jax.Array | None,
    key: jax.Array | None,
    t: Any,
) -> tuple[Carry, jax.Array]:
    batch_shape = xs.shape[1 : xs.ndim - len(cell.input.shape)]
    last = 1 + len(batch_shape)
    params = whole_beside(params, xs, 0, last)
    initial = None if reset is None else cell.initial_carry(params, batch_shape)
    if carry is None:
        carry = cell.initial_carry(params, batch_shape)
    mask, reset = split_like((mask, reset), xs, 0, last)
    # Run backward, marks of reset move by a step, from device to device where time is split.
    reset = whole_beside(reset, xs, 0, 1)
    lengths, initial, carry = split_like((lengths, initial, carry), xs, 1, last)
    valid, carry = _valid(xs.shape[0], carry, lengths, mask)
    steps = Steps(split_like(valid, xs, 0, last), reset, initial, key, first=t)
    # Once, for all layers: what they emit where no step happens is zero.
    xs = steps.blank(xs)
    if not reverse:
        return cell.unroll(params, xs, carry, steps, method)
    carry, ys = cell.unroll(params, flip(xs), carry, steps.reversed(), method)
    return carry, flip(ys)


def _valid(
    length: int, carry: Carry, lengths: jax.Array | None, mask: jax.Array | None
) -> tuple[jax.Array | None, Carry]:
    """Which steps happen; and the carry, NaN where a length is none."""
    if lengths is None:
        return mask, carry
    valid = lax.broadcasted_iota(lengths.dtype, (length, *lengths.shape), 0) < lengths[None]
    impossible = lengths < 0

    def spoil(c: jax.Array) -> jax.Array:
        floating = jnp.issubdtype(c.dtype, jnp.inexact)
        return select(impossible, jnp.full_like(c, jnp.nan), c) if floating else c

    carry = jax.tree.map(spoil, carry)
    return (valid if mask is None else valid & mask), carry


def step(
    cell: Cell,
    params: Params,
    x: Any,
    carry: Carry | None = None,
    *,
    mask: Any = None,
    reset: Any = None,
    key: jax.Array | None = None,
    t: Any = 0,
) -> tuple[Carry, jax.Array]:
    """Take one step, for streaming: equal to `unroll` step by step.

    Args:
      cell: A cell; a layer without a single step has no `step`.
      params: Its params.
      x: One step of the input, `(*batch, D)`, or `(*batch)` for an `Embedding`.
      carry: The carry so far; `cell.initial_carry` if None.
      mask: `(*batch)` of bool, false where the step does not happen: the carry stays, y is zeros.
      reset: `(*batch)` of bool, true where a new sequence begins with this step, as where an
        environment was done: the carry becomes `cell.initial_carry` before it.
      key: For a cell with noise: that of the whole run, or a fresh one each step.
      t: The number of the step in a run with one key.

    Returns:
      `(carry, y)`: the carry after the step, and y `(*batch, ...)`.

    Raises:
      ShapeError, DtypeError, StructureError: As `unroll`.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.GRU(input_size=3, hidden_size=5)
    >>> params = cell.init(jax.random.key(0))
    >>> carry = cell.initial_carry(params)
    >>> for x in jnp.ones((4, 3)):
    ...     carry, y = rnn.step(cell, params, x, carry)
    >>> y.shape
    (5,)
    """
    check_layer("step", cell, Cell)
    check_key(cell, key)
    check_number(cell, t)
    params, x, carry, batch_shape = _checked(cell, params, x, carry, "x", axes=0)
    marks = {"mask": mask, "reset": reset}
    mask, reset = (
        None if mark is None else jnp.expand_dims(mark, 0)
        for name, given in marks.items()
        for mark in [check_mark(cell, name, given, batch_shape, "(*batch)")]
    )
    carry, ys = _run(
        cell, once, False, params, x[None], carry, None, mask, reset, key, integers.step_number(t)
    )
    return carry, ys[0]


def once(cell: Recurrence, params: Params, xs: Any, carry: Carry) -> tuple[Carry, jax.Array]:
    """The method of a sequence of one step: no loop."""
    carry, h = cell.step(params, carry, jax.tree.map(lambda z: z[0], cell.project(params, xs)))
    return carry, jax.tree.map(lambda h: h[None], h)


def _checked(
    cell: Layer, params: Params, xs: Any, carry: Carry | None, name: str, axes: int
) -> tuple[Params, Any, Carry | None, tuple[int, ...]]:
    """Arrays of JAX, for NumPy's would compute by NumPy's rules, and the batch axes."""
    given = {"params": params, name: xs, "carry": carry}
    params, xs, carry = (taken_tree(cell, what, tree) for what, tree in given.items())
    dtype = check_params(cell, params, xs)
    batch_shape = check_input(cell, name, xs, dtype, axes, in_one_piece=0)
    check_memory(cell, params, batch_shape)
    params, xs = jax.tree.map(jnp.asarray, params), integers.as_jax(xs)
    if carry is None:
        return params, xs, None, batch_shape
    check_carry(cell, params, carry, batch_shape, dtype)
    return params, xs, jax.tree.map(jnp.asarray, carry), batch_shape
