"""Noise, drawn before the loop over time: a random layer reads it beside its input."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax.errors import ArgumentError
from rnn_jax.recurrence.steps import Steps


class Noisy(NamedTuple):
    """Inputs, or params, with what was drawn for them."""

    value: Any
    noise: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Hollow:
    """What a layer drew for inputs that are made within the loop: a place is left for them.

    A pytree, so that each step has its own part of the noise.
    """

    noise: list[Any]
    """The leaves of what was drawn, without the input."""
    structure: Any = dataclasses.field(metadata={"static": True})
    """Of what was drawn, with the input."""
    place: int = dataclasses.field(metadata={"static": True})
    """Which leaf the input is."""

    def filled(self, x: Any) -> Any:
        """What the layer reads: the noise, and this input."""
        return self.structure.unflatten([*self.noise[: self.place], x, *self.noise[self.place :]])


def drawn_around(layer: Any, params: Any, like: jax.Array, steps: Steps) -> tuple[Any, Any]:
    """`layer.draw` for inputs as `like` that are still to be made: `(params, Hollow)`.

    None in place of a `Hollow` where the layer draws nothing for each step.
    """
    params, drawn = layer.draw(params, like, steps)
    if drawn is like:
        return params, None
    leaves, structure = jax.tree.flatten(drawn)
    places = [place for place, leaf in enumerate(leaves) if leaf is like]
    if len(places) != 1:
        raise ArgumentError(
            f"{layer!r} changes its inputs before the loop over time, as variational dropout of "
            "inputs does, but here a part of them is made within it; put a dropout of inputs in "
            "front of the cell instead."
        )
    (place,) = places
    return params, Hollow(leaves[:place] + leaves[place + 1 :], structure, place)


@functools.cache
def some_key() -> Any:
    """The shape and dtype of a key, for `jax.eval_shape`, which must start no backend."""
    return jax.eval_shape(lambda: jax.random.key(0))


def missing_key(what: Any) -> ArgumentError:
    """The error of a random layer without a key; `what` is the layer, or names it."""
    return ArgumentError(
        f"{what} is random and needs a key: pass key=jax.random.key(...) to unroll or step; for "
        "evaluation model.deterministic() takes the same params."
    )


def required_key(layer: Any, key: Any) -> jax.Array:
    """The key of a random layer; raises where there is none."""
    if key is None:
        raise missing_key(layer)
    return key


def survivors(key: jax.Array, rate: float, shape: tuple[int, ...]) -> jax.Array:
    """Which units survive a dropout of `rate`."""
    return jax.random.bernoulli(key, 1 - rate, shape)


def survivors_by_step(layer: Any, steps: Steps, rate: float, shape: tuple[int, ...]) -> jax.Array:
    """Which units survive at each step, of `shape` `(T, ...)`, each step from its own key."""
    key = required_key(layer, steps.key)

    def one(t: jax.Array) -> jax.Array:
        return survivors(jax.random.fold_in(key, t), rate, shape[1:])

    return jax.vmap(one)(steps.first + jnp.arange(shape[0], dtype=jnp.uint32))


def drop(survive: jax.Array, x: jax.Array, rate: float) -> jax.Array:
    """Zero what does not survive, and divide the rest by `1 - rate`, which keeps the mean."""
    return jnp.where(survive, x / (1 - rate), jnp.zeros_like(x))
