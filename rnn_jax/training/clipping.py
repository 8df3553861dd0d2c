"""A gradient that is too long, made shorter."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from rnn_jax.arguments.settings import above_zero


def clip_by_global_norm(max_norm: float) -> optax.GradientTransformation:
    """Scale a gradient whose global norm is larger down to `max_norm`.

    `g min(1, max_norm / |g|)`, with the norm over all params: up to rounding that of
    `optax.clip_by_global_norm`, which chooses between the gradient and `g / |g| max_norm` number by
    number, and so writes a second gradient. Here one factor scales all, which the compiler takes
    into whatever reads the gradient next: a pass over the params less. Source: Pascanu, Mikolov &
    Bengio, On the difficulty of training recurrent neural networks, ICML 2013.

    Args:
      max_norm: The largest global norm, a positive number.

    Raises:
      ArgumentError: max_norm is none.

    >>> import jax.numpy as jnp, optax, rnn_jax as rnn
    >>> clip = rnn.training.clip_by_global_norm(1.0)
    >>> gradient = {"w": jnp.array([3.0]), "b": jnp.array([4.0])}
    >>> updates, _ = clip.update(gradient, clip.init(gradient))
    >>> round(float(updates["w"][0]), 4), round(float(updates["b"][0]), 4)
    (0.6, 0.8)
    """
    max_norm = above_zero("clip_by_global_norm: max_norm", max_norm)

    def scaled(updates: Any, params: Any) -> Any:
        del params
        factor = jnp.minimum(1, max_norm / optax.tree.norm(updates))
        return jax.tree.map(lambda u: factor.astype(u.dtype) * u, updates)

    return optax.stateless(scaled)
