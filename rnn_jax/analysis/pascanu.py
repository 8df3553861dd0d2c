"""The bound on how gradients vanish, and the regulariser that keeps them from it."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from rnn_jax.analysis.arguments import Marks, matrix, sequences
from rnn_jax.analysis.by_lag import cut
from rnn_jax.analysis.losses import Last
from rnn_jax.analysis.norms import along, norm, unit
from rnn_jax.analysis.trajectory import Trajectory, loss_gradients, trajectory
from rnn_jax.arguments.settings import above_zero
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.losses.loss import Loss
from rnn_jax.unroll import step


def gradient_bound(w: jax.Array, *, gamma: float = 1.0) -> jax.Array:
    """What a step multiplies the gradient by at most: `gamma sigma_max(w)`, w its `w_hh`.

    As `||dh_{t+1}/dh_t|| = ||diag(f'(a)) w|| <= gamma sigma_max`, with gamma the steepest
    slope of the activation (1 for tanh and ReLU, 1/4 for the sigmoid), the gradient over n steps
    is at most the n-th power. Below 1 it vanishes for certain; that it be at least 1 is
    necessary, not sufficient, for it to explode. Of a gated cell the bound says nothing.

    Shapes: w `(H, H)`; a scalar. Cost: one singular value decomposition, O(H^3). Source:
    Pascanu, Mikolov & Bengio, On the difficulty of training recurrent neural networks, ICML
    2013, eqs. 6 and 7.

    Raises `ShapeError` for what is not a matrix.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> float(rnn.analysis.gradient_bound(jnp.diag(jnp.array([2.0, -3.0])), gamma=0.25))
    0.75
    """
    w, gamma = matrix("gradient_bound: w", w), above_zero("gradient_bound: gamma", gamma)
    return gamma * jnp.linalg.norm(w, 2)


def omega(
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
    """Pascanu's regulariser: it asks each step to keep the length of the gradient that passes it.

    `Omega = sum_{k=0}^{T-2} (||dL/dc_{k+1} dc_{k+1}/dc_k|| / ||dL/dc_{k+1}|| - 1)^2`, with `c_k`
    the carry that enters step k, all its leaves taken together, and L the sum of all losses from
    step k + 1 on; the mean over the batch. The last step of a sequence, behind which no gradient
    comes from later ones, has no term, and neither has a step where that gradient is zero. Only
    the direction in which the error goes back is held to its length, so others may still be
    forgotten. To train with it, add it to the loss, times a weight.

    As in the paper its derivative is the immediate one: `dL/dc_{k+1}` and `c_k` count as
    constants, and the params act through `dc_{k+1}/dc_k` alone. So its gradient costs no
    backward pass through time, and is not that of finite differences.

    Shapes: xs `(T, *batch, ...)`; a scalar. Cost: one forward and one backward pass, and one
    product with the Jacobians of all steps at once. Source: Pascanu, Mikolov & Bengio, On the
    difficulty of training recurrent neural networks, ICML 2013, eqs. 9 and 10, for any cell.

    Takes and raises what `gradient_map` does.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Elman(1, 1, activation=lambda a: a)
    >>> params = rnn.ElmanParams(jnp.ones((1, 1)), jnp.full((1, 1), 0.5), jnp.zeros(1))
    >>> outputs = lambda ys, targets: ys.sum(-1)
    >>> float(rnn.analysis.omega(cell, params, jnp.ones((4, 1)), loss=outputs))
    0.75
    """
    marks = Marks(lengths, mask, reset)
    path = trajectory(cell, sequences("omega", cell, params, xs, carry, marks))
    dys, _ = loss_gradients("omega", loss, path, targets)
    directions, there = lax.stop_gradient(_directions(cell, path, dys))
    # Row k + 1 is the gradient that arrives at the carry which step k made.
    directions, there = jax.tree.map(lambda leaf: leaf[1:], (directions, there))
    carries = lax.stop_gradient(jax.tree.map(lambda c: c[:-1], path.carries))
    # With the carries constant, all steps are one batch of one step.
    _, pull = jax.vjp(lambda carries: step(cell, path.params, path.xs[:-1], carries)[0], carries)
    (pulled,) = pull(directions)
    kept = norm(pulled, 1 + path.batch_axes)
    return jnp.sum(jnp.where(there, jnp.square(kept - 1), 0), axis=0).mean()


def _directions(cell: Cell, path: Trajectory, dys: Any) -> tuple[Carry, jax.Array]:
    """The direction of `dL/dc_k` for every step k, and whether there is one."""
    batch_axes = path.batch_axes

    def back(state: tuple[Carry, jax.Array], now: tuple[Any, ...]) -> tuple[Any, Any]:
        direction, log = state
        carry, x, dy, reset = now
        _, pull = jax.vjp(lambda c: step(cell, path.params, x, c), carry)
        (later,) = pull((direction, jnp.zeros_like(dy)))
        (own,) = pull((jax.tree.map(jnp.zeros_like, direction), dy))
        # What comes from later is exp(log) times as long; the longer of the two has length 1.
        own, log_own = unit(own, batch_axes)
        largest = jnp.maximum(log, log_own)
        largest = jnp.where(jnp.isfinite(largest), largest, 0)
        both = jax.tree.map(
            lambda later, own: (
                later * along(jnp.exp(log - largest), later)
                + own * along(jnp.exp(log_own - largest), own)
            ),
            later,
            own,
        )
        direction, growth = unit(cut(reset, both, 0), batch_axes)
        log = largest + growth
        return (direction, log), (direction, log > -jnp.inf)

    nothing = jax.tree.map(lambda c: jnp.zeros_like(c[0]), path.carries)
    log = jnp.full(dys.shape[1 : 1 + batch_axes], -jnp.inf, dys.dtype)
    now = (path.carries, path.xs, dys, path.at.reset)
    _, found = lax.scan(back, (nothing, log), now, reverse=True)
    return found
