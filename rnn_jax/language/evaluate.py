"""Perplexity over every token of a text, in order, the carry kept from the first to the last."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax

import rnn_jax as rnn
from rnn_jax.language.measures import bits, perplexity
from rnn_jax.language.model import cross_entropy
from rnn_jax.language.tokens import release

_CHUNK = 1024


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What a model made of a text."""

    loss: float
    """Mean over the tokens, in nats."""
    tokens: int
    """How many tokens were predicted: all of them, each once."""

    @classmethod
    def of(cls, losses: np.ndarray) -> Evaluation:
        """From the loss of each token."""
        return cls(float(losses.mean()), len(losses))

    @property
    def perplexity(self) -> float:
        """exp(loss)."""
        return perplexity(self.loss)

    @property
    def bits(self) -> float:
        """Bits per token."""
        return bits(self.loss)


def evaluate(
    model: rnn.Cell, params: rnn.Params, inputs: np.ndarray, targets: np.ndarray
) -> Evaluation:
    """Read a text as one stream, from the initial carry; arguments as for `token_losses`."""
    return Evaluation.of(token_losses(model, params, inputs, targets))


def token_losses(
    model: rnn.Cell, params: rnn.Params, inputs: np.ndarray, targets: np.ndarray
) -> np.ndarray:
    """What each token of a text costs, (T,) in nats, read as one stream from the initial carry.

    Args:
        model: token ids -> logits.
        params: its params.
        inputs: (T,) tokens, T >= 1.
        targets: (T,) the token after each.
    """
    carry = model.initial_carry(params)
    found = np.empty(len(inputs))
    for at, xs, ys in chunks(inputs, targets):
        carry, losses = _chunk(model, params, carry, xs, ys)
        found[at] = losses[: at.stop - at.start]
    return found


def chunks(
    inputs: np.ndarray, targets: np.ndarray
) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Where each chunk of a text lies, and its tokens and targets, `(_CHUNK,)` int32 each.

    Padded to one length, so that one compiled function does for all: only the last chunk is padded,
    and nothing may read the carry after it.
    """
    for start in range(0, len(inputs), _CHUNK):
        at = slice(start, min(start + _CHUNK, len(inputs)))
        missing = _CHUNK - (at.stop - at.start)
        xs, ys = (np.pad(np.asarray(x[at], np.int32), (0, missing)) for x in (inputs, targets))
        yield at, xs, ys
        release(inputs)


def evaluate_adapting(
    model: rnn.Cell,
    params: rnn.Params,
    inputs: np.ndarray,
    targets: np.ndarray,
    window: int,
    rate: float,
    clip: float = 0.0,
) -> Evaluation:
    """The same by dynamic evaluation: each window is predicted, and then learned from.

    By SGD of `rate` on the mean loss of each window of `window` tokens; a gradient longer than
    `clip` is clipped to it, if that is not 0.
    """
    clipped = optax.clip_by_global_norm(clip) if clip else optax.identity()
    optimizer = optax.chain(clipped, optax.sgd(rate))
    found = rnn.training.dynamic_evaluation(
        model,
        params,
        np.asarray(inputs, np.int32),
        np.asarray(targets, np.int32),
        cross_entropy,
        optimizer,
        window=window,
    )
    return Evaluation(found.loss, len(inputs))


@functools.partial(jax.jit, static_argnums=0)
def _chunk(
    model: rnn.Cell, params: rnn.Params, carry: rnn.Carry, xs: jax.Array, ys: jax.Array
) -> tuple[rnn.Carry, jax.Array]:
    carry, logits = rnn.unroll(model, params, jnp.asarray(xs), carry)
    return carry, cross_entropy(logits, jnp.asarray(ys))
