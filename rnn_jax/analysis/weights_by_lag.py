"""The gradient of the weights, split by how far back the step lies that used them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from rnn_jax.analysis.arguments import Marks, sequences
from rnn_jax.analysis.losses import Last
from rnn_jax.analysis.trajectory import Trajectory, loss_gradients, trajectory
from rnn_jax.arguments.settings import at_least, function
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.losses.loss import Loss
from rnn_jax.unroll import step

CHUNK = 16
"""How many steps write into the result at once: it is large, and writing is what costs."""


def everything(params: Params) -> Params:
    """All of the params: the default of what is looked at."""
    return params


def weight_gradient_by_lag(
    cell: Cell,
    params: Params,
    xs: Any,
    carry: Carry | None = None,
    *,
    loss: Loss | Last,
    targets: Any = None,
    of: Callable[[Params], Any] = everything,
    max_lag: int | None = None,
    lengths: Any = None,
    mask: Any = None,
    reset: Any = None,
) -> Any:
    """The double sum of BPTT, summed over all pairs of steps with one lag between them.

    `dL/dw = sum_lag G_lag`, `G_lag = sum_t dL_t/dh_t (dh_t/dh_{t-lag}) dh_{t-lag}/dw`, where L is
    the mean of the losses over steps and batch, and the last factor sees w in step t - lag alone.
    Inputs are projected in the step that reads them; the readout has lag 0; params of a learned
    initial carry count with the step that starts from it. So the sum over lags is `jax.grad`.

    Shapes: xs `(T, *batch, ...)`; the result is the pytree `of(params)` with an axis of lags in
    front of every leaf. Cost: a backward pass a lag, taken together; memory for as many copies of
    `of(params)` and of 16 carries. Sources: Werbos, Proc. IEEE 78, 1990; Pascanu, Mikolov &
    Bengio, ICML 2013, eqs. 3 and 4.

    Args:
      cell: A cell.
      params: Its params.
      xs: The input, as for `unroll`.
      carry: Where to start; `cell.initial_carry` if None.
      loss: The loss of each step, from that step's output alone, or `last(loss)`.
      targets: What the loss compares with, handed to it as they are.
      of: Which leaves, such as `lambda params: params.w_hh`.
      max_lag: The largest lag to follow, from 0 on; T - 1 if None.
      lengths: As for `unroll`; L is the mean over the losses of steps that happen.
      mask: As for `unroll`.
      reset: As for `unroll`.

    Raises:
      ArgumentError: max_lag is negative or no integer, or as `gradient_map`.
      ShapeError, DtypeError, StructureError: As `gradient_map`.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Elman(1, 1, activation=lambda a: a)
    >>> params = rnn.ElmanParams(jnp.ones((1, 1)), jnp.full((1, 1), 0.5), jnp.zeros(1))
    >>> loss = rnn.analysis.last(lambda y, target: y[..., 0])
    >>> rnn.analysis.weight_gradient_by_lag(
    ...     cell, params, jnp.ones((3, 1)), loss=loss, of=lambda params: params.b_h
    ... ).tolist()
    [[1.0], [0.5], [0.25]]
    """
    caller = "weight_gradient_by_lag"
    given = sequences(caller, cell, params, xs, carry, Marks(lengths, mask, reset))
    path = trajectory(cell, given)
    dys, counted = loss_gradients(caller, loss, path, targets)
    function(f"{caller}: of", of)
    steps = counted.shape[0]
    lags = steps if max_lag is None else 1 + at_least(0)(f"{caller}: max_lag", max_lag)
    dys = dys / jnp.maximum(jnp.sum(counted, dtype=dys.dtype), 1)
    start = None if carry is not None else given.batch_shape
    return _by_lag(cell, path, dys, min(lags, steps), of, start)


def _by_lag(
    cell: Cell,
    path: Trajectory,
    dys: Any,
    lags: int,
    of: Callable[[Params], Any],
    start: tuple[int, ...] | None,
) -> Any:
    """`start`: the batch axes of an initial carry that the params made, or None."""
    params = path.params

    def one(cotangents: Carry, now: tuple[Any, ...]) -> tuple[Carry, Carry]:
        # Row l is the cotangent of the loss l steps on, so it moves up by one at every step.
        carry, x, dy, reset = now
        _, pull = jax.vjp(lambda c: step(cell, params, x, c, reset=reset)[0], carry)
        _, pull_output = jax.vjp(lambda c: step(cell, params, x, c, reset=reset)[1], carry)
        (own,) = pull_output(dy)
        (earlier,) = jax.vmap(pull)(jax.tree.map(lambda c: c[:-1], cotangents))
        return jax.tree.map(_on_top, own, earlier), cotangents

    def back(state: tuple[Carry, Any], chunk: tuple[Any, ...]) -> tuple[Any, None]:
        cotangents, total = state
        cotangents, arriving = lax.scan(one, cotangents, chunk, reverse=True)
        # For the params all steps of a chunk are one batch of one step.
        carries, xs, dys, reset = chunk
        _, pull = jax.vjp(lambda p: step(cell, p, xs, carries, reset=reset)[0], params)
        _, pull_output = jax.vjp(lambda p: step(cell, p, xs, carries, reset=reset)[1], params)
        (own,) = pull_output(dys)
        (earlier,) = jax.vmap(pull)(jax.tree.map(lambda c: jnp.moveaxis(c[:, :-1], 1, 0), arriving))
        grads = of(jax.tree.map(_on_top, own, earlier))
        return (cotangents, jax.tree.map(jnp.add, total, grads)), None

    def zeros(tree: Any, drop: int) -> Any:
        return jax.tree.map(lambda leaf: jnp.zeros((lags, *leaf.shape[drop:]), leaf.dtype), tree)

    # To whole chunks by more of the last step, whose loss does not count.
    rest = -dys.shape[0] % CHUNK
    dys = jnp.concatenate([dys, jnp.zeros((rest, *dys.shape[1:]), dys.dtype)])
    carries, xs, reset = jax.tree.map(
        lambda a: jnp.concatenate([a, jnp.broadcast_to(a[-1:], (rest, *a.shape[1:]))]),
        (path.carries, path.xs, path.at.reset),
    )
    chunks = jax.tree.map(lambda a: a.reshape(-1, CHUNK, *a.shape[1:]), (carries, xs, dys, reset))
    state = zeros(path.carries, 1), zeros(of(params), 0)
    (cotangents, total), _ = lax.scan(back, state, chunks, reverse=True)
    if start is not None:
        # Row l is now the loss of step l, by the carry before step 0.
        _, pull = jax.vjp(lambda p: cell.initial_carry(p, start), params)
        (learned,) = jax.vmap(pull)(cotangents)
        total = jax.tree.map(jnp.add, total, of(learned))
    return total


def _on_top(own: jax.Array, earlier: jax.Array) -> jax.Array:
    return jnp.concatenate([own[None], earlier])
