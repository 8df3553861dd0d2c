"""Taggers: what a word is, in columns of integers, and a recurrent layer between it and its tag."""

import collections
import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import rnn_jax as rnn
from benchmarks.published.chunks import chunk_scores, follows, likeliest
from benchmarks.published.harness import Problem
from rnn_jax import batching

NOTHING, UNKNOWN = 0, 1
"""The ids of what is beyond the ends of a sentence, and of what training has not seen."""


class Sentence(NamedTuple):
    """What is read, and what should be said."""

    columns: list[tuple[str, ...]]
    """Of each word the same things: itself, and say its last letters."""
    tags: list[str]
    vectors: np.ndarray | None = None
    """`(n, F)`, if someone else has read the sentence before."""


class Words(NamedTuple):
    """A batch as a network reads it: arrays `(T, B, ...)` of one sentence a row."""

    words: Any
    """`(T, B, window)` of ids: a word and its neighbours."""
    spelling: Any
    """`(T, B, columns)` of ids: the other columns."""
    vectors: Any
    """`(T, B, F)`; F may be 0."""
    tags: Any
    """`(T, B)`."""


@dataclasses.dataclass(frozen=True)
class Ids:
    """The id of each thing that a column may hold."""

    known: dict[str, int]
    once: np.ndarray
    """The ids of what training has once."""

    @classmethod
    def of(cls, things: Iterable[str], least: int = 1) -> "Ids":
        """Of the things that are there at least so often."""
        counts = collections.Counter(things)
        kept = sorted(thing for thing, count in counts.items() if count >= least)
        known = {thing: 2 + index for index, thing in enumerate(kept)}
        return cls(known, np.array([known[thing] for thing in kept if counts[thing] == 1], int))

    def __len__(self) -> int:
        return 2 + len(self.known)

    def read(self, things: Iterable[str]) -> np.ndarray:
        """Things -> ids, (n,) int32."""
        return np.array([self.known.get(thing, UNKNOWN) for thing in things], np.int32)


def windows(ids: np.ndarray, reach: int) -> np.ndarray:
    """`(n,)` -> `(n, 2 reach + 1)`: each with its neighbours on both sides."""
    padded = np.pad(ids, reach, constant_values=NOTHING)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)


def drop_rare(ids: np.ndarray, once: np.ndarray, rate: float, rng: np.random.Generator) -> Any:
    """Ids of which each that training has once is unknown, with a probability.

    So the network learns what to make of a word that it does not know.
    """
    return np.where(np.isin(ids, once) & (rng.random(ids.shape) < rate), UNKNOWN, ids)


@dataclasses.dataclass(frozen=True)
class Tagger:
    """A network and its vocabularies, without params.

    The vectors of a word and of its neighbours, of what else is known of it, and those that came
    with it, side by side; a recurrent layer; and scores of tags.
    """

    columns: tuple[Ids, ...]
    tags: tuple[str, ...]
    settings: dict
    features: int
    """How long the vectors are that come with a word."""

    @property
    def words(self) -> rnn.Embedding:
        return rnn.Embedding(len(self.columns[0]), self.settings["embedding"], rnn.Normal(0.1))

    @property
    def spelling(self) -> rnn.Embedding:
        """One table, in which every column has its own rows."""
        rows = sum(map(len, self.columns[1:]))
        return rnn.Embedding(max(1, rows), self.settings["spelling"], rnn.Normal(0.1))

    @property
    def projection(self) -> rnn.Stack:
        rate, size = self.settings["dropout vectors"], max(1, self.features)
        return rnn.stack(rnn.Dropout(size, rate), rnn.Dense(size, self.settings["projection"]))

    @property
    def body(self) -> Any:
        chosen = self.settings
        width = chosen["embedding"] * (2 * chosen["reach"] + 1)
        width += chosen["spelling"] * (len(self.columns) - 1)
        width += chosen["projection"] * bool(self.features)
        return rnn.stack(
            rnn.Dropout(width, chosen["dropout inputs"]),
            *LAYERS[chosen["layer"]](width, chosen["hidden"], len(self.tags), chosen["dropout"]),
        )

    def init(self, key: jax.Array) -> dict[str, rnn.Params]:
        keys = jax.random.split(key, 4)
        parts = {"words": self.words, "spelling": self.spelling, "body": self.body}
        if self.features:
            parts["projection"] = self.projection
        return {
            name: part.init(own) for (name, part), own in zip(parts.items(), keys, strict=False)
        }

    def read(self, sentence: Sentence) -> Words:
        """A sentence as ids, without neighbours; tags that training lacks are -1."""
        words, *rest = zip(*sentence.columns, strict=True)
        starts = np.cumsum([0, *map(len, self.columns[1:])])
        spelling = [
            start + ids.read(own)
            for start, ids, own in zip(starts, self.columns[1:], rest, strict=False)
        ]
        vectors = sentence.vectors
        if vectors is None:
            vectors = np.zeros((len(words), 0), np.float32)
        number = {tag: index for index, tag in enumerate(self.tags)}
        return Words(
            self.columns[0].read(words),
            np.stack(spelling, -1) if spelling else np.zeros((len(words), 0), np.int32),
            vectors,
            np.array([number.get(tag, -1) for tag in sentence.tags], np.int32),
        )

    def batches(
        self, read: Sequence[Words], rng: np.random.Generator | None = None
    ) -> Iterable[batching.Padded]:
        """Sentences of about one length together, in an order of the generator's if it is there."""
        rate, reach = self.settings["unknown"], self.settings["reach"]
        size = self.settings["batch"]
        ready = []
        for sentence in read:
            ids = sentence.words
            if rng is not None:
                ids = drop_rare(ids, self.columns[0].once, rate, rng)
            ready.append(sentence._replace(words=windows(ids, reach)))
        return batching.bucket(ready, self.settings["buckets"], size, rng)

    def logits(self, params: Any, words: Words, lengths: Any, key: Any = None) -> jax.Array:
        """`(T, B, tags)`; with dropout if there is a key."""
        keys = (None, None) if key is None else jax.random.split(key)

        def run(part: Any, name: str, xs: Any, noise: Any = None, **marks: Any) -> jax.Array:
            part = part if noise is not None else part.deterministic()
            return rnn.unroll(part, params[name], xs, key=noise, **marks)[1]

        flat = (*words.tags.shape, -1)
        parts = [run(self.words, "words", words.words).reshape(flat)]
        if len(self.columns) > 1:
            parts.append(run(self.spelling, "spelling", words.spelling).reshape(flat))
        if self.features:
            vectors = words.vectors.astype(jnp.float32)
            parts.append(run(self.projection, "projection", vectors, keys[0]))
        return run(self.body, "body", jnp.concatenate(parts, -1), keys[1], lengths=lengths)

    def loss(self, params: Any, batch: batching.Padded, key: jax.Array) -> jax.Array:
        """Cross entropy of a tag in nats, on average over the steps that exist."""
        logits = self.logits(params, batch.xs, batch.lengths, key)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch.xs.tags)
        return losses.sum(where=batch.mask) / batch.mask.sum()

    def tag(self, params: Any, read: Sequence[Words]) -> list[list[str]]:
        """The likeliest tags of each sentence that make chunks: no I without its beginning."""
        said: list[list[str]] = [[]] * len(read)
        allowed = follows(self.tags)
        for batch in self.batches(read):
            scores = self._log_probabilities(params, batch.xs, batch.lengths)
            for index, own in batch.split(scores).items():
                said[index] = [self.tags[tag] for tag in likeliest(own, allowed)]
        return said

    @functools.cached_property
    def _log_probabilities(self) -> Callable[..., jax.Array]:
        return jax.jit(lambda *inputs: jax.nn.log_softmax(self.logits(*inputs)))


