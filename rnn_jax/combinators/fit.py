"""Whether layers fit together, found out from shapes alone before anything runs."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.arguments.settings import short
from rnn_jax.cell import Input, Layer
from rnn_jax.errors import ArgumentError
from rnn_jax.methods.scan import Scan
from rnn_jax.noise import some_key
from rnn_jax.recurrence.steps import Steps


def check_part(place: str, layer: Any, kind: type = Layer) -> None:
    """Raise where what a combinator is made of is no layer, or none of the `kind` it needs."""
    if not isinstance(layer, kind):
        raise ArgumentError(f"{place} is {short(layer)}, which is not a rnn_jax.{kind.__name__}.")


@functools.lru_cache(maxsize=256)
def output(layer: Layer) -> Input:
    """What the layer emits at one step: its shape without batch axes, and its dtype."""
    shape, kind = layer.input
    dtype = jnp.int32 if kind is jnp.integer else jnp.float32

    def run(key: jax.Array, xs: Any) -> jax.Array:
        params = layer.init(key)
        carry = layer.initial_carry(params)
        return layer.unroll(params, xs, carry, Steps(key=key), Scan())[1]

    ys = jax.eval_shape(run, some_key(), jax.ShapeDtypeStruct((1, *shape), dtype))
    return Input(ys.shape[1:], ys.dtype)


def fits(emitted: Input, wanted: Input) -> bool:
    """Whether one layer can read what another emits."""
    return emitted.shape == wanted.shape and jnp.issubdtype(emitted.kind, wanted.kind)


def describe(what: Input) -> str:
    """`(3,) of float32`."""
    return f"{what.shape} of {getattr(what.kind, 'name', None) or what.kind.__name__}"
