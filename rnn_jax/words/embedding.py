"""The table of an `Embedding` from word vectors."""

from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from rnn_jax.arguments.arrays import one_key
from rnn_jax.arguments.settings import floating, function, instance, short
from rnn_jax.errors import ArgumentError
from rnn_jax.initializers import Initializer, check_drawn
from rnn_jax.layers.embedding import Embedding, EmbeddingParams
from rnn_jax.words.reading import WordVectors


def embedding_params(
    layer: Embedding,
    vectors: WordVectors,
    vocabulary: Sequence[str],
    key: jax.Array,
    unknown: Initializer | None = None,
    dtype: DTypeLike = jnp.float32,
) -> EmbeddingParams:
    """Params of an `Embedding` that begin with word vectors, where a word has one.

    The layer then emits the vectors as they are: its `scale` is divided out. To train them go on as
    with any params; to keep them as they are, leave them out of what is trained
    (`optax.masked`, or `jax.lax.stop_gradient` in the loss).

    Args:
      layer: As many rows as the vocabulary has words, as wide as the vectors.
      vectors: From `read_vectors`.
      vocabulary: The words in the order of their ids, each once.
      key: For the words that have no vector.
      unknown: `(key, shape, dtype) -> array` of `(words without a vector, features)`: what the
        layer emits for those, as `jax.nn.initializers.zeros` or a function of your own. If None,
        they are drawn from a normal distribution around 0 whose deviation is the root mean square
        of the vectors that are there: as long as those are, and in no direction that means
        something (after Kim, Convolutional neural networks for sentence classification, EMNLP
        2014, who draws from a uniform distribution of the same variance).
      dtype: Of the params.

    Raises:
      StructureError: What should be a layer, vectors or a key is none.
      ArgumentError: The layer has another number of rows or another width, a word of the vocabulary
        is there twice, or none of them has a vector.

    >>> import jax, numpy as np, rnn_jax as rnn
    >>> vectors = rnn.words.WordVectors(("the", "cat"), np.eye(2, dtype=np.float32))
    >>> layer = rnn.Embedding(3, 2)
    >>> vocabulary = ["cat", "mat", "the"]
    >>> zeros = jax.nn.initializers.zeros
    >>> params = rnn.words.embedding_params(layer, vectors, vocabulary, jax.random.key(0), zeros)
    >>> params.w.tolist()
    [[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]
    """
    layer = instance(Embedding)("embedding_params: layer", layer)
    vectors = instance(WordVectors)("embedding_params: vectors", vectors)
    key = one_key("embedding_params: key", key)
    dtype = floating("embedding_params: dtype", dtype)
    if unknown is not None:
        unknown = function("embedding_params: unknown", unknown)
    words = _checked(layer, vectors, vocabulary)
    rows = {word: row for row, word in enumerate(vectors.words)}
    known = np.array([word in rows for word in words])
    if not known.any():
        raise ArgumentError(
            f"embedding_params: none of the {len(words)} words of the vocabulary has a vector; "
            f"they begin with {short(words[0])}, those of the vectors with "
            f"{short(vectors.words[0]) if vectors.words else 'nothing'}."
        )
    found = jnp.asarray(vectors.vectors[[rows[word] for word in words if word in rows]], dtype)
    shape = len(words) - len(found), layer.features
    if unknown is None:
        other = jnp.sqrt((found**2).mean()) * jax.random.normal(key, shape, dtype)
    else:
        other = check_drawn(layer, "unknown", unknown(key, shape, dtype), shape, dtype)
    w = jnp.zeros((len(words), layer.features), dtype).at[known].set(found).at[~known].set(other)
    return EmbeddingParams(w / layer.scale)


def _checked(layer: Embedding, vectors: WordVectors, vocabulary: Sequence[str]) -> tuple[str, ...]:
    """The vocabulary; raises where it, the vectors and the layer do not belong together."""
    several = isinstance(vocabulary, Iterable) and not isinstance(vocabulary, str)
    if not several or not all(isinstance(word, str) for word in vocabulary):
        raise ArgumentError(
            f"embedding_params: vocabulary must be the words, in order, got {short(vocabulary)}."
        )
    words = tuple(vocabulary)
    if len(set(words)) < len(words):
        twice = next(word for n, word in enumerate(words) if word in words[:n])
        raise ArgumentError(f"embedding_params: the vocabulary has {twice!r} twice.")
    wanted = layer.vocabulary_size, layer.features
    width = vectors.vectors.shape[1]
    if (len(words), width) != wanted:
        raise ArgumentError(
            f"embedding_params: {layer!r} has {wanted[0]} rows of {wanted[1]} numbers, but there "
            f"are {len(words)} words in the vocabulary and {width} numbers in a vector."
        )
    if not layer.scale:
        raise ArgumentError(f"embedding_params: {layer!r} emits zeros alone; its scale is 0.")
    return words
