"""A memory of what followed the last states, beside a network: the neural cache."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import rnn_jax as rnn
from rnn_jax.language.baselines.mixture import best_weight, by_halves, mix, perplexity
from rnn_jax.language.evaluate import chunks
from rnn_jax.language.model import reader

SHARPNESSES = (2.0, 4.0, 8.0, 16.0, 32.0)
"""How much more a state counts that is more like the present one; the best is chosen."""
LARGEST = 2**16
"""States that a cache may have: the similarities of a chunk of 1,024 tokens are 270 MB then."""


class Cached(NamedTuple):
    """What a network and its cache come to together."""

    weight: float
    """Of the network; the cache has the rest."""
    sharpness: float
    """One of `SHARPNESSES`."""
    perplexity: float
    """Of the text."""


class Memory(NamedTuple):
    """The last states and what followed each; what is not there yet is -1."""

    states: jax.Array
    """`(size, H)`, of length 1."""
    followed: jax.Array
    """`(size,)` tokens."""


def recall(
    model: rnn.Cell, params: rnn.Params, inputs: np.ndarray, targets: np.ndarray, size: int
) -> np.ndarray:
    """What a cache of the last `size` states gives to each token, (S, T), a row a sharpness.

    With `h_t` the state behind token t, of length 1, as the output layer reads it, and s a
    sharpness, `p_t(w)` is the sum of `exp(s h_t . h_i)` over those i of `t - size, ..., t - 1`
    that w followed, divided by that over all of them; the first token is given 0. Nothing is
    trained. Source: Grave, Joulin & Usunier, Improving neural language models with a continuous
    cache, ICLR 2017, arXiv:1612.04426, whose states have the length that they have.

    Args:
        model: a language model, without its noise.
        params: its params.
        inputs: (T,) tokens, read as one stream from the initial carry.
        targets: (T,) the token after each.
        size: how many states are remembered. Cost: `2 size H` operations a token, and `size`
            exponentials a sharpness.
    """
    below, params = reader(model, params)
    carry = below.initial_carry(params)
    row = jax.eval_shape(lambda x: rnn.unroll(below, params, x)[1], jnp.zeros(1, jnp.int32))
    memory = Memory(jnp.zeros((size, *row.shape[1:]), row.dtype), jnp.full(size, -1))
    found = np.empty((len(SHARPNESSES), len(inputs)))
    for at, xs, ys in chunks(inputs, targets):
        carry, memory, given = _chunk(below, params, carry, memory, xs, ys)
        found[:, at] = given[:, : at.stop - at.start]
    return found


def cached(
    network: np.ndarray,
    recalled: np.ndarray,
    tuned: tuple[np.ndarray, np.ndarray] | None = None,
) -> Cached:
    """How well a network and its cache predict a text together.

    Args:
        network: (T,) what the network gives to each token.
        recalled: (S, T) what `recall` found.
        tuned: the same two of another text, on which weight and sharpness are chosen. Without one
            each half of this text chooses for the other half, and those named are the best for all.
    """
    if tuned is not None:
        choice = _choice(*tuned)
        found = _mixed(network, recalled, choice)
    elif len(network) < 2:
        choice, found = (1.0, 0), network
    else:
        choice = _choice(network, recalled)
        found = by_halves(network, recalled, _choice, _mixed)
    weight, index = choice
    return Cached(weight, SHARPNESSES[index], perplexity(found))


def _mixed(network: np.ndarray, recalled: np.ndarray, choice: tuple[float, int]) -> np.ndarray:
    weight, index = choice
    return mix(network, recalled[index], weight)


def _choice(network: np.ndarray, recalled: np.ndarray) -> tuple[float, int]:
    """The weight and the row with which these tokens are predicted best."""
    weights = [best_weight(network, row) for row in recalled]
    found = [perplexity(mix(network, *each)) for each in zip(recalled, weights, strict=True)]
    best = int(np.argmin(found))
    return weights[best], best


@functools.partial(jax.jit, static_argnums=0)
def _chunk(
    below: rnn.Stack,
    params: rnn.Params,
    carry: rnn.Carry,
    memory: Memory,
    xs: jax.Array,
    ys: jax.Array,
) -> tuple[rnn.Carry, Memory, jax.Array]:
    carry, hs = rnn.unroll(below, params, jnp.asarray(xs), carry)
    hs = hs / jnp.maximum(jnp.linalg.norm(hs, axis=-1, keepdims=True), jnp.finfo(hs.dtype).tiny)
    states = jnp.concatenate([memory.states, hs])
    followed = jnp.concatenate([memory.followed, jnp.asarray(ys)])
    size, steps = len(memory.states), len(hs)
    behind = jnp.arange(size + steps) - jnp.arange(steps)[:, None]
    seen = (behind >= 0) & (behind < size) & (followed >= 0)
    alike = hs @ states.T

    def given(sharpness: jax.Array) -> jax.Array:
        shares = jnp.where(seen, jnp.exp(sharpness * (alike - 1)), 0)
        right = jnp.where(followed == jnp.asarray(ys)[:, None], shares, 0)
        total = shares.sum(1)
        return jnp.where(total > 0, right.sum(1) / jnp.where(total > 0, total, 1), 0)

    rows = jax.lax.map(given, jnp.asarray(SHARPNESSES, alike.dtype))
    return carry, Memory(states[steps:], followed[steps:]), rows
