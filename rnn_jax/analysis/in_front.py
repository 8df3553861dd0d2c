"""Sequences with the steps that happen in front: what every analysis by lag goes through."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax.analysis.arguments import Sequences


class InFront(NamedTuple):
    """Step t of a sequence is the t-th that happens; what stands behind the last is no step."""

    xs: Any
    """`(T, *batch, ...)`."""
    reset: jax.Array | None
    """`(T, *batch)` of bool; None where no sequence begins anew."""
    counts: jax.Array
    """`(*batch)`: how many steps each sequence has, an int32."""
    order: jax.Array | None
    """`(T, *batch)`: where each step stood; None where all stand where they stood."""


def in_front(given: Sequences) -> InFront:
    """Move the steps that happen to the front, each with its own input and its own beginning."""
    steps = given.xs.shape[0]
    if given.happens is None:
        counts = jnp.full(given.batch_shape, steps, jnp.int32)
        return InFront(given.xs, given.reset, counts, None)
    counts = jnp.sum(given.happens, axis=0, dtype=jnp.int32)
    order = jnp.argsort(~given.happens, axis=0, stable=True)
    reset = given.reset
    if reset is not None:
        # A beginning that stands at a gap is one of the next step that happens.
        begun = ordered(order, jnp.cumsum(reset, axis=0, dtype=jnp.int32))
        before = jnp.concatenate([jnp.zeros_like(begun[:1]), begun[:-1]])
        reset = begun > before
    return InFront(ordered(order, given.xs), reset, counts, order)


def ordered(order: jax.Array | None, tree: Any) -> Any:
    """The leaves `(T, *batch, ...)` with the steps that happen in front."""
    if order is None:
        return tree

    def leaf(x: jax.Array) -> jax.Array:
        index = order.reshape(*order.shape, *(1,) * (x.ndim - order.ndim))
        return jnp.take_along_axis(x, index, axis=0)

    return jax.tree.map(leaf, tree)


def put_back(order: jax.Array | None, tree: Any) -> Any:
    """The way back of `ordered`."""
    return tree if order is None else ordered(jnp.argsort(order, axis=0), tree)


def there(counts: jax.Array, steps: int) -> jax.Array:
    """`(T, *batch)`: whether a sequence has a step, or a lag, of that number."""
    number = jnp.arange(steps, dtype=counts.dtype).reshape(steps, *(1,) * counts.ndim)
    return number < counts[None]
