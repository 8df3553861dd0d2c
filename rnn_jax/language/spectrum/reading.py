"""The validation text as the analyses read it: with a carry that has read what came before."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import rnn_jax as rnn
from rnn_jax.language.corpus import Corpus
from rnn_jax.language.errors import InputError

OVERLAPPING = 4
"""So many pieces are taken even of a text that has not as many without reading some of it twice."""


class Reading(NamedTuple):
    """B streams of T tokens, and what the network remembers at their beginning."""

    xs: jax.Array
    """`(T, B)` ids."""
    targets: jax.Array
    """`(T, B)`: the ids that follow."""
    carry: rnn.Carry
    """`(B, ...)`: after as many tokens before them."""


def read(model: rnn.Cell, params: rnn.Params, corpus: Corpus, streams: int, length: int) -> Reading:
    """Pieces of the validation text, spread over it evenly.

    Raises:
        InputError: it is too short for one, or for so many more than `OVERLAPPING`.
    """
    inputs, targets = corpus.split("validation")
    available = len(inputs)
    if length > available:
        raise InputError(
            f"--length {length}: the validation text has {available} tokens; lower --length"
        )
    # The carry is made by as much text as is analysed, or by as much as there is.
    before = min(length, available - length)
    most = max(OVERLAPPING, (available - before) // length)
    if streams > most:
        raise InputError(
            f"--batch {streams}: the validation text has {available} tokens, room for {most} "
            f"pieces of {length}; lower --batch or --length"
        )
    starts = np.linspace(before, available - length, streams).astype(int)
    steps = np.arange(-before, length)[:, None] + starts
    xs, ys = (jnp.asarray(ids[steps], jnp.int32) for ids in (inputs, targets))
    carry, _ = jax.jit(lambda params, xs: rnn.unroll(model, params, xs))(params, xs[:before])
    return Reading(xs[before:], ys[before:], carry)
