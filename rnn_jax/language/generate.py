"""What a run's model writes."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

import rnn_jax as rnn
from rnn_jax.decoding.choosing import Filter
from rnn_jax.language.config import Config
from rnn_jax.language.errors import InputError, RunError
from rnn_jax.language.text import JOIN, SPLIT
from rnn_jax.language.vocabulary import Vocabulary


def filters_of(
    temperature: float,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> tuple[Filter, ...]:
    """How the next token is chosen, by options of the command line: the temperature comes first.

    Raises:
        InputError: one of them is out of range.
    """
    if not 0 <= temperature < float("inf"):
        raise InputError(f"--temperature must be 0 or a positive number, got {temperature}")
    if top_k is not None and top_k < 1:
        raise InputError(f"--top-k must be at least 1, got {top_k}")
    for option, share in (("--top-p", top_p), ("--min-p", min_p)):
        if share is not None and not 0 <= share <= 1:
            raise InputError(f"{option} must be from 0 to 1, got {share}")
    found: list[Filter] = [rnn.decoding.Temperature(temperature)]
    if top_k is not None:
        found.append(rnn.decoding.TopK(top_k))
    if top_p is not None:
        found.append(rnn.decoding.TopP(top_p))
    if min_p is not None:
        found.append(rnn.decoding.MinP(min_p))
    return tuple(found)


def generate(
    model: rnn.Cell,
    params: rnn.Params,
    prompt: np.ndarray,
    length: int,
    filters: Sequence[Filter],
    key: jax.Array,
) -> np.ndarray:
    """Draw `length` tokens after each prompt: (T, *batch) int32, T >= 1 -> (length, *batch) int32.

    Raises:
        InputError: no prompt, or a length below 1.
        RunError: the model's numbers are not finite.
    """
    if not len(prompt):
        raise InputError("the prompt is empty")
    if length < 1:
        raise InputError(f"--length must be at least 1, got {length}")
    tokens = np.asarray(rnn.decoding.sample(model, params, prompt, length, key, *filters).tokens)
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
    config: Config,
    prompt: str,
    length: int,
    filters: Sequence[Filter],
    seed: int,
    samples: int = 1,
) -> list[str]:
    """A prompt and what the model makes of it, as text: as many times as there are samples.

    An empty prompt stands for the start of a line, and is not part of the text. What a backward
    model writes comes before the prompt; an empty one stands for the end of a text then.

    Raises:
        InputError: as `generate`, or the prompt has a token that the vocabulary lacks, or the seed
            does not fit into 32 bits, or there is to be no sample.
        RunError: as `generate`.
    """
    if not 0 <= seed < 2**32:
        raise InputError(f"--seed must be at least 0 and less than {2**32}, got {seed}")
    if samples < 1:
        raise InputError(f"--samples must be at least 1, got {samples}")
    key = jax.random.key(seed)
    if prompt:
        ids = config.turned(vocabulary.encode(SPLIT[config.level](prompt)))
        shown = ids
    else:
        ids, shown = np.array([vocabulary.start], np.int32), np.zeros(0, np.int32)
    prompts = np.repeat(ids[:, None], samples, 1)
    drawn = generate(model, params, prompts, length, filters, key)
    texts = (config.turned(np.concatenate([shown, one])) for one in drawn.T)
    return [JOIN[config.level](vocabulary.decode(text)) for text in texts]


def one_text(texts: Sequence[str]) -> str:
    """Several texts one after the other, each with its number above it; one alone as it is."""
    if len(texts) == 1:
        return texts[0]
    several = enumerate(texts, 1)
    return "\n\n".join(f"--- {number} of {len(texts)} ---\n{text}" for number, text in several)
