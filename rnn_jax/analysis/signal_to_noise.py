"""How far a batch agrees on its gradient, by how far back the gradient reaches."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnn_jax.analysis.arguments import Marks, leading, sequences
from rnn_jax.analysis.losses import Last, as_loss
from rnn_jax.analysis.norms import norm
from rnn_jax.analysis.trajectory import loss_gradients, trajectory
from rnn_jax.analysis.weights_by_lag import everything, weight_gradient_by_lag
from rnn_jax.arguments.settings import function
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.checks import check_steps
from rnn_jax.errors import ArgumentError
from rnn_jax.losses.loss import Loss


class SignalToNoise(NamedTuple):
    """What a batch says of its gradient, lag by lag."""

    ratio: jax.Array
    """`(lags,)`: `signal / noise`; infinite where all sequences agree, NaN where all are zero."""
    signal: jax.Array
    """`(lags,)`: `||mean_b G_b||`."""
    noise: jax.Array
    """`(lags,)`: `sqrt(sum_b ||G_b - mean||^2 / (B - 1))`: the standard deviation of one."""


def signal_to_noise_by_lag(
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
) -> SignalToNoise:
    """How far the sequences of a batch agree on the gradient, lag by lag.

    `||mean_b G_b|| / sqrt(sum_b ||G_b - mean||^2 / (B - 1))` with `G_b` what
    `weight_gradient_by_lag` gives for sequence b alone. Of a batch of pure noise it is about
    `1 / sqrt(B)`; a lag below that teaches nothing, however large its gradient.

    Shapes and arguments as there, with at least two sequences in the batch, and targets whose
    axes are those of the losses, `(T, *batch)`, or `(*batch)` for `last(loss)`. A sequence
    without a step counts as none. Cost: that of
    `weight_gradient_by_lag`, one sequence after the other; memory for twice its result. The
    running sums are Welford's, kept as lengths, whose squares might underflow. Source:
    McCandlish, Kaplan & Amodei, An empirical model of large-batch training, 2018,
    arXiv:1812.06162, section 2.2, whose simple noise scale is `ratio^-2`, here lag by lag.

    Raises what `weight_gradient_by_lag` raises, and `ArgumentError` for a batch of one.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.GRU(1, 4)
    >>> params = cell.init(jax.random.key(0))
    >>> xs = jax.random.normal(jax.random.key(1), (10, 8, 1))
    >>> squares = lambda ys, targets: jnp.square(ys).sum(-1)
    >>> by_lag = rnn.analysis.signal_to_noise_by_lag
    >>> found = jax.jit(lambda p: by_lag(cell, p, xs, loss=squares, max_lag=4))(params)
    >>> found.ratio.shape
    (5,)
    """
    caller = "signal_to_noise_by_lag"
    given = sequences(caller, cell, params, xs, carry, Marks(lengths, mask, reset))
    batch_shape = given.batch_shape
    count = math.prod(batch_shape)
    if count < 2:
        raise ArgumentError(
            f"{caller}: noise is what the sequences of a batch differ by, so there must be two at "
            f"least; got batch axes {batch_shape}."
        )
    loss_gradients(caller, loss, trajectory(cell, given), targets)  # for what it refuses
    function(f"{caller}: of", of)
    per_step = as_loss(f"{caller}: loss", loss).per_step
    axes = (given.xs.shape[0], *batch_shape) if per_step else batch_shape
    targets = leading(
        f"{caller}: targets", targets, axes, "steps and batch" if per_step else "batch"
    )

    def flat(tree: Any, before: int) -> Any:
        """The batch in front, as one axis."""
        after = before + len(batch_shape)
        return jax.tree.map(
            lambda x: jnp.moveaxis(
                x.reshape(*x.shape[:before], count, *x.shape[after:]), before, 0
            ),
            tree,
        )

    start = None if carry is None else given.carry
    lengths, mask, reset = check_steps(cell, given.xs.shape[0], batch_shape, lengths, mask, reset)
    batch = (
        flat((given.xs, mask, reset), 1),
        flat(targets, 1 if per_step else 0),
        flat((start, lengths), 0),
    )

    def gradient(sequence: Any) -> Any:
        (xs, mask, reset), targets, (carry, lengths) = sequence
        return weight_gradient_by_lag(
            cell,
            given.params,
            xs,
            carry,
            loss=loss,
            targets=targets,
            of=of,
            max_lag=max_lag,
            lengths=lengths,
            mask=mask,
            reset=reset,
        )

    def welford(state: Any, now: Any) -> tuple[Any, None]:
        mean, spread, n = state
        exists, sequence = now
        n = n + exists.astype(n.dtype)
        share = jnp.where(exists, 1 / jnp.maximum(n, 1), 0)
        difference = jax.tree.map(jnp.subtract, gradient(sequence), mean)
        mean = jax.tree.map(lambda m, d: m + d * share.astype(d.dtype), mean, difference)
        apart = norm(difference, 1) * jnp.sqrt(jnp.where(exists, 1 - share, 0))
        return (mean, norm(jnp.stack([spread, apart], axis=-1), 1), n), None

    shapes = jax.eval_shape(gradient, jax.tree.map(lambda x: x[0], batch))
    mean = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    spread = jnp.zeros_like(norm(mean, 1))
    exist = jnp.ones(count, bool)
    if given.happens is not None:
        exist = jnp.any(given.happens, axis=0).reshape(count)
    state = mean, spread, jnp.zeros((), spread.dtype)
    (mean, spread, n), _ = lax.scan(welford, state, (exist, batch))
    signal, noise = norm(mean, 1), spread / jnp.sqrt(n - 1)
    return SignalToNoise(signal / noise, signal, noise)
