"""Layer normalisation: each vector by its own mean and deviation."""

from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.arguments.settings import number
from rnn_jax.arithmetic import at_least_float32, row
from rnn_jax.errors import ArgumentError


def normalize(x: jax.Array, epsilon: float) -> jax.Array:
    """`(x - mean(x)) / sqrt(var(x) + epsilon)` over the last axis, for any leading axes.

    A constant vector gives zeros, with the finite derivative of size `1 / sqrt(epsilon)`; so
    does the recurrent part of a first step that starts from a carry of zeros. The statistics of
    a dtype narrower than float32 are taken in float32, and the result is cast back.
    """
    wide = x.astype(at_least_float32(x.dtype))
    centred = wide - jnp.mean(wide, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
    return (centred * jax.lax.rsqrt(variance + epsilon)).astype(x.dtype)


def layer_norm(x: jax.Array, gain: jax.Array, bias: jax.Array, epsilon: float) -> jax.Array:
    """`gain * normalize(x) + bias`: Ba, Kiros & Hinton, 2016, arXiv:1607.06450, equation 4."""
    return row(gain, x) * normalize(x, epsilon) + row(bias, x)


def positive_epsilon(name: str, value: Any) -> float:
    """The rule of an epsilon, for 0 lets a constant vector divide by zero."""
    epsilon = number(value)
    if epsilon is None or epsilon <= 0:
        raise ArgumentError(
            f"{name} must be a positive number such as 1e-5, got {value!r}: the variance of a "
            "constant vector is 0, and epsilon is what it is divided by."
        )
    return epsilon