@dataclasses.dataclass(frozen=True)
class Log(rnn.Memoryless):
    """Probabilities -> their logarithms, which are logits."""

    features: int

    @property
    def input(self) -> rnn.Input:
        return rnn.Input((self.features,), jnp.floating)

    def init(self, key: jax.Array, dtype: Any = jnp.float32) -> tuple[()]:
        return ()

    def project(self, params: tuple[()], xs: jax.Array) -> jax.Array:
        return jnp.log(xs + 1e-9)


def elman(width: int, hidden: int, tags: int, rate: float) -> list[Any]:
    """What was before is in the hidden state."""
    return [rnn.Elman(width, hidden), rnn.Dropout(hidden, rate), rnn.Dense(hidden, tags)]


def jordan(width: int, hidden: int, tags: int, rate: float) -> list[Any]:
    """What was before is in the probabilities of the tags, which are fed back."""
    return [_jordan(width, hidden, tags, rate), Log(tags)]


def bidirectional_jordan(width: int, hidden: int, tags: int, rate: float) -> list[Any]:
    """Two Jordan networks, one from the end; their probabilities are multiplied."""
    one = _jordan(width, hidden, tags, rate)
    return [rnn.bidirectional(one, one, merge=jnp.multiply), Log(tags)]


def _jordan(width: int, hidden: int, tags: int, rate: float) -> rnn.Cell:
    """`rnn.Jordan`, with dropout on its hidden layer."""
    cell = rnn.stack(
        rnn.Dense(width + tags, hidden, jnp.tanh),
        rnn.Dropout(hidden, rate),
        rnn.Dense(hidden, tags, jax.nn.softmax),
    )
    return rnn.fed_back(cell)


def bidirectional_lstm(width: int, hidden: int, tags: int, rate: float) -> list[Any]:
    """What was before, and what comes."""
    one = rnn.LSTM(width, hidden)
    both = rnn.bidirectional(one, one)
    return [both, rnn.Dropout(2 * hidden, rate), rnn.Dense(2 * hidden, tags)]


LAYERS: dict[str, Callable[[int, int, int, float], list[Any]]] = {
    "elman": elman,
    "jordan": jordan,
    "bidirectional jordan": bidirectional_jordan,
    "bidirectional lstm": bidirectional_lstm,
}


def problem(
    train: Sequence[Sentence],
    development: Sequence[Sentence],
    read: Callable[[Path], Sequence[Sentence]],
    settings: dict,
    seed: int,
) -> Problem:
    """Learn to tag; what is kept has the best F1 of chunks on development, in percent.

    `read` makes sentences of a file that is scored besides.
    """
    columns = list(zip(*(own for sentence in train for own in sentence.columns), strict=True))
    tagger = Tagger(
        tuple(Ids.of(own, settings["least"] if n else 1) for n, own in enumerate(columns)),
        tuple(sorted({tag for sentence in train for tag in sentence.tags})),
        settings,
        0 if train[0].vectors is None else train[0].vectors.shape[1],
    )
    learned = [tagger.read(sentence) for sentence in train]

    def score(params: rnn.Params, sentences: Sequence[Sentence]) -> dict[str, float]:
        said = tagger.tag(params, [tagger.read(sentence) for sentence in sentences])
        return chunk_scores(said, [sentence.tags for sentence in sentences])

    return Problem(
        tagger.init(jax.random.key(seed)),
        tagger.loss,
        lambda rng: tagger.batches(learned, rng),
        lambda params: 100 - score(params, development)["F1"],
        lambda params, file: score(params, development if file is None else read(file)),
    )
