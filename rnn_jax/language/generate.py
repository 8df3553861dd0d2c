"""What a run's model writes."""

from __future__ import annotations

import jax
import numpy as np

import rnn_jax as rnn
from rnn_jax.language.errors import InputError, RunError
from rnn_jax.language.text import JOIN, SPLIT
from rnn_jax.language.vocabulary import Vocabulary


def generate(
    model: rnn.Cell,
    params: rnn.Params,
    prompt: np.ndarray,
    length: int,
    temperature: float,
    key: jax.Array,
) -> np.ndarray:
    """Draw `length` tokens after a prompt: (T,) int32, T >= 1 -> (length,) int32.

    Logits are divided by `temperature`; 0 takes the likeliest token each time.

    Raises:
        InputError: no prompt, a length below 1, or a temperature that is negative or not finite.
        RunError: the model's numbers are not finite.
    """
    if not len(prompt):
        raise InputError("the prompt is empty")
    if length < 1:
        raise InputError(f"--length must be at least 1, got {length}")
    if not 0 <= temperature < float("inf"):
        raise InputError(f"--temperature must be 0 or a positive number, got {temperature}")
    tokens = np.asarray(rnn.decoding.sample(model, params, prompt, length, temperature, key))
    if (tokens < 0).any():
        raise RunError(
            "the model says NaN: it has left what float32 can hold; an earlier one, by --step, may "
            "be sound"
        )
    return tokens


def write(
    model: rnn.Cell,
    params: rnn.Params,
    vocabulary: Vocabulary,
    level: str,
    prompt: str,
    length: int,
    temperature: float,
    seed: int,
) -> str:
    """A prompt and what the model makes of it, as text.

    An empty prompt stands for the start of a line, and is not part of the text.

    Raises:
        InputError: as `generate`, or the prompt has a token that the vocabulary lacks, or the seed
            does not fit into 32 bits.
        RunError: as `generate`.
    """
    if not 0 <= seed < 2**32:
        raise InputError(f"--seed must be at least 0 and less than {2**32}, got {seed}")
    key = jax.random.key(seed)
    if prompt:
        ids = vocabulary.encode(SPLIT[level](prompt))
        shown = ids
    else:
        ids, shown = np.array([vocabulary.start], np.int32), np.zeros(0, np.int32)
    drawn = generate(model, params, ids, length, temperature, key)
    return JOIN[level](vocabulary.decode([*shown, *drawn]))
