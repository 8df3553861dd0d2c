"""Vectors of words: in from the files of word2vec and GloVe, out of the layers of a model."""

from rnn_jax.words.embedding import embedding_params
from rnn_jax.words.reading import WordVectors, read_vectors

__all__ = [
    "WordVectors",
    "embedding_params",
    "read_vectors",
]
