"""The largest singular values of the product of Jacobians, without a matrix of it or of a step."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnn_jax.analysis.arguments import Marks, first_key, sequences, spans, up_to
from rnn_jax.analysis.flatten import (
    Flat,
    Step,
    each_sequence,
    flat_sequences,
    flat_step,
    orbit,
    pull,
    push,
)
from rnn_jax.analysis.graded import Graded, graded, orthogonalise
from rnn_jax.analysis.spectrum import tolerances
from rnn_jax.arguments.settings import at_least, not_negative, optional, positive
from rnn_jax.cell import Carry, Cell, Params


class LeadingSpectrum(NamedTuple):
    """The largest stretches of a change of the carry on its way through time."""

    lags: np.ndarray
    """`(L,)` integers: how many steps the product has."""
    log_values: jax.Array
    """`(L, *batch, k)`: natural logarithms of the k largest singular values, the largest first."""
    iterations: jax.Array
    """`(L, *batch)` integers: how often the block went back and forth."""
    change: jax.Array
    """`(L, *batch)`: the last change of a log value, within the tolerance where converged."""


def leading_gradient_spectrum(
    cell: Cell,
    params: Params,
    xs: Any,
    carry: Carry | None = None,
    *,
    k: int,
    lags: Sequence[int] | None = None,
    key: jax.Array | None = None,
    oversample: int = 8,
    tolerance: float | None = None,
    max_iterations: int = 300,
    lengths: Any = None,
    mask: Any = None,
) -> LeadingSpectrum:
    """The k largest singular values of `dc_T/dc_{T-lag}`, in log scale, for large cells.

    As `gradient_spectrum`, by subspace iteration: a block of `k + oversample` vectors goes back
    through the lag by J^T and forth by J until the values stay. On the way the vectors are kept
    orthogonal, their lengths as logarithms. (A Lanczos method sees the product as one matrix of
    floats: what lies a factor of 1/eps below the largest value is lost, though it be the second,
    and beyond some lag the product is zero or infinite.) Long products have wide gaps between
    their values, and few iterations do; where they are slow, lags are short and passes cheap.

    Shapes: xs `(T, *batch, ...)`; log_values `(L, *batch, k)`. Cost: an iteration `2 lag` products
    of the Jacobian with the block; memory `O(T N)`. Values are exact to `tolerance` divided by
    the relative gap to value k + oversample + 1. Source: Halko, Martinsson & Tropp, SIAM Review
    53, 2011, section 4.5.

    Args:
      cell: Any cell with a carry.
      params: Its params.
      xs: The input, as for `unroll`.
      carry: Where to start; `cell.initial_carry` if None.
      k: How many values, at most N.
      lags: Increasing, each from 1 to T; all of them if None, at a cost of `T^2` products.
      key: Draws the first block; `jax.random.key(0)` if None.
      oversample: How many vectors more than values; more of them converge in fewer iterations.
      tolerance: The change of a log value at which to stop; `eps^(2/3)` of the dtype if None.
      max_iterations: When to stop in any case; `change` tells.
      lengths: As for `unroll`: T is each sequence's own, and for a longer lag its values are NaN.
      mask: As for `unroll`: only the steps that happen count.

    Raises:
      ArgumentError: As `gradient_spectrum`, and for a k that is not from 1 to N.
      ShapeError, DtypeError, StructureError: As `gradient_spectrum`.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Elman(1, 2, activation=lambda a: a)
    >>> params = rnn.ElmanParams(jnp.ones((1, 2)), jnp.diag(jnp.array([1.0, 0.1])), jnp.zeros(2))
    >>> xs = jnp.ones((9, 1))
    >>> leading = rnn.analysis.leading_gradient_spectrum(cell, params, xs, k=1, lags=[9])
    >>> abs(leading.log_values.item()) < 1e-6
    True
    """
    caller = "leading_gradient_spectrum"
    marks = Marks(lengths, mask)
    given = flat_sequences(cell, sequences(caller, cell, params, xs, carry, marks))
    chosen = spans(f"{caller}: lags", lags, given.xs.shape[0])
    size, dtype = given.start.shape[-1], given.start.dtype
    k = up_to(f"{caller}: k", k, size)
    max_iterations = positive(f"{caller}: max_iterations", max_iterations)
    oversample = at_least(0)(f"{caller}: oversample", oversample)
    tolerance = optional(not_negative)(f"{caller}: tolerance", tolerance)
    key = first_key(f"{caller}: key", key)
    block = jnp.linalg.qr(jax.random.normal(key, (size, min(k + oversample, size)), dtype))[0]
    if tolerance is None:
        tolerance = float(jnp.finfo(dtype).eps) ** (2 / 3)
    results = _leading(
        cell, k, given, block, jnp.asarray(chosen, jnp.int32), tolerance, max_iterations
    )
    lead = given.counts.ndim
    return LeadingSpectrum(chosen, *(jnp.moveaxis(r, lead, 0) for r in results))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _leading(
    cell: Cell,
    k: int,
    given: Flat,
    block: jax.Array,
    lags: jax.Array,
    tolerance: float,
    max_iterations: int,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    step = flat_step(cell, given.params)
    size, width = block.shape
    tight, loose = tolerances(block.dtype)
    error = 2 * float(jnp.finfo(block.dtype).eps) * size**0.5

    def one(
        xs: jax.Array, of: tuple[jax.Array, jax.Array]
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        c, count = of
        zs = cell.project(given.params, xs)
        carries = orbit(step, c, zs)

        def travel(
            apply: Callable[[Step, jax.Array, Any, jax.Array], jax.Array],
            order: Callable[[jax.Array], jax.Array],
            directions: jax.Array,
            lag: jax.Array,
        ) -> Graded:
            def body(i: jax.Array, vectors: Graded) -> Graded:
                c, z = jax.tree.map(lambda x: x[order(i)], (carries, zs))
                columns = apply(step, c, z, vectors.directions)
                noise = error * jnp.linalg.norm(columns, axis=0)
                vectors = graded(columns, vectors.log_lengths, noise)
                return orthogonalise(vectors, jnp.where(i == lag - 1, tight, loose))

            zeros = jnp.zeros(width, block.dtype)
            return lax.fori_loop(0, lag, body, Graded(directions, zeros, zeros))

        def at(lag: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
            there = lag <= count
            lag = jnp.where(there, lag, 0)
            first, last = count - lag, count - 1

            def body(state: tuple) -> tuple:
                iterations, _, _, directions = state
                back = travel(pull, lambda i: last - i, directions, lag)
                forth = travel(push, lambda i: first + i, back.directions, lag)
                values, before = forth.log_lengths[:k], back.log_lengths[:k]
                change = jnp.where(values == before, 0, jnp.abs(values - before))
                return iterations + 1, jnp.max(change), values, forth.directions

            def unfinished(state: tuple) -> jax.Array:
                iterations, change, _, _ = state
                return (change > tolerance) & (iterations < max_iterations)

            infinite = jnp.full((), jnp.inf, block.dtype)
            begin = jnp.zeros((), jnp.int32), infinite, jnp.zeros(k, block.dtype), block
            iterations, change, values, _ = lax.while_loop(unfinished, body, begin)
            return jnp.where(there, values, jnp.nan), jnp.where(there, iterations, 0), change

        return lax.map(at, lags)

    return each_sequence(one, given.xs, (given.start, given.counts))
