"""The gradient of each step's loss by how far back it reaches, also where it underflows."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnn_jax.analysis.norms import along, unit
from rnn_jax.analysis.trajectory import Trajectory, loss_gradients, trajectory
from rnn_jax.arguments.arrays import reals
from rnn_jax.arguments.settings import LEAST, within
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.errors import ShapeError
from rnn_jax.training.truncated_bptt import Loss
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
    targets: Any,
    loss: Loss,
    carry: Carry | None = None,
) -> GradientMap:
    """How much of every step's loss every earlier carry still moves.

    `||dL_t / dc_k|| = ||dL_t/dc_{t} J_{t-1} ... J_k||`, with `c_k` the carry that enters step k,
    all its leaves taken together, and `J_j = dc_{j+1}/dc_j`: the terms of BPTT's double sum
    before they meet the weights. Over a batch the mean of the norms. `loss` is the loss of each
    step, from that step's output alone.

    Each cotangent travels back as a direction and the logarithm of its length, so that nothing
    under- or overflows, however long the sequence.

    Shapes: xs `(T, *batch, ...)`, targets `(T, *batch, ...)`. Cost: T backward passes, taken
    together as one pass with T times the rows; memory for T carries more than that of one.
    Source: Pascanu, Mikolov & Bengio, On the difficulty of training recurrent neural networks,
    ICML 2013, eqs. 3 to 5.

    Raises `ShapeError` where there is no step or the loss is not one number a step,
    `StructureError` for a cell without memory, and what `unroll` raises.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Elman(1, 1, activation=lambda a: a)
    >>> params = rnn.ElmanParams(jnp.ones((1, 1)), jnp.full((1, 1), 0.5), jnp.zeros(1))
    >>> outputs = lambda ys, targets: ys.sum(-1)
    >>> found = rnn.analysis.gradient_map(cell, params, jnp.ones((3, 1)), None, outputs)
    >>> jnp.exp(found.log_norms).round(4).tolist()
    [[0.5, 0.0, 0.0], [0.25, 0.5, 0.0], [0.125, 0.25, 0.5]]
    >>> jnp.exp(found.by_lag).round(4).tolist()
    [1.5, 0.5, 0.125]
    """
    xs, batch_shape, path = trajectory("gradient_map", cell, params, xs, carry)
    dys = loss_gradients("gradient_map", loss, path.ys, targets, batch_shape)
    steps = jnp.arange(xs.shape[0], dtype=jnp.int32)
    log_norms = log_norms_of(cell, params, xs, path, dys, steps, len(batch_shape))
    return GradientMap(log_norms, _sum_by_lag(log_norms))


def gradient_by_lag(
    cell: Cell,
    params: Params,
    xs: Any,
    targets: Any,
    loss: Loss,
    carry: Carry | None = None,
) -> jax.Array:
    """How much of the last step's loss each earlier carry still moves.

    `norm_k = mean over the batch of ||dL_{T-1} / dc_{T-1-k}||`, where `c_t` is the carry that
    enters step t, all its leaves taken together, and k the lag in steps: the last row of
    `gradient_map`, as plain numbers.

    Shapes: xs `(T, *batch, ...)`, targets `(T, *batch, ...)`; the result is `(T,)`, lag 0 first.
    Cost: one forward and one backward pass, storing the carries. Source: Pascanu, Mikolov &
    Bengio, On the difficulty of training recurrent neural networks, ICML 2013, eq. 5.

    Raises what `gradient_map` raises.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Elman(1, 1, activation=lambda a: a)
    >>> params = rnn.ElmanParams(jnp.ones((1, 1)), jnp.full((1, 1), 0.5), jnp.zeros(1))
    >>> last_output = lambda ys, targets: ys.sum(-1)
    >>> norms = rnn.analysis.gradient_by_lag(cell, params, jnp.ones((4, 1)), None, last_output)
    >>> norms.round(5).tolist()
    [0.5, 0.25, 0.125, 0.0625]
    """
    xs, batch_shape, path = trajectory("gradient_by_lag", cell, params, xs, carry)
    dys = loss_gradients("gradient_by_lag", loss, path.ys, targets, batch_shape)
    last = jnp.array([xs.shape[0] - 1], jnp.int32)
    return jnp.exp(log_norms_of(cell, params, xs, path, dys, last, len(batch_shape))[0, ::-1])


def memory_horizon(log_norms: jax.Array, share: float = 0.95) -> jax.Array:
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
    log_norms = reals("memory_horizon: log_norms", log_norms)
    if not log_norms.shape or not log_norms.shape[-1]:
        raise ShapeError(
            "memory_horizon: log_norms must have shape (..., T), a number for each of one lag or "
            f"more, got {log_norms.shape}."
        )
    summed = lax.cumlogsumexp(log_norms, axis=log_norms.ndim - 1)
    horizon = jnp.argmax(summed >= summed[..., -1:] + math.log(share), axis=-1)
    return jnp.where(jnp.isnan(log_norms).any(-1), -1, horizon)


def log_norms_of(
    cell: Cell,
    params: Params,
    xs: Any,
    path: Trajectory,
    dys: Any,
    at: jax.Array,
    batch_axes: int,
) -> jax.Array:
    """`(R, T)`: `log ||dL_t/dc_k||` of the R losses of steps `at` by the carry of every step k."""
    rows, lead = at.shape[0], 1 + batch_axes

    def back(state: tuple[Carry, jax.Array], now: tuple[Any, ...]) -> tuple[Any, jax.Array]:
        directions, logs = state
        carry, x, dy, k = now
        _, pull = jax.vjp(lambda c: step(cell, params, x, c)[0], carry)
        _, pull_output = jax.vjp(lambda c: step(cell, params, x, c)[1], carry)
        (pulled,) = jax.vmap(pull)(directions)
        (started,) = pull_output(dy)
        here = (at == k).reshape(rows, *(1,) * batch_axes)
        # Until its own step a row is zero, at -inf.
        cotangents = jax.tree.map(
            lambda new, old: jnp.where(along(here, old), new[None], old), started, pulled
        )
        directions, growth = unit(cotangents, lead)
        logs = jnp.where(here, 0, logs) + growth
        return (directions, logs), logs

    nothing = jax.tree.map(lambda c: jnp.zeros((rows, *c.shape[1:]), c.dtype), path.carries)
    logs = jnp.zeros((rows, *dys.shape[1 : 1 + batch_axes]), dys.dtype)
    now = (path.carries, xs, dys, jnp.arange(xs.shape[0], dtype=at.dtype))
    _, by_step = lax.scan(back, (nothing, logs), now, reverse=True)
    over = by_step.reshape(*by_step.shape[:2], -1)
    return jax.nn.logsumexp(over, axis=-1).T - math.log(over.shape[-1])


def _sum_by_lag(log_norms: jax.Array) -> jax.Array:
    k = jnp.arange(log_norms.shape[0], dtype=jnp.int32)[None]
    t = k.T + k
    inside = t < k.size
    found = log_norms[jnp.where(inside, t, 0), k]
    return jax.nn.logsumexp(jnp.where(inside, found, -jnp.inf), axis=1)
