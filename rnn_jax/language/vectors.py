"""The vectors that the tokens of a run begin with, from a file of word2vec or GloVe."""

from __future__ import annotations

import jax
import numpy as np

import rnn_jax as rnn
from rnn_jax.language.config import Config
from rnn_jax.language.errors import InputError
from rnn_jax.language.model import embedding_of, language_model
from rnn_jax.language.vocabulary import Vocabulary

_UNKNOWN = 2**32 - 2  # what is folded into the seed's key, to draw the vectors that the file lacks


def first_table(config: Config, vocabulary: Vocabulary) -> tuple[np.ndarray, int]:
    """The table of the embedding, (V, E) float32, and how many tokens have theirs from the file.

    The tokens that it lacks have what `rnn_jax.words.embedding_params` draws, by the seed.

    Raises:
        InputError: the file cannot be read, is broken, is not as wide as the embedding, or has none
            of the tokens.
    """
    path = str(config.vectors)
    try:
        vectors = rnn.words.read_vectors(path, vocabulary.tokens)
    except rnn.ArgumentError as error:
        raise InputError(f"--vectors: {error}") from error
    known, width = vectors.vectors.shape
    if width != config.embedding:
        raise InputError(
            f"--vectors: {path} has vectors of {width} numbers, and --embedding is "
            f"{config.embedding}; both must be the same, so ask for --embedding {width}"
        )
    if not known:
        raise InputError(
            f"--vectors: {path} has none of the {len(vocabulary)} tokens of the text; a run of "
            f"--level {config.level} needs vectors of them, written as the text writes them"
        )
    embedding = embedding_of(language_model(config, len(vocabulary)))
    key = jax.random.fold_in(jax.random.key(config.seed), _UNKNOWN)
    params = rnn.words.embedding_params(embedding, vectors, vocabulary.tokens, key)
    return np.asarray(params.w), known
