"""The Jacobian of each step, and of the whole way, as matrices and as products with vectors."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnn_jax.analysis.arguments import Marks, sequences
from rnn_jax.analysis.flatten import (
    each_sequence,
    flat_step,
    flatten_carry,
    push,
    unflatten_carry,
)
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.recurrence.steps import select
from rnn_jax.unroll import unroll


def step_jacobians(
    cell: Cell,
    params: Params,
    xs: Any,
    carry: Carry | None = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    reset: Any = None,
) -> jax.Array:
    """The Jacobian of every step, `J_t[i, j] = d c_t[i] / d c_{t-1}[j]`.

    c is the whole carry as a vector of N numbers, in the order of `flatten_carry`: `dh_t/dh_{t-1}`
    of an LSTM, with c held, is the block of the first H rows and columns. J acts on columns:
    `dc_t = J_t dc_{t-1}`, so a product over time has the latest factor on the left.

    With `lengths`, `mask` and `reset` as for `unroll` every step stays in its place: where none
    happens the carry is kept, and J is the identity; where a sequence begins J is zero.

    Shapes: xs `(T, *batch, ...)`; the result `(T, *batch, N, N)`. Cost: N tangents a step, one
    matmul `(N, N)` by the recurrent weights. Source: Pascanu, Mikolov & Bengio, ICML 2013, eq. 5.

    Raises `StructureError` for a cell that carries nothing, `ShapeError` for xs without steps, and
    what `unroll` raises.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Elman(1, 2, activation=lambda a: a)
    >>> w_hh = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    >>> params = rnn.ElmanParams(jnp.ones((1, 2)), w_hh, jnp.zeros(2))
    >>> rnn.analysis.step_jacobians(cell, params, jnp.ones((5, 1)))[0].tolist()  # h @ w = w^T h
    [[1.0, 3.0], [2.0, 4.0]]
    """
    marks = Marks(lengths, mask, reset)
    given = sequences("step_jacobians", cell, params, xs, carry, marks)
    start = flatten_carry(cell, given.params, given.carry)
    steps = given.xs, given.happens, given.reset
    return jnp.moveaxis(_jacobians(cell, given.params, steps, start), -3, 0)


@functools.partial(jax.jit, static_argnums=0)
def _jacobians(cell: Cell, params: Params, steps: Any, start: jax.Array) -> jax.Array:
    step = flat_step(cell, params)
    initial = flatten_carry(cell, params, cell.initial_carry(params))
    identity = jnp.eye(start.shape[-1], dtype=start.dtype)

    def one(steps: Any, c: jax.Array) -> jax.Array:
        def body(c: jax.Array, now: Any) -> tuple[jax.Array, jax.Array]:
            z, happens, reset = now
            c = select(reset, initial, c)
            after, jacobian = step(c, z), push(step, c, z, identity)
            if happens is not None:
                after = jnp.where(happens, after, c)
                jacobian = jnp.where(happens, jacobian, identity)
            return after, select(reset, jnp.zeros_like(jacobian), jacobian)

        xs, happens, reset = steps
        return lax.scan(body, c, (cell.project(params, xs), happens, reset))[1]

    return each_sequence(one, steps, start)


class Propagator(NamedTuple):
    """The product of the Jacobians of all steps, `J = J_T ... J_1`, as two functions."""

    jvp: Callable[[jax.Array], jax.Array]
    """`v (*batch, N) -> J v (*batch, N)`: what a change of the first carry does to the last."""
    vjp: Callable[[jax.Array], jax.Array]
    """`v (*batch, N) -> J^T v (*batch, N)`: a gradient by the last carry, carried back."""


def propagator(
    cell: Cell,
    params: Params,
    xs: Any,
    carry: Carry | None = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    reset: Any = None,
) -> Propagator:
    """`J v` and `J^T v` with `J = dc_T/dc_0`, never forming J: each is one pass through time.

    Every sequence has its own J of `(N, N)`. xs of one step gives the products with the Jacobian
    of that step. The numbers are plain floats, and under- or overflow where J does;
    `gradient_spectrum` does not. Vectors are ordered as by `flatten_carry`.

    Shapes: xs `(T, *batch, ...)`, v and its products `(*batch, N)`. Cost: one forward pass here,
    then a pass a product, in memory what the gradient of `unroll` takes.

    Takes and raises what `step_jacobians` does; T is each sequence's own.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.GRU(input_size=3, hidden_size=5)
    >>> params = cell.init(jax.random.key(0))
    >>> J = rnn.analysis.propagator(cell, params, jnp.ones((7, 3)))
    >>> u, v = jnp.ones(5), jnp.arange(5.0)
    >>> bool(jnp.allclose(u @ J.jvp(v), J.vjp(u) @ v))
    True
    """
    marks = Marks(lengths, mask, reset)
    given = sequences("propagator", cell, params, xs, carry, marks)
    params, start = given.params, flatten_carry(cell, given.params, given.carry)

    def last(c: jax.Array) -> jax.Array:
        carry = unflatten_carry(cell, params, c)
        carry, _ = unroll(cell, params, given.xs, carry, mask=given.happens, reset=given.reset)
        return flatten_carry(cell, params, carry)

    _, jvp = jax.linearize(last, start)
    _, vjp = jax.vjp(last, start)
    return Propagator(jvp, lambda v: vjp(v)[0])
