"""The average of the weights over updates, which is often better than the last of them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from rnn_jax.arguments.settings import one_rate, short
from rnn_jax.cell import Params
from rnn_jax.errors import ArgumentError
from rnn_jax.training.states import states_of


class AverageParamsState(NamedTuple):
    """The decaying sum of the params after each update, and the same sum of ones."""

    total: Params
    """`(1 - decay) sum_k decay^k p_{n-k}`."""
    weight: jax.Array
    """`(1 - decay) sum_k decay^k`, a scalar: what the sum would be of params that are all 1."""


def average_params(decay: float) -> optax.GradientTransformation:
    """Keep the exponential moving average of the params beside them.

    `optax.ema` averages updates; this averages the params that they lead to, and leaves the updates
    as they are. So it must come last in a chain. What it keeps is in the optimiser's state, and so
    in its checkpoints; `averaged_params` reads it. Cost: as much memory as the params, and one
    multiplication and addition a number and update.

    Sources: Polyak & Juditsky, Acceleration of stochastic approximation by averaging, SIAM Journal
    on Control and Optimization 30, 1992; with a decay, its bias corrected as in Kingma & Ba, Adam,
    ICLR 2015.

    Args:
      decay: In `[0, 1)`: how much of the average an update leaves. About the last
        `1 / (1 - decay)` updates count.

    Raises:
      ArgumentError: decay out of range, or an update without params.

    >>> import jax.numpy as jnp, optax, rnn_jax as rnn
    >>> optimizer = optax.chain(optax.sgd(1.0), rnn.training.average_params(0.5))
    >>> params = jnp.array(0.0)
    >>> state = optimizer.init(params)
    >>> for gradient in (-1.0, -1.0):  # params become 1, then 2
    ...     updates, state = optimizer.update(jnp.array(gradient), state, params)
    ...     params = optax.apply_updates(params, updates)
    >>> round(float(rnn.training.averaged_params(state)), 4)  # (2 + 0.5 * 1) / (1 + 0.5)
    1.6667
    """
    decay = one_rate("average_params: decay", decay)

    def mixed(old: jax.Array, new: Any) -> jax.Array:
        return decay * old + (1 - decay) * new

    def init(params: Params) -> AverageParamsState:
        dtype = jnp.result_type(*jax.tree.leaves(params))
        return AverageParamsState(jax.tree.map(jnp.zeros_like, params), jnp.zeros((), dtype))

    def update(
        updates: Any, state: AverageParamsState, params: Any = None
    ) -> tuple[Any, AverageParamsState]:
        if params is None:
            raise ArgumentError(
                "average_params: an update needs the params to average; call "
                "optimizer.update(gradients, state, params)."
            )
        new = optax.apply_updates(params, updates)
        total = jax.tree.map(mixed, state.total, new)
        return updates, AverageParamsState(total, mixed(state.weight, 1))

    return optax.GradientTransformation(init, update)


def averaged_params(opt_state: optax.OptState) -> Params:
    """The average that `average_params(decay)` has kept: `sum_k decay^k p_{n-k} / sum_k decay^k`.

    Pure, and can be compiled. Before the first update there is nothing to average: under `jit`,
    where nothing can be raised, that is NaN.

    Args:
      opt_state: Of an optimiser that has `average_params` somewhere in it, once.

    Raises:
      ArgumentError: It is not there, or more than once, or there was no update.
    """
    found = states_of(opt_state, AverageParamsState)
    if len(found) != 1:
        raise ArgumentError(
            f"averaged_params: the state must be of an optimiser that has average_params(decay) in "
            f"it once, and has it {len(found)} times in {short(opt_state)}."
        )
    total, weight = found[0]
    if not isinstance(weight, jax.core.Tracer) and weight == 0:
        raise ArgumentError(
            "averaged_params: there was no update yet, and so nothing to average; take the params."
        )
    return jax.tree.map(lambda t: t / weight.astype(t.dtype), total)
