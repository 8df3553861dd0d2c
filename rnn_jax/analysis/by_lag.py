"""The gradient of each step's loss by how far back it reaches, also where it underflows."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnn_jax.analysis.arguments import Marks, rows, sequences
from rnn_jax.analysis.in_front import there
from rnn_jax.analysis.losses import Last
from rnn_jax.analysis.norms import along, unit
from rnn_jax.analysis.trajectory import Trajectory, loss_gradients, trajectory
from rnn_jax.arguments.settings import LEAST, within
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.losses.loss import Loss
from rnn_jax.unroll import step


class GradientMap(NamedTuple):
    """Gradient norms as natural logarithms: `exp(-2000)` is no number, -2000 is."""

    log_norms: jax.Array
    """`(T, T)`: `log ||dL_t/dc_k||` at `[t, k]`; -inf where k > t, and where it is zero."""
    by_lag: jax.Array
    """`(T,)`: the logarithm of the sum of `||dL_t/dc_{t-lag}||` over t, lag 0 first."""


def gradient_map(
    cell: Cell,
    params: Params,
    xs: Any,
    carry: Carry | None = None,
    *,
    loss: Loss | Last,
    targets: Any = None,
    lengths: Any = None,
    mask: Any = None,
    reset: Any = None,
) -> GradientMap:
    """How much of every step's loss every earlier carry still moves.

    `||dL_t / dc_k|| = ||dL_t/dc_{t} J_{t-1} ... J_k||`, with `c_k` the carry that enters step k,
    all its leaves taken together, and `J_j = dc_{j+1}/dc_j`: the terms of BPTT's double sum
    before they meet the weights. Over a batch the mean of the norms, for each t over the
    sequences that have a loss there.

    Each cotangent travels back as a direction and the logarithm of its length, so that nothing
    under- or overflows, however long the sequence.

    Shapes: xs `(T, *batch, ...)`. Cost: T backward passes, taken together as one pass with T
    times the rows; memory for T carries more than that of one.
    Source: Pascanu, Mikolov & Bengio, On the difficulty of training recurrent neural networks,
    ICML 2013, eqs. 3 to 5.

    Args:
      cell: Any cell with a carry.
      params: Its params.
      xs: The input, as for `unroll`.
      carry: Where to start; `cell.initial_carry` if None.
      loss: `(ys (T, *batch, ...), targets) -> (T, *batch)`, the loss of each step from that
        step's output alone, as for `truncated_bptt`; or `last(loss)`.
      targets: What the loss compares with, handed to it as they are.
      lengths: As for `unroll`; a sequence's steps are those that happen, and t, k and lags count
        them as if there were no others.
      mask: As for `unroll`.
      reset: As for `unroll`; no gradient passes the beginning of a sequence.

    Raises:
      StructureError: For a cell that carries nothing.
      ShapeError, DtypeError, ArgumentError: Where there is no step, where the loss is not one
        number a step, and what `unroll` raises.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Elman(1, 1, activation=lambda a: a)
    >>> params = rnn.ElmanParams(jnp.ones((1, 1)), jnp.full((1, 1), 0.5), jnp.zeros(1))
    >>> outputs = lambda ys, targets: ys.sum(-1)
    >>> xs = jnp.ones((3, 1))
    >>> found = jax.jit(lambda p: rnn.analysis.gradient_map(cell, p, xs, loss=outputs))(params)
    >>> jnp.exp(found.log_norms).round(4).tolist()
    [[0.5, 0.0, 0.0], [0.25, 0.5, 0.0], [0.125, 0.25, 0.5]]
    >>> jnp.exp(found.by_lag).round(4).tolist()
    [1.5, 0.5, 0.125]
    """
    marks = Marks(lengths, mask, reset)
    path = trajectory(cell, sequences("gradient_map", cell, params, xs, carry, marks))
    dys, counted = loss_gradients("gradient_map", loss, path, targets)
    steps = jnp.arange(counted.shape[0], dtype=jnp.int32)
    every = jnp.broadcast_to(steps.reshape(-1, *(1,) * path.batch_axes), counted.shape)
    # (k, t, *batch) -> (t, k, *batch)
    log_norms = jnp.swapaxes(log_norms_of(cell, path, dys, every), 0, 1)
    log_norms = _log_mean(log_norms, jnp.broadcast_to(counted[:, None], log_norms.shape), 2)
    return GradientMap(log_norms, _sum_by_lag(log_norms))


def gradient_by_lag(
    cell: Cell,
    params: Params,
    xs: Any,
    carry: Carry | None = None,
    *,
    loss: Loss | Last,
    targets: Any = None,
    lengths: Any = None,
    mask: Any = None,
    reset: Any = None,
) -> jax.Array:
    """How much of the last step's loss each earlier carry still moves.

    `norm_k = mean over the batch of ||dL_{T-1} / dc_{T-1-k}||`, where `c_t` is the carry that
    enters step t, all its leaves taken together, and k the lag in steps: the last row of
    `gradient_map`, as plain numbers. With `lengths` or a `mask` T is each sequence's own, and a
    lag has the mean over the sequences that are as long.

    Shapes: xs `(T, *batch, ...)`; the result is `(T,)`, lag 0 first.
    Cost: one forward and one backward pass, storing the carries. Source: Pascanu, Mikolov &
    Bengio, On the difficulty of training recurrent neural networks, ICML 2013, eq. 5.

    Takes and raises what `gradient_map` does. Of a loss of each step the last step's counts.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Elman(1, 1, activation=lambda a: a)
    >>> params = rnn.ElmanParams(jnp.ones((1, 1)), jnp.full((1, 1), 0.5), jnp.zeros(1))
    >>> outputs = lambda ys, targets: ys.sum(-1)
    >>> xs = jnp.ones((4, 1))
    >>> norms = jax.jit(lambda p: rnn.analysis.gradient_by_lag(cell, p, xs, loss=outputs))(params)
    >>> norms.round(5).tolist()
    [0.5, 0.25, 0.125, 0.0625]
    """
    marks = Marks(lengths, mask, reset)
    path = trajectory(cell, sequences("gradient_by_lag", cell, params, xs, carry, marks))
    dys, _ = loss_gradients("gradient_by_lag", loss, path, targets)
    return jnp.exp(last_log_norms(cell, path, dys))


def memory_horizon(log_norms: jax.Array, *, share: float = 0.95) -> jax.Array:
    """The effective memory: the smallest lag up to which `share` of the summed norm lies.

    `min {n : sum_{k<=n} norm_k >= share * sum_k norm_k}`, from the logarithms of the norms by
    lag, `(..., T)` with lag 0 first, as `GradientMap.by_lag`; an integer of shape `(...)`. It
    knows nothing of lags that the sequence is too short for. A scalar weight w has about
    `log(1 - share) / log w`. Where a norm is NaN there is no such lag, and it is -1: an integer
    has no NaN, and under jit nothing can be raised.

    Raises `ArgumentError` for a share outside (0, 1], `ShapeError` where there is no lag at all.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> int(rnn.analysis.memory_horizon(jnp.arange(1, 401) * jnp.log(0.9)))
    28
    """
    share = within(LEAST, 1, "a number in (0, 1]")("memory_horizon: share", share)
    log_norms = rows("memory_horizon: log_norms", log_norms)
    summed = lax.cumlogsumexp(log_norms, axis=log_norms.ndim - 1)
    horizon = jnp.argmax(summed >= summed[..., -1:] + math.log(share), axis=-1)
    return jnp.where(jnp.isnan(log_norms).any(-1), -1, horizon)


def last_log_norms(cell: Cell, path: Trajectory, dys: Any) -> jax.Array:
    """`(T,)`: `log ||dL/dc||` of each sequence's last loss by lag, the mean over the batch."""
    counts = path.at.counts
    [log_norms] = jnp.swapaxes(log_norms_of(cell, path, dys, counts[None] - 1), 0, 1)
    steps = log_norms.shape[0]
    lags = jnp.arange(steps, dtype=counts.dtype).reshape(-1, *(1,) * counts.ndim)
    at = jnp.maximum(counts[None] - 1 - lags, 0)
    return _log_mean(jnp.take_along_axis(log_norms, at, axis=0), there(counts, steps), 1)


