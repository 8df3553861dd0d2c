"""How far a batch agrees on its gradient, by how far back the gradient reaches."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnn_jax.analysis.norms import norm
from rnn_jax.analysis.trajectory import loss_gradients, trajectory
from rnn_jax.analysis.weights_by_lag import everything, weight_gradient_by_lag
from rnn_jax.arguments.settings import function
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.errors import ArgumentError, ShapeError
from rnn_jax.training.truncated_bptt import Loss


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
    targets: Any,
    loss: Loss,
    carry: Carry | None = None,
    *,
    of: Callable[[Params], Any] = everything,
    lags: int | None = None,
) -> SignalToNoise:
    """How far the sequences of a batch agree on the gradient, lag by lag.

    `||mean_b G_b|| / sqrt(sum_b ||G_b - mean||^2 / (B - 1))` with `G_b` what
    `weight_gradient_by_lag` gives for sequence b alone. Of a batch of pure noise it is about
    `1 / sqrt(B)`; a lag below that teaches nothing, however large its gradient.

    Shapes and arguments as there, with at least two sequences in the batch. Cost: that of
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
    >>> found = rnn.analysis.signal_to_noise_by_lag(cell, params, xs, None, squares, lags=5)
    >>> found.ratio.shape
    (5,)
    """
    caller = "signal_to_noise_by_lag"
    xs, batch_shape, path = trajectory(caller, cell, params, xs, carry)
    loss_gradients(caller, loss, path.ys, targets, batch_shape)  # for what it refuses
    function(f"{caller}: of", of)
    sequences = math.prod(batch_shape)
    if sequences < 2:
        raise ArgumentError(
            f"{caller}: noise is what the sequences of a batch differ by, so there must be two at "
            f"least; got batch axes {batch_shape}."
        )
    lead = (len(xs), *batch_shape)
    for leaf in jax.tree.leaves(targets):
        if jnp.shape(leaf)[: len(lead)] != lead:
            raise ShapeError(
                f"{caller}: targets must have the axes of steps and batch, {lead}, in front, got "
                f"shape {jnp.shape(leaf)}."
            )
    first = jax.tree.map(lambda c: c[0], path.carries)

    def flat(tree: Any, before: int) -> Any:
        """The batch in front, as one axis."""
        return jax.tree.map(
            lambda x: jnp.moveaxis(
                jnp.asarray(x).reshape(
                    *x.shape[:before], sequences, *x.shape[before + len(batch_shape) :]
                ),
                before,
                0,
            ),
            tree,
        )

    batch = (flat(xs, 1), flat(targets, 1), flat(first, 0))

    def gradient(sequence: Any) -> Any:
        xs, targets, carry = sequence
        return weight_gradient_by_lag(cell, params, xs, targets, loss, carry, of=of, lags=lags)

    def welford(state: Any, now: Any) -> tuple[Any, None]:
        mean, spread = state
        n, sequence = now
        difference = jax.tree.map(jnp.subtract, gradient(sequence), mean)
        mean = jax.tree.map(lambda m, d: m + d / n, mean, difference)
        apart = norm(difference, 1) * jnp.sqrt((n - 1) / n)
        return (mean, norm(jnp.stack([spread, apart], axis=-1), 1)), None

    shapes = jax.eval_shape(gradient, jax.tree.map(lambda x: x[0], batch))
    mean = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    spread = jnp.zeros_like(norm(mean, 1))
    numbers = jnp.arange(1, sequences + 1, dtype=spread.dtype)
    (mean, spread), _ = lax.scan(welford, (mean, spread), (numbers, batch))
    signal, noise = norm(mean, 1), spread / jnp.sqrt(jnp.asarray(sequences - 1, spread.dtype))
    return SignalToNoise(signal / noise, signal, noise)
