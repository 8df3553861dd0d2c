"""The carry of any cell as one vector a sequence: the state that the analysis differentiates."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnn_jax.analysis.arguments import Sequences, remembers
from rnn_jax.analysis.in_front import in_front
from rnn_jax.arguments.arrays import reals
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.checks import check_carry
from rnn_jax.errors import ShapeError

Step = Callable[[jax.Array, Any], jax.Array]
"""`(c (N,), z) -> c (N,)`: one step of one sequence, on the carry as a vector."""


def flatten_carry(cell: Cell, params: Params, carry: Carry) -> jax.Array:
    """A carry as one vector a sequence, its leaves side by side: `(*batch, N)`.

    The order is that of `jax.tree.leaves`: h before c in an LSTM (so N = 2H), the lowest layer
    of a stack first. `unflatten_carry` is the way back. Raises `StructureError`, `ShapeError` or
    `DtypeError` for what is no carry of the cell.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.LSTM(input_size=3, hidden_size=5)
    >>> params = cell.init(jax.random.key(0))
    >>> carry = cell.initial_carry(params, batch_shape=(2,))
    >>> rnn.analysis.flatten_carry(cell, params, carry).shape
    (2, 10)
    """
    wanted = _leaves(cell, params)
    remembers("flatten_carry", cell, wanted)
    # Batch axes and dtype are those of the first leaf; then all must agree.
    first = next(iter(jax.tree.leaves(carry)), None)
    shape, dtype = getattr(first, "shape", ()), getattr(first, "dtype", jnp.dtype(jnp.float32))
    batch_shape = shape[: max(0, len(shape) - wanted[0].ndim)]
    check_carry(cell, params, carry, batch_shape, dtype)
    leaves = jax.tree.leaves(carry)
    return jnp.concatenate([jnp.reshape(leaf, (*batch_shape, -1)) for leaf in leaves], -1)


def unflatten_carry(cell: Cell, params: Params, flat: jax.Array) -> Carry:
    """The carry whose vectors are `flat` `(*batch, N)`; raises `ShapeError` for another N.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.LSTM(input_size=3, hidden_size=2)
    >>> params = cell.init(jax.random.key(0))
    >>> rnn.analysis.unflatten_carry(cell, params, jnp.arange(4.0)).c.tolist()
    [2.0, 3.0]
    """
    wanted = _leaves(cell, params)
    size = sum(math.prod(one.shape) for one in wanted)
    flat = reals("unflatten_carry: flat", flat)
    if flat.shape[-1:] != (size,):
        raise ShapeError(
            f"unflatten_carry: flat must have shape (*batch, {size}), as many numbers as the carry "
            f"of {cell!r} has, got {flat.shape}; flatten_carry makes one."
        )
    leaves, start = [], 0
    for one in wanted:
        stop = start + math.prod(one.shape)
        leaves.append(flat[..., start:stop].reshape(*flat.shape[:-1], *one.shape))
        start = stop
    return jax.tree.unflatten(jax.tree.structure(_carry(cell, params)), leaves)


def flat_step(cell: Cell, params: Params) -> Step:
    """The cell's step on vectors."""

    def step(c: jax.Array, z: Any) -> jax.Array:
        carry, _ = cell.step(params, unflatten_carry(cell, params, c), z)
        return flatten_carry(cell, params, carry)

    return step


def push(step: Step, c: jax.Array, z: Any, vectors: jax.Array) -> jax.Array:
    """`J V` for the columns of V `(N, m)`, with J the Jacobian of the step at c."""
    _, jvp = jax.linearize(lambda c: step(c, z), c)
    return jax.vmap(jvp, 1, 1)(vectors)


def pull(step: Step, c: jax.Array, z: Any, vectors: jax.Array) -> jax.Array:
    """`J^T V` for the columns of V `(N, m)`."""
    _, vjp = jax.vjp(lambda c: step(c, z), c)
    return jax.vmap(lambda v: vjp(v)[0], 1, 1)(vectors)


def orbit(step: Step, c: jax.Array, zs: Any) -> jax.Array:
    """The carries before each step, `(T, N)`."""
    return lax.scan(lambda c, z: (step(c, z), c), c, zs)[1]


class Flat(NamedTuple):
    """A batch of sequences for analyses of one after the other, the steps that happen in front."""

    params: Params
    xs: Any
    """`(T, *batch, ...)`."""
    counts: jax.Array
    """`(*batch)`: how many steps each sequence has, an int32."""
    start: jax.Array
    """`(*batch, N)`: the carry as a vector."""


def flat_sequences(cell: Cell, given: Sequences) -> Flat:
    """Sequences that were looked at, without the beginnings among their steps."""
    at = in_front(given)
    return Flat(given.params, at.xs, at.counts, flatten_carry(cell, given.params, given.carry))


def each_sequence(f: Callable[..., Any], by_step: Any, by_sequence: Any) -> Any:
    """`f` of the leaves `(T, ...)` and the leaves `(...)` of one sequence after the other.

    `by_step` are leaves `(T, *batch, ...)`, `by_sequence` `(*batch, ...)`, whose first leaf has
    no axes but those and one. Results lead with the batch axes.

    A loop, not `vmap`: loops inside `f` stop when their own sequence is done, memory is that of
    one sequence, and matmuls in a scan stay without a batch axis, which is quicker on a CPU.
    """
    batch_shape = jax.tree.leaves(by_sequence)[0].shape[:-1]
    if not batch_shape:
        return f(by_step, by_sequence)
    lead = len(batch_shape)
    by_step = jax.tree.map(
        lambda x: jnp.moveaxis(x.reshape(x.shape[0], -1, *x.shape[1 + lead :]), 1, 0), by_step
    )
    by_sequence = jax.tree.map(lambda x: x.reshape(-1, *x.shape[lead:]), by_sequence)
    results = lax.map(lambda one: f(*one), (by_step, by_sequence))
    return jax.tree.map(lambda r: r.reshape(*batch_shape, *r.shape[1:]), results)


def _carry(cell: Cell, params: Params) -> Carry:
    return jax.eval_shape(cell.initial_carry, params)


def _leaves(cell: Cell, params: Params) -> list[Any]:
    return jax.tree.leaves(_carry(cell, params))
