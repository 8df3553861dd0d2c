"""One sequence of tokens into another, by an encoder, attention and a decoder: g2p and SCAN."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import rnn_jax as rnn
from rnn_jax import batching, seq2seq
from rnn_jax.attention import Additive, Attention, attentive

END = 0
"""Ends a target, and is what the decoder reads first; among sources, what was never seen."""
CELLS = {"gru": rnn.GRU, "lstm": rnn.LSTM}

Pair = tuple[Sequence[str], Sequence[str]]


class Translator(NamedTuple):
    """A model and the two vocabularies, without params."""

    model: seq2seq.EncoderDecoder
    sources: dict[str, int]
    targets: list[str]

    def read(self, source: Iterable[str]) -> np.ndarray:
        """The tokens of a source."""
        return np.array([self.sources.get(token, END) for token in source], np.int32)

    def say(self, target: Iterable[str]) -> np.ndarray:
        """The tokens of a target, with its end."""
        of = {name: token for token, name in enumerate(self.targets)}
        return np.array([*(of[name] for name in target), END], np.int32)

    def loss(self, params: rnn.Params, batch: batching.Pairs, key: jax.Array) -> jax.Array:
        """What a token costs, in nats, on average."""
        source, target = batch
        return seq2seq.loss(
            self.model,
            params,
            source.xs,
            target.xs,
            source_lengths=source.lengths,
            target_lengths=target.lengths,
            key=key,
        )

    def translate(
        self,
        params: rnn.Params,
        sources: Sequence[Sequence[str]],
        longest: int,
        width: int,
        length_penalty: float = 0.0,
    ) -> list[list[str]]:
        """What a beam finds for each source, of at most `longest` tokens."""
        model = self.model.deterministic()
        said: list[list[str]] = [[]] * len(sources)
        for batch in batching.bucket([self.read(source) for source in sources], 4, 256):
            found = likeliest(
                params, batch.xs, batch.lengths, length_penalty, model, longest + 1, width
            )
            tokens, lengths = np.asarray(found.tokens[:, 0]), np.asarray(found.lengths[0])
            for row, index in enumerate(batch.indices):
                if index >= 0:
                    own = tokens[: lengths[row], row]
                    said[index] = [self.targets[token] for token in own if token != END]
        return said


@functools.partial(jax.jit, static_argnames=("model", "length", "width"))
def likeliest(
    params: rnn.Params,
    source: jax.Array,
    lengths: jax.Array,
    length_penalty: float,
    model: seq2seq.EncoderDecoder,
    length: int,
    width: int,
) -> Any:
    """What a beam finds for a batch of sources, the best of each."""
    cell, decoding, carry = seq2seq.encode(model, params, source, lengths=lengths)
    first = jnp.full((1, *source.shape[1:]), model.start)
    return rnn.decoding.beam(
        cell, decoding, first, length, width, END, length_penalty=length_penalty, carry=carry
    )


def translator(pairs: Iterable[Pair], settings: dict) -> Translator:
    """A model for the tokens of some pairs, of a cell, sizes and dropout that settings name."""
    sources = sorted({token for source, _ in pairs for token in source})
    targets = sorted({token for _, target in pairs for token in target})
    cell, embedding = CELLS[settings["cell"]], settings["embedding"]
    hidden, width, rate = settings["encoder"], settings["decoder"], settings["dropout"]
    layers: list[Any] = [rnn.Embedding(1 + len(sources), embedding), rnn.Dropout(embedding, rate)]
    reads = embedding
    for _ in range(settings["encoder layers"]):
        one = cell(reads, hidden)
        layers += [rnn.bidirectional(one, one), rnn.Dropout(2 * hidden, rate)]
        reads = 2 * hidden
    attention = Attention(width, reads, Additive(settings["attention"]))
    decoder = rnn.stack(
        rnn.Embedding(1 + len(targets), embedding),
        rnn.Dropout(embedding, rate),
        attentive(cell(embedding + reads, width), attention),
        rnn.Dropout(width + reads, rate),
        rnn.Dense(width + reads, 1 + len(targets)),
    )
    model = seq2seq.EncoderDecoder(rnn.stack(*layers), seq2seq.DenseBridge(), decoder, start=END)
    numbered = {token: 1 + index for index, token in enumerate(sources)}
    return Translator(model, numbered, ["<end>", *targets])


def epochs(
    translator: Translator, pairs: Sequence[Pair], batch: int, buckets: int
) -> Callable[[np.random.Generator], Iterable[batching.Pairs]]:
    """The batches of an epoch, for `Problem`."""
    sources = [translator.read(source) for source, _ in pairs]
    targets = [translator.say(target) for _, target in pairs]
    return lambda rng: batching.bucket_pairs(sources, targets, buckets, batch, rng)
