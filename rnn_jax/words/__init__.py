"""Vectors of words: in from the files of word2vec and GloVe, out of the layers of a model."""

from rnn_jax.words.contextual import contextual_vectors, layer_outputs
from rnn_jax.words.embedding import embedding_params
from rnn_jax.words.reading import WordVectors, read_vectors

__all__ = [
    "WordVectors",
    "contextual_vectors",
    "embedding_params",
    "layer_outputs",
    "read_vectors",
]
