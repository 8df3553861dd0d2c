"""The gradient of one step's loss by how far back it reaches."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.errors import ShapeError
from rnn_jax.training import Loss
from rnn_jax.unroll import step


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
    enters step t, all its leaves taken together, and k the lag in steps.

    Shapes: xs `(T, *batch, ...)`, targets `(T, *batch, ...)`; the result is `(T,)`, lag 0 first.
    Cost: one forward and one backward pass, storing as `Scan` does. Source: Pascanu, Mikolov &
    Bengio, On the difficulty of training recurrent neural networks, ICML 2013, eq. 5.

    Raises `ShapeError` where there is no step.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Elman(1, 1, activation=lambda a: a)
    >>> params = rnn.ElmanParams(jnp.ones((1, 1)), jnp.full((1, 1), 0.5), jnp.zeros(1))
    >>> last_output = lambda ys, targets: ys.sum(-1)
    >>> rnn.analysis.gradient_by_lag(cell, params, jnp.ones((4, 1)), None, last_output).tolist()
    [0.5, 0.25, 0.125, 0.0625]
    """
    if not xs.shape[0]:
        raise ShapeError("gradient_by_lag: xs has no steps, so there is no last loss.")
    batch_shape = xs.shape[1 : xs.ndim - len(cell.input.shape)]
    if carry is None:
        carry = cell.initial_carry(params, batch_shape)

    def last_loss(nudges: Carry) -> jax.Array:
        def nudged(carry: Carry, at: tuple[Any, Carry]) -> tuple[Carry, jax.Array]:
            x, nudge = at
            return step(cell, params, jax.tree.map(jnp.add, carry, nudge), x)

        _, ys = lax.scan(nudged, carry, (xs, nudges))
        # Sequences of a batch do not meet, so the gradient of the sum is each one's own.
        return loss(ys, targets)[-1].sum()

    still = jax.tree.map(lambda c: jnp.zeros((xs.shape[0], *c.shape), c.dtype), carry)
    grads = jax.grad(last_loss)(still)
    lead = 1 + len(batch_shape)
    flat = [g.reshape(*g.shape[:lead], -1) for g in jax.tree.leaves(grads)]
    norms = _norm(jnp.concatenate(flat, axis=-1))
    return norms.reshape(xs.shape[0], -1).mean(-1)[::-1]


def _norm(v: jax.Array) -> jax.Array:
    """Euclidean norm over the last axis, where the squares may underflow and the norm does not."""
    largest = jnp.max(jnp.abs(v), axis=-1, keepdims=True)
    scaled = v / jnp.where(largest > 0, largest, 1)
    return largest[..., 0] * jnp.sqrt(jnp.sum(jnp.square(scaled), axis=-1))
