"""The health of gradients through time, in few numbers, while a network trains."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnn_jax.analysis.by_lag import log_norms_of, memory_horizon
from rnn_jax.analysis.curvature import extreme_eigenvalues
from rnn_jax.analysis.lyapunov import lyapunov_spectrum
from rnn_jax.analysis.recurrent import recurrent_matrices
from rnn_jax.analysis.saturation import saturated_share
from rnn_jax.analysis.trajectory import loss_gradients, trajectory
from rnn_jax.arguments.settings import integers
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.training.truncated_bptt import Loss

SQUARINGS = 10
LANCZOS_STEPS = 16


class GradientMetrics(NamedTuple):
    """Scalars all of them, also those in the dictionaries."""

    lyapunov: jax.Array
    """The largest Lyapunov exponent, nats a step, the mean over the batch: gradients vanish below
    0 and explode above."""
    log_norms: dict[int, jax.Array]
    """Of each lag: `log ||dL/dc_{T-1-lag}||` of the last step's loss L, in nats."""
    horizon: jax.Array
    """How many steps back 95% of that gradient reaches, of those that there are; -1 for NaN."""
    saturated: jax.Array
    """The share of saturated units, over all nonlinearities and steps."""
    spectral_radius: dict[str, jax.Array]
    """Of each recurrent matrix."""
    spectral_norm: dict[str, jax.Array]
    """Of each recurrent matrix: in an `Elman` what a step multiplies the gradient by at most."""


def gradient_metrics(
    cell: Cell,
    params: Params,
    xs: Any,
    targets: Any,
    loss: Loss,
    carry: Carry | None = None,
    *,
    lags: Sequence[int] | None = None,
) -> GradientMetrics:
    """How far gradients reach now, for the log: a call every so many updates.

    One compiled program under `jax.jit`, a pure function of its arrays. It keeps to one loss,
    the last step's, and one Lyapunov exponent, `1/T log ||J_T ... J_1 v||`, after a quarter of xs
    for v to turn; the whole of each is `gradient_map`, `lyapunov_spectrum`, `saturated_share`
    and `normality`. The spectral radius is `||w^n||^(1/n)` with n = 1024, by squaring: never below
    the radius, and about one per cent above it or less; the spectral norm 16 steps of Lanczos,
    never above it. (Both, unlike eigenvalues, do well on an accelerator.)

    Shapes: xs `(T, *batch, ...)`, targets `(T, *batch, ...)`. Cost: about four forward and two
    backward passes over xs, of which the exponent's takes one sequence after the other, so few
    sequences are best; and 10 matmuls a recurrent matrix. On two cores it took, of 4 sequences of
    64 steps, half to four fifths of a training step of 32 (`Elman` and `LSTM`, 128 and 256 units).

    Args:
      cell: Any cell with a carry, such as the stack that is trained.
      params: Its params.
      xs: A small batch of inputs.
      targets: What the loss compares with.
      loss: The loss of each step, from that step's output alone, as for `truncated_bptt`.
      carry: Where to start; `cell.initial_carry` if None.
      lags: From 0 to T - 1; 0 and the powers of two if None.

    Raises:
      ArgumentError: Lags out of range.
      ShapeError, DtypeError, StructureError: As `gradient_map` and `saturated_share`.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Elman(1, 1)
    >>> params = rnn.ElmanParams(jnp.zeros((1, 1)), jnp.full((1, 1), 0.5), jnp.zeros(1))
    >>> outputs = lambda ys, targets: ys.sum(-1)
    >>> xs = jnp.zeros((8, 4, 1))
    >>> found = rnn.analysis.gradient_metrics(cell, params, xs, None, outputs, lags=[0, 4])
    >>> round(float(found.lyapunov), 4)  # log(0.5)
    -0.6931
    >>> {lag: round(float(log), 4) for lag, log in found.log_norms.items()}
    {0: -0.6931, 4: -3.4657}
    """
    xs, batch_shape, path = trajectory("gradient_metrics", cell, params, xs, carry)
    steps, lead = xs.shape[0], len(batch_shape)
    chosen = _lags(lags, steps)
    dys = loss_gradients("gradient_metrics", loss, path.ys, targets, batch_shape)
    last = jnp.array([steps - 1], jnp.int32)
    by_lag = log_norms_of(cell, params, xs, path, dys, last, lead)[0, ::-1]
    rates = lyapunov_spectrum(cell, params, xs, carry, exponents=1, warmup_q=steps // 4, every=4)
    matrices = recurrent_matrices(params)
    return GradientMetrics(
        lyapunov=jnp.mean(rates.exponents),
        log_norms={lag: by_lag[lag] for lag in chosen},
        horizon=memory_horizon(by_lag),
        saturated=jnp.mean(saturated_share(cell, params, xs, carry)),
        spectral_radius=_of_each(_spectral_radius, matrices),
        spectral_norm=_of_each(_spectral_norm, matrices),
    )


def _lags(lags: Sequence[int] | None, steps: int) -> list[int]:
    if lags is None:
        return [0, *(2**n for n in range(steps.bit_length()) if 2**n < steps)]
    return integers("gradient_metrics: lags", lags, steps - 1).tolist()


def _of_each(
    measure: Callable[[jax.Array], jax.Array], matrices: dict[str, jax.Array]
) -> dict[str, jax.Array]:
    """One loop over all matrices of a size, so that it is compiled once."""
    found: dict[str, jax.Array] = {}
    for shape in {w.shape for w in matrices.values()}:
        names = [name for name, w in matrices.items() if w.shape == shape]
        values = lax.map(measure, jnp.stack([matrices[name] for name in names]))
        found |= dict(zip(names, values, strict=True))
    return {name: found[name] for name in matrices}


def _spectral_radius(w: jax.Array) -> jax.Array:
    """`||w^n||^(1/n)`, n a power of two: Gelfand's formula, by squaring."""

    def normed(w: jax.Array) -> tuple[jax.Array, jax.Array]:
        length = jnp.linalg.norm(w)
        return w / jnp.where(length > 0, length, 1), jnp.log(length)

    def square(_: int, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        power, log = state
        power, more = normed(power @ power)
        return power, 2 * log + more

    _, log = lax.fori_loop(0, SQUARINGS, square, normed(w))
    return jnp.exp(log / 2**SQUARINGS)


def _spectral_norm(w: jax.Array) -> jax.Array:
    found = extreme_eigenvalues(
        lambda v: w.T @ (w @ v), w[0], jax.random.key(0), steps=LANCZOS_STEPS
    )
    return jnp.sqrt(jnp.maximum(found.eigenvalues[-1], 0))