def log_norms_of(cell: Cell, path: Trajectory, dys: Any, of: jax.Array) -> jax.Array:
    """`(T, R, *batch)`: `log ||dL_t/dc_k||` by the carry of every step k, of R losses.

    `of` `(R, *batch)` are their steps t.
    """
    lead = of.ndim

    def back(state: tuple[Carry, jax.Array], now: tuple[Any, ...]) -> tuple[Any, jax.Array]:
        directions, logs = state
        carry, x, dy, reset, k = now
        _, pull = jax.vjp(lambda c: step(cell, path.params, x, c)[0], carry)
        _, pull_output = jax.vjp(lambda c: step(cell, path.params, x, c)[1], carry)
        (pulled,) = jax.vmap(pull)(directions)
        (started,) = pull_output(dy)
        here = of == k
        # Until its own step a row is zero, at -inf.
        cotangents = jax.tree.map(
            lambda new, old: jnp.where(along(here, old), new[None], old), started, pulled
        )
        directions, growth = unit(cotangents, lead)
        logs = jnp.where(here, 0, logs) + growth
        return (cut(reset, directions, 1), logs), logs

    nothing = jax.tree.map(lambda c: jnp.zeros((of.shape[0], *c.shape[1:]), c.dtype), path.carries)
    logs = jnp.zeros(of.shape, dys.dtype)
    numbers = jnp.arange(dys.shape[0], dtype=of.dtype)
    now = (path.carries, path.xs, dys, path.at.reset, numbers)
    return lax.scan(back, (nothing, logs), now, reverse=True)[1]


def cut(reset: jax.Array | None, cotangents: Carry, before: int) -> Carry:
    """What passes the beginning of a sequence: nothing; `before` axes are in front of the batch."""
    if reset is None:
        return cotangents
    begins = reset.reshape(*(1,) * before, *reset.shape)
    return jax.tree.map(lambda c: jnp.where(along(begins, c), 0, c), cotangents)


def _log_mean(logs: jax.Array, those: jax.Array, lead: int) -> jax.Array:
    """The logarithm of the mean of `exp(logs)` over all but the first `lead` axes.

    Of `those` alone; -inf where there are none.
    """
    logs, those = (x.reshape(*x.shape[:lead], -1) for x in (logs, those))
    total = jax.nn.logsumexp(jnp.where(those, logs, -jnp.inf), axis=-1)
    number = jnp.maximum(jnp.sum(those, axis=-1, dtype=logs.dtype), 1)
    return total - jnp.log(number)


def _sum_by_lag(log_norms: jax.Array) -> jax.Array:
    k = jnp.arange(log_norms.shape[0], dtype=jnp.int32)[None]
    t = k.T + k
    inside = t < k.size
    found = log_norms[jnp.where(inside, t, 0), k]
    return jax.nn.logsumexp(jnp.where(inside, found, -jnp.inf), axis=1)
