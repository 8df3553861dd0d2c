"""Word vectors in, and the vectors of every layer out."""

import jax
import numpy as np

import rnn_jax as rnn
from tests.wrong_calls.given import CELL, KEY, MODEL, MODEL_PARAMS, NOISY, PARAMS, TOKENS, XS, made

words = rnn.words
VECTORS = words.WordVectors(("a", "b"), np.ones((2, 4), np.float32))
LAYER = rnn.Embedding(3, 4)


def params(layer=LAYER, vectors=VECTORS, vocabulary=("a", "b", "c"), key=KEY, **more):
    return lambda: words.embedding_params(layer, vectors, vocabulary, key, **more)


ROWS = {
    "words.layer_outputs: a cell": (
        lambda: words.layer_outputs(CELL, PARAMS, XS),
        rnn.StructureError,
        "layer_outputs: the first argument must be a LayerStack, made by stack, got Elman",
    ),
    "words.layer_outputs: params of another stack": (
        lambda: words.layer_outputs(MODEL, MODEL_PARAMS[:1], TOKENS),
        rnn.StructureError,
        "expected params of the form",
    ),
    "words.layer_outputs: the carry of one layer": (
        lambda: words.layer_outputs(MODEL, MODEL_PARAMS, TOKENS, jax.numpy.ones((2, 5))),
        rnn.StructureError,
        r"carry must be a tuple of 2, one a layer.*got float\d+ of shape \(2, 5\)",
    ),
    "words.layer_outputs: a key that is none": (
        lambda: words.layer_outputs(NOISY, made(NOISY), XS, key=3),
        rnn.StructureError,
        "layer_outputs: key must be one key",
    ),
    "words.contextual_vectors: no key": (
        lambda: words.contextual_vectors(NOISY, made(NOISY), XS),
        rnn.ArgumentError,
        "key",
    ),
    "words.WordVectors: two words and three rows": (
        lambda: words.WordVectors(("a", "b"), np.ones((3, 4))),
        rnn.ArgumentError,
        r"a row for each of the 2 words, got float64 of shape \(3, 4\)",
    ),
    "words.read_vectors: no path": (
        lambda: words.read_vectors(3),
        rnn.ArgumentError,
        "path must be that of a file, got 3",
    ),
    "words.read_vectors: no such file": (
        lambda: words.read_vectors("nowhere.txt"),
        rnn.ArgumentError,
        "cannot read nowhere.txt: No such file or directory",
    ),
    "words.read_vectors: a folder": (
        lambda: words.read_vectors("."),
        rnn.ArgumentError,
        "cannot read .: Is a directory",
    ),
    "words.read_vectors: no vectors in it": (
        lambda: words.read_vectors(__file__),
        rnn.ArgumentError,
        "words.py holds no word vectors: its first line is neither a header",
    ),
    "words.read_vectors: words that are one text": (
        lambda: words.read_vectors(__file__, "the cat"),
        rnn.ArgumentError,
        "words must be several words, got one text, 'the cat'; split it first",
    ),
    "words.embedding_params: no embedding": (
        params(layer=CELL),
        rnn.StructureError,
        "embedding_params: layer must be an Embedding, got Elman",
    ),
    "words.embedding_params: an array for vectors": (
        params(vectors=VECTORS.vectors),
        rnn.StructureError,
        r"embedding_params: vectors must be a WordVectors, got float32 of shape \(2, 4\)",
    ),
    "words.embedding_params: another width": (
        params(layer=rnn.Embedding(3, 5)),
        rnn.ArgumentError,
        r"3 rows of 5 numbers, but there are 3 words in the vocabulary and 4 numbers in a vector",
    ),
    "words.embedding_params: another vocabulary": (
        params(vocabulary=["a", "b"]),
        rnn.ArgumentError,
        "3 rows of 4 numbers, but there are 2 words in the vocabulary",
    ),
    "words.embedding_params: a word twice": (
        params(vocabulary=["a", "b", "a"]),
        rnn.ArgumentError,
        "the vocabulary has 'a' twice",
    ),
    "words.embedding_params: a text": (
        params(vocabulary="abc"),
        rnn.ArgumentError,
        "vocabulary must be the words, in order, got 'abc'",
    ),
    "words.embedding_params: ids": (
        params(vocabulary=[0, 1, 2]),
        rnn.ArgumentError,
        r"vocabulary must be the words, in order, got \[0, 1, 2\]",
    ),
    "words.embedding_params: a vocabulary that is none": (
        params(vocabulary=3),
        rnn.ArgumentError,
        "vocabulary must be the words, in order, got 3",
    ),
    "words.embedding_params: no word in common": (
        params(vocabulary=["A", "B", "C"]),
        rnn.ArgumentError,
        "none of the 3 words of the vocabulary has a vector; they begin with 'A', .* with 'a'",
    ),
    "words.embedding_params: a layer of zeros": (
        params(layer=rnn.Embedding(3, 4, scale=0.0)),
        rnn.ArgumentError,
        "its scale is 0",
    ),
    "words.embedding_params: no key": (
        params(key=0),
        rnn.StructureError,
        "embedding_params: key must be one key",
    ),
    "words.embedding_params: a rule of another shape": (
        params(unknown=lambda key, shape, dtype: jax.numpy.ones(3, dtype)),
        rnn.ArgumentError,
        r"unknown\(key, shape, dtype\) must return an array of the shape and dtype",
    ),
    "words.embedding_params: a rule that is no function": (
        params(unknown=0.0),
        rnn.ArgumentError,
        "embedding_params: unknown must be a function",
    ),
}
