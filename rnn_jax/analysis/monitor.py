"""The health of gradients through time, in few numbers, while a network trains."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnn_jax.analysis.arguments import Marks, distances, sequences
from rnn_jax.analysis.by_lag import last_log_norms, memory_horizon
from rnn_jax.analysis.curvature import extreme_eigenvalues
from rnn_jax.analysis.flatten import flat_sequences
from rnn_jax.analysis.losses import Last
from rnn_jax.analysis.lyapunov import TANGENT, settled
from rnn_jax.analysis.recurrent import recurrent_matrices
from rnn_jax.analysis.saturation import SLOPE, share_by_step
from rnn_jax.analysis.trajectory import loss_gradients, trajectory
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.losses.loss import Loss

SQUARINGS = 10
LANCZOS_ITERATIONS = 16


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
    carry: Carry | None = None,
    *,
    loss: Loss | Last,
    targets: Any = None,
    lags: Sequence[int] | None = None,
    lengths: Any = None,
    mask: Any = None,
) -> GradientMetrics:
    """How far gradients reach now, for the log: a call every so many updates.

    One compiled program under `jax.jit`, a pure function of its arrays. It keeps to one loss,
    the last step's, and one Lyapunov exponent, `1/T log ||J_T ... J_1 v||`, after a quarter of xs
    for v to turn; the whole of each is `gradient_map`, `lyapunov_spectrum`, `saturated_share`
    and `normality`. The spectral radius is `||w^n||^(1/n)` with n = 1024, by squaring: never below
    the radius, and about one per cent above it or less; the spectral norm 16 steps of Lanczos,
    never above it. (Both, unlike eigenvalues, do well on an accelerator.)

    Shapes: xs `(T, *batch, ...)`. Cost: about four forward and two
    backward passes over xs, of which the exponent's takes one sequence after the other, so few
    sequences are best; and 10 matmuls a recurrent matrix. On two cores it took, of 4 sequences of
    64 steps, half to four fifths of a training step of 32 (`Elman` and `LSTM`, 128 and 256 units).

    Args:
      cell: Any cell with a carry, such as the stack that is trained.
      params: Its params.
      xs: A small batch of inputs.
      carry: Where to start; `cell.initial_carry` if None.
      loss: The loss of each step, from that step's output alone, as for `truncated_bptt`, or
        `last(loss)`.
      targets: What the loss compares with, handed to it as they are.
      lags: From 0 to T - 1; 0 and the powers of two if None.
      lengths: As for `unroll`: T is each sequence's own. No `reset`, behind which no change of a
        carry lasts, so that the exponent would be that of a zero.
      mask: As for `unroll`: only the steps that happen count.

    Raises:
      ArgumentError: Lags out of range.
      ShapeError, DtypeError, StructureError: As `gradient_map` and `saturated_share`.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Elman(1, 1)
    >>> params = rnn.ElmanParams(jnp.zeros((1, 1)), jnp.full((1, 1), 0.5), jnp.zeros(1))
    >>> outputs = lambda ys, targets: ys.sum(-1)
    >>> xs = jnp.zeros((8, 4, 1))
    >>> metrics = lambda p: rnn.analysis.gradient_metrics(cell, p, xs, loss=outputs, lags=[0, 4])
    >>> found = jax.jit(metrics)(params)
    >>> round(float(found.lyapunov), 4)  # log(0.5)
    -0.6931
    >>> {lag: round(float(log), 4) for lag, log in found.log_norms.items()}
    {0: -0.6931, 4: -3.4657}
    """
    caller = "gradient_metrics"
    given = sequences(caller, cell, params, xs, carry, Marks(lengths, mask))
    chosen = distances(f"{caller}: lags", lags, given.xs.shape[0])
    path = trajectory(cell, given)
    dys, _ = loss_gradients(caller, loss, path, targets)
    by_lag = last_log_norms(cell, path, dys)
    flat, first = flat_sequences(cell, given), jax.random.key(0)
    rates = settled(TANGENT, cell, flat, 1, 0, lambda steps: steps // 4, 4, first).exponents
    matrices = recurrent_matrices(cell, given.params)
    return GradientMetrics(
        lyapunov=jnp.mean(rates[..., 0], where=flat.counts > 0),
        log_norms={lag: by_lag[lag] for lag in chosen},
        horizon=memory_horizon(by_lag),
        saturated=_over_all_steps(share_by_step(caller, cell, path, SLOPE), path.happens),
        spectral_radius=_of_each(_spectral_radius, matrices),
        spectral_norm=_of_each(_spectral_norm, matrices),
    )


def _over_all_steps(shares: jax.Array, happens: jax.Array) -> jax.Array:
    """The mean of `(nonlinearities, T)` over the steps of all sequences."""
    number = jnp.sum(happens.reshape(happens.shape[0], -1), axis=1, dtype=shares.dtype)[None]
    whole = jnp.where(number > 0, shares * number, 0)
    return jnp.sum(whole) / (jnp.sum(number) * shares.shape[0])


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
    found = extreme_eigenvalues(lambda v: w.T @ (w @ v), w[0], iterations=LANCZOS_ITERATIONS)
    return jnp.sqrt(jnp.maximum(found.eigenvalues[-1], 0))
