"""What a score is: how well each place of a memory fits a query."""

import abc
import string
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arithmetic import widened
from rnn_jax.cell import Params
from rnn_jax.recurrence.memory import Memory


class Score(abc.ABC):
    """How well each place of a memory fits a query: a frozen dataclass of settings.

    What it needs of the memory alone, the keys, is `memory @ w_key`, and made once a memory.
    Axes: a query `(*lead, *batch, Q)` meets keys `(S, *batch, A)`; whatever leads is compared with
    the same keys, be it the steps of a sequence or the beams of a search.
    """

    located: ClassVar[bool] = False
    """Whether it reads the weights of the step before, which are then a part of the carry."""

    @abc.abstractmethod
    def init(
        self, key: jax.Array, query_size: int, memory_size: int, dtype: DTypeLike
    ) -> tuple[jax.Array | None, Params]:
        """`w_key` `(M, A)`, None where the values are their own keys; and all other params."""

    @abc.abstractmethod
    def scores(self, params: Params, query: jax.Array, keys: jax.Array, previous: Any) -> jax.Array:
        """`(*lead, *batch, S)`, from a query and the weights of the step before, if `located`."""


def products(query: jax.Array, keys: jax.Array) -> jax.Array:
    """`query . key` of each query `(*lead, *batch, A)` and each key `(S, *batch, A)`: one matmul.

    The result is `(*lead, *batch, S)`.
    """
    lead, batch = _axes(query, keys)
    return jnp.einsum(f"{lead}{batch}Z,S{batch}Z->{lead}{batch}S", query, keys)


def mixed(weights: jax.Array, values: jax.Array) -> jax.Array:
    """`sum_s weight_s value_s` for `(*lead, *batch, S)` and `(S, *batch, M)`: one matmul.

    The result is `(*lead, *batch, M)`.
    """
    lead, batch = _axes(weights, values)
    return jnp.einsum(f"{lead}{batch}S,S{batch}Z->{lead}{batch}Z", weights, values)


def beside(places: jax.Array, query: jax.Array) -> jax.Array:
    """What is said of each place, `(S, *batch, A)`, with the axes of a query before it.

    `(*ones, *batch, S, A)`, to be joined with `(*lead, *batch, 1, A)`.
    """
    lead, _ = _axes(query, places)
    return jnp.expand_dims(jnp.moveaxis(places, 0, -2), tuple(range(len(lead))))


def normalized(scores: jax.Array, memory: Memory) -> jax.Array:
    """The softmax over the places that there are; zeros where there is none at all."""
    exponents = widened(scores)
    least = jnp.finfo(exponents.dtype).min
    if memory.valid is not None:
        there = beside(memory.valid[..., None], exponents)[..., 0] > 0.5
        there = jnp.broadcast_to(there, exponents.shape)
        exponents = jnp.where(there, exponents, least)
    top = jnp.max(exponents, -1, keepdims=True, initial=least)
    parts = jnp.exp(exponents - jax.lax.stop_gradient(top))
    if memory.valid is not None:
        parts = jnp.where(there, parts, 0)
    total = jnp.sum(parts, -1, keepdims=True)
    return (parts / jnp.where(total == 0, 1, total)).astype(scores.dtype)


def _axes(query: jax.Array, places: jax.Array) -> tuple[str, str]:
    """A letter for each axis that only the query has, and for each batch axis that both have."""
    letters = string.ascii_lowercase[: query.ndim - 1]
    lead = query.ndim - places.ndim + 1
    return letters[:lead], letters[lead:]
