"""All singular values of the product of Jacobians, at every lag, in log scale."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnn_jax.analysis.arguments import Marks, sequences, spans
from rnn_jax.analysis.flatten import Flat, each_sequence, flat_sequences, flat_step, orbit, pull
from rnn_jax.analysis.graded import Graded, graded, orthogonalise
from rnn_jax.cell import Carry, Cell, Params


class GradientSpectrum(NamedTuple):
    """How a change of the carry is stretched on its way through time."""

    lags: np.ndarray
    """`(L,)` integers: how many steps the product has."""
    log_values: jax.Array
    """`(L, *batch, N)`: natural logarithms of the singular values, the largest first."""


def gradient_spectrum(
    cell: Cell,
    params: Params,
    xs: Any,
    carry: Carry | None = None,
    *,
    lags: Sequence[int] | None = None,
    lengths: Any = None,
    mask: Any = None,
) -> GradientSpectrum:
    """The singular values of `dc_T/dc_{T-lag} = J_T J_{T-1} ... J_{T-lag+1}`, in log scale.

    `J_t = dc_t/dc_{t-1}` is the Jacobian of one step on the whole carry c, N numbers (2H in an
    LSTM). A gradient that comes back `lag` steps is stretched by at most the largest and at
    least the smallest value. -inf is a zero: a direction that does not come through, or that
    one step shrinks so much beside the others that float cannot tell it from zero.

    The product is never formed. Its transpose, `J_{T-lag+1}^T ... J_T^T`, is kept as U S, unit
    columns and the logarithms of their lengths; a step multiplies U by one more factor, and
    one-sided Jacobi makes the columns orthogonal again. Values of e^0 and e^-5000 in one product
    come out with the same relative accuracy, and the result is that of a product of factors
    each changed by rounding. (The QR diagonal alone, as in `lyapunov_spectrum`, is right only
    in the limit of long products.)

    Shapes: xs `(T, *batch, ...)`; log_values `(L, *batch, N)`. Cost: for each sequence and lag
    one matmul of the Jacobian and a few sweeps of `O(N^3)`; lags that are not asked for take 1
    or 2 sweeps, the others 4 to 10. Memory `O(T N + L N)`. For large N, see
    `leading_gradient_spectrum`. Sources: Pennington, Schoenholz & Ganguli, NeurIPS 2017 (the
    spectrum as a diagnosis); Drmac, SIAM J. Matrix Anal. Appl. 21, 2000 (products by Jacobi).

    Args:
      cell: Any cell with a carry.
      params: Its params.
      xs: The input, as for `unroll`.
      carry: Where to start; `cell.initial_carry` if None.
      lags: Increasing, each from 1 to T; all of them if None.
      lengths: As for `unroll`: T is each sequence's own, and for a longer lag its values are NaN.
      mask: As for `unroll`: only the steps that happen count.

    Raises:
      StructureError: A cell that carries nothing.
      ArgumentError, ShapeError, DtypeError: Lags out of range or order, xs without steps, and what
        `unroll` raises.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Elman(1, 2, activation=lambda a: a)
    >>> params = rnn.ElmanParams(jnp.ones((1, 2)), jnp.diag(jnp.array([1.0, 0.1])), jnp.zeros(2))
    >>> spectrum = rnn.analysis.gradient_spectrum(cell, params, jnp.ones((3000, 1)), lags=[3000])
    >>> spectrum.log_values.round(-1).tolist()  # 3000 log(0.1)
    [[0.0, -6910.0]]
    """
    caller = "gradient_spectrum"
    marks = Marks(lengths, mask)
    given = flat_sequences(cell, sequences(caller, cell, params, xs, carry, marks))
    chosen = spans(f"{caller}: lags", lags, given.xs.shape[0])
    asked = np.isin(np.arange(1, chosen[-1] + 1), chosen)
    values = _spectrum(cell, given, jnp.asarray(asked))
    return GradientSpectrum(chosen, jnp.moveaxis(values, -2, 0)[chosen - 1])


def tolerances(dtype: Any) -> tuple[float, float]:
    """Largest cosines between columns: for an answer, and for well-conditioned columns."""
    return float(jnp.finfo(dtype).eps) ** 0.75, 0.1


@functools.partial(jax.jit, static_argnums=0)
def _spectrum(cell: Cell, given: Flat, asked: jax.Array) -> jax.Array:
    step = flat_step(cell, given.params)
    size, dtype = given.start.shape[-1], given.start.dtype
    tight, loose = tolerances(dtype)
    error = 2 * float(jnp.finfo(dtype).eps) * size**0.5
    identity = jnp.eye(size, dtype=dtype)

    lags = jnp.arange(1, len(asked) + 1, dtype=given.counts.dtype)

    def one(xs: jax.Array, of: tuple[jax.Array, jax.Array]) -> jax.Array:
        c, count = of
        zs = cell.project(given.params, xs)
        at_steps = orbit(step, c, zs), zs
        # From a sequence's own last step back.
        last = jax.tree.map(lambda x: x[jnp.maximum(count - lags, 0)], at_steps)

        def lengthen(product: Graded, item: Any) -> tuple[Graded, jax.Array]:
            (c, z), now = item
            factor = pull(step, c, z, identity)
            columns = factor @ product.directions
            noise = error * jnp.linalg.norm(jnp.abs(factor) @ jnp.abs(product.directions), axis=0)
            product = graded(columns, product.log_lengths, noise)
            product = orthogonalise(product, jnp.where(now, tight, loose))
            return product, product.log_lengths

        start = Graded(identity, jnp.zeros(size, dtype), jnp.zeros(size, dtype))
        values = lax.scan(lengthen, start, (last, asked))[1]
        return jnp.where((lags <= count)[:, None], values, jnp.nan)

    return each_sequence(one, given.xs, (given.start, given.counts))
