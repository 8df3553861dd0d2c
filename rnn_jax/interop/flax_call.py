"""What the `RNN` of Flax means by its arguments, in terms of `unroll`."""

from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.arguments.arrays import array
from rnn_jax.arguments.settings import short
from rnn_jax.cell import Cell, Params
from rnn_jax.errors import ShapeError, StructureError
from rnn_jax.recurrence.steps import flip
from rnn_jax.unroll import unroll


def check_calm(caller: str, layer: Cell) -> None:
    """Raise for a random cell: Flax's loop hands a step no number, and so no noise of its own."""
    if layer.deterministic() != layer:
        raise StructureError(
            f"{caller}: {layer!r} is random, and a step of Flax has no key of its own; hand over "
            "layer.deterministic(), and put Flax's Dropout between the layers."
        )


def feature_shape(library: str, cell: Any, inputs: Any) -> tuple[int, ...]:
    """The axes of `inputs` that are neither time nor batch."""
    axes = getattr(cell, "num_feature_axes", None)
    if not isinstance(axes, int):
        raise StructureError(
            f"RNN: cell must be a cell of {library}, an RNNCellBase, got {short(cell)}; "
            f"to_{library} makes one of a cell of rnn_jax."
        )
    shape = array("RNN: inputs", inputs).shape
    if len(shape) <= axes:
        raise ShapeError(
            f"RNN: inputs must have an axis of time and {axes} of one step, got shape {shape}."
        )
    return shape[len(shape) - axes :]


def as_read(layer: Cell, params: Params, inputs: Any) -> Any:
    """Inputs in the dtype of params: Flax casts both to one dtype, and users rely on it."""
    leaves = jax.tree.leaves(params)
    inputs = array(f"{type(layer).__name__}: inputs", inputs)
    if layer.input.kind is not jnp.floating or not leaves:
        return inputs
    return inputs.astype(leaves[0].dtype)


def over_time(
    settings: Any,
    layer: Cell,
    params: Params,
    inputs: Any,
    initial_carry: Any,
    seq_lengths: Any,
    return_carry: bool | None,
    time_major: bool | None,
    reverse: bool | None,
    keep_order: bool | None,
) -> Any:
    """Run `layer` as the `RNN` of Flax runs a cell; `settings` has what is None."""
    return_carry = settings.return_carry if return_carry is None else return_carry
    time_major = settings.time_major if time_major is None else time_major
    reverse = settings.reverse if reverse is None else reverse
    keep_order = settings.keep_order if keep_order is None else keep_order

    xs = as_read(layer, params, inputs)
    batch_axes = xs.ndim - 1 - len(layer.input.shape)
    time = 0 if time_major else batch_axes
    carry, ys = unroll(
        layer,
        params,
        jnp.moveaxis(xs, time, 0),
        initial_carry,
        lengths=seq_lengths,
        reverse=reverse,
        method=settings.method,
    )
    if reverse and not keep_order:
        ys = flip(ys) if seq_lengths is None else _from_the_front(ys, seq_lengths)
    ys = jnp.moveaxis(ys, 0, time)
    return (carry, ys) if return_carry else ys


def _from_the_front(ys: jax.Array, lengths: Any) -> jax.Array:
    """Each sequence turned around in its own steps, with its padding behind it."""
    steps = jnp.arange(ys.shape[0])
    order = jnp.asarray(lengths)[None] - 1 - steps.reshape(-1, *[1] * jnp.ndim(lengths))
    # Behind its length a sequence has zeros, and any of them will do.
    order = jnp.where(order < 0, order + ys.shape[0], order)
    order = order.reshape(*order.shape, *[1] * (ys.ndim - order.ndim))
    return jnp.take_along_axis(ys, order, axis=0)


__all__ = ["as_read", "check_calm", "feature_shape", "over_time"]
