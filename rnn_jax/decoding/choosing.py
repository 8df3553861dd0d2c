"""How the next token is chosen: functions of logits, one after the other, and then a draw.

Each is a value and a pytree of its numbers, so that other numbers are no other program.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.arguments.arrays import scalar
from rnn_jax.arguments.settings import fraction, not_negative, positive, settle, short
from rnn_jax.errors import ArgumentError, ShapeError

Filter = Callable[[jax.Array], jax.Array]
"""`logits (*batch, V) -> logits (*batch, V)`: -inf for a token that is not to be drawn."""


def _of_a_number(kind: type) -> type:
    """A dataclass of one number, as a pytree of it."""

    def rebuilt(_: None, leaves: Any) -> Any:
        # Past the constructor: what JAX puts in the place of a number is not to be looked at.
        made: Any = object.__new__(kind)
        for field, leaf in zip(dataclasses.fields(kind), leaves, strict=True):
            object.__setattr__(made, field.name, leaf)
        return made

    def leaves(value: Any) -> tuple[tuple[Any, ...], None]:
        return tuple(getattr(value, field.name) for field in dataclasses.fields(kind)), None

    jax.tree_util.register_pytree_node(kind, leaves, rebuilt)
    return kind


@_of_a_number
@dataclasses.dataclass(frozen=True)
class Temperature:
    """`logits / temperature`: below 1 likely tokens come more often, above 1 more rarely.

    At 0 it is the limit: the likeliest token alone is left, the first of several.

    Raises `ArgumentError` for a number below 0.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> rnn.decoding.Temperature(0.5)(jnp.array([0.0, -1.0, 0.0])).tolist()
    [0.0, -2.0, 0.0]
    >>> rnn.decoding.Temperature(0)(jnp.array([0.0, -1.0, 0.0])).tolist()
    [0.0, -inf, -inf]
    """

    temperature: Any
    """A number of 0 or more; traced, it is not looked at."""

    def __post_init__(self) -> None:
        settle(self, temperature=scalar(not_negative))

    def __call__(self, logits: jax.Array) -> jax.Array:
        """Logits of which the largest is 0: so none overflows, however cold it is."""
        t = jnp.asarray(self.temperature, logits.dtype)
        below = logits - logits.max(-1, keepdims=True)
        return jnp.where(t > 0, below / jnp.where(t > 0, t, 1), TopK(1)(below))


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class TopK:
    """The k likeliest tokens alone, the first ones of equals; all, where there are no more than k.

    `TopK(1)` is greedy decoding. Source: Fan, Lewis & Dauphin, Hierarchical neural story
    generation, ACL 2018.

    Raises `ArgumentError` where k is no positive integer; it is static.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> rnn.decoding.TopK(2)(jnp.array([1.0, 3.0, 2.0, 2.0])).tolist()
    [-inf, 3.0, 2.0, -inf]
    """

    k: int

    def __post_init__(self) -> None:
        settle(self, k=positive)

    def __call__(self, logits: jax.Array) -> jax.Array:
        """Logits, -inf for those that are left out."""
        kept, tokens = jax.lax.top_k(logits, min(self.k, logits.shape[-1]))
        nothing = jnp.full_like(logits, -jnp.inf)
        return jnp.put_along_axis(nothing, tokens, kept, -1, inplace=False)


@_of_a_number
@dataclasses.dataclass(frozen=True)
class TopP:
    """Nucleus sampling: the likeliest tokens, as few as have a probability of p together.

    The first is always among them, and with p of 1 all are that have any. Cost: a sort of the V
    logits. Source: Holtzman, Buys, Du, Forbes & Choi, The curious case of neural text degeneration,
    ICLR 2020.

    Raises `ArgumentError` where p is not from 0 to 1.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> kept = rnn.decoding.TopP(0.8)(jnp.log(jnp.array([0.1, 0.6, 0.3])))
    >>> [round(float(share), 2) for share in jnp.exp(kept)]
    [0.0, 0.6, 0.3]
    """

    p: Any
    """A number in [0, 1]; traced, it is not looked at."""

    def __post_init__(self) -> None:
        settle(self, p=scalar(fraction))

    def __call__(self, logits: jax.Array) -> jax.Array:
        """Logits, -inf for those that are left out."""
        order = jnp.argsort(-logits, axis=-1)
        shares = jax.nn.softmax(jnp.take_along_axis(logits, order, -1))
        # A token is kept if it and all less likely ones have more than 1 - p: summed from the
        # smallest on, so that no digit of the tail is lost.
        rest = jnp.flip(jnp.cumsum(jnp.flip(shares, -1), -1), -1)
        kept = (rest > 1 - jnp.asarray(self.p, logits.dtype)).at[..., 0].set(True)
        return jnp.where(jnp.take_along_axis(kept, jnp.argsort(order, -1), -1), logits, -jnp.inf)


@_of_a_number
@dataclasses.dataclass(frozen=True)
class MinP:
    """The tokens that are at least p times as likely as the likeliest.

    So it leaves many where the model is in doubt, and few where it is sure; with p of 0 all.
    Source: Nguyen, Baker, Neo, Roush, Kirsch & Shwartz-Ziv, Turning up the heat: min-p sampling for
    creative and coherent LLM outputs, arXiv:2407.01082, 2024.

    Raises `ArgumentError` where p is not from 0 to 1.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> kept = rnn.decoding.MinP(0.5)(jnp.log(jnp.array([0.1, 0.6, 0.3])))
    >>> [round(float(share), 2) for share in jnp.exp(kept)]
    [0.0, 0.6, 0.3]
    """

    p: Any
    """A number in [0, 1]; traced, it is not looked at."""

    def __post_init__(self) -> None:
        settle(self, p=scalar(fraction))

    def __call__(self, logits: jax.Array) -> jax.Array:
        """Logits, -inf for those that are left out."""
        least = logits.max(-1, keepdims=True) + jnp.log(jnp.asarray(self.p, logits.dtype))
        return jnp.where(logits >= least, logits, -jnp.inf)


def as_pytrees(caller: str, filters: tuple[Any, ...]) -> tuple[Any, ...]:
    """The filters as JAX takes them through jit: a function of the user's own is static."""
    for place, each in enumerate(filters):
        if isinstance(each, type) or not callable(each):
            raise ArgumentError(
                f"{caller}: filters[{place}] must be a function of logits, such as "
                f"Temperature(0.8) or TopK(40), got {short(each)}."
            )
    own = jax.tree_util.all_leaves
    return tuple(jax.tree_util.Partial(each) if own([each]) else each for each in filters)


def draw(filters: tuple[Filter, ...], logits: jax.Array, key: jax.Array) -> jax.Array:
    """A token each of logits `(*batch, V)` -> `(*batch)` int32; -1 where they are no distribution.

    Such are NaN, infinity, and -inf for all.
    """
    # Of what the model says too: a filter may drop the token that is NaN.
    sound = jnp.isfinite(logits.max(-1))
    chosen = functools.reduce(_applied, filters, logits)
    sound &= jnp.isfinite(chosen.max(-1))
    return jnp.where(sound, jax.random.categorical(key, chosen).astype(jnp.int32), -1)


def _applied(logits: jax.Array, filter: Filter) -> jax.Array:
    after = filter(logits)
    if getattr(after, "shape", None) != logits.shape:
        raise ShapeError(
            f"sample: a filter makes logits of the shape of those it reads, {logits.shape}; "
            f"{filter!r} makes {short(after)}."
        )
    return after
