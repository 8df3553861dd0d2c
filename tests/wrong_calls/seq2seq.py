"""Encoder, bridge and decoder: parts that do not fit, and pairs that do not."""

import jax
import jax.numpy as jnp
import numpy as np

import rnn_jax as rnn
from rnn_jax.attention import Attention, AttentionReadout, General
from rnn_jax.seq2seq import CopyBridge, DenseBridge, EncoderDecoder, NoBridge, encode, loss
from tests.wrong_calls.given import BOTH_WAYS, KEY, MODEL, made

ENCODER = rnn.stack(rnn.Embedding(7, 4), rnn.GRU(4, 5))
DECODER = rnn.stack(rnn.Embedding(9, 4), rnn.GRU(4, 5), rnn.Dense(5, 9))
PAIR = EncoderDecoder(ENCODER, CopyBridge(), DECODER, start=0)
PARAMS = made(PAIR)
SOURCE, TARGET = np.zeros((7, 2), jnp.int32), np.zeros((6, 2), jnp.int32)


def of(encoder=ENCODER, bridge=CopyBridge(), decoder=DECODER, start=0):  # noqa: B008
    return lambda: EncoderDecoder(encoder, bridge, decoder, start)


def lossy(model=PAIR, params=PARAMS, source=SOURCE, target=TARGET, **options):
    return lambda: loss(model, params, source, target, **options)


def attending(width):
    readout = AttentionReadout(Attention(5, width, General()), 5)
    return rnn.stack(rnn.Embedding(9, 4), rnn.GRU(4, 5), readout, rnn.Dense(5, 9))


ROWS = {
    "seq2seq.EncoderDecoder: a decoder without a step": (
        of(decoder=rnn.stack(rnn.Embedding(9, 3), BOTH_WAYS)),
        rnn.StructureError,
        r"EncoderDecoder: decoder must be a Cell, got LayerStack\(",
    ),
    "seq2seq.EncoderDecoder: a class": (
        of(encoder=rnn.GRU),
        rnn.StructureError,
        "EncoderDecoder: encoder must be a Layer, got the class GRU",
    ),
    "seq2seq.EncoderDecoder: a bridge without brackets": (
        of(bridge=CopyBridge),
        rnn.StructureError,
        "EncoderDecoder: bridge must be a Bridge, got the class CopyBridge",
    ),
    "seq2seq.EncoderDecoder: a start in letters": (
        of(start="<s>"),
        rnn.ArgumentError,
        "EncoderDecoder: start must be an integer of 0 or more, got '<s>'",
    ),
    "seq2seq.EncoderDecoder: a decoder of vectors": (
        of(decoder=rnn.GRU(4, 5)),
        rnn.ArgumentError,
        r"the decoder must read one token a step.*reads \(4,\) of floating.*an Embedding",
    ),
    "seq2seq.EncoderDecoder: a memory of another width": (
        of(decoder=attending(4)),
        rnn.ArgumentError,
        r"the encoder emits 5 numbers a step, but Attention\(.*a memory of 4",
    ),
    "seq2seq.EncoderDecoder: a copy of another size": (
        of(encoder=rnn.stack(rnn.Embedding(7, 4), rnn.GRU(4, 6))),
        rnn.ArgumentError,
        r"CopyBridge: .*shapes \[\(6,\)\], .*got \[\(5,\)\]; DenseBridge\(\)",
    ),
    "seq2seq.EncoderDecoder: nothing to hand over": (
        of(encoder=rnn.Embedding(7, 5), bridge=DenseBridge()),
        rnn.ArgumentError,
        r"DenseBridge: the encoder carries nothing.*NoBridge\(\)",
    ),
    "seq2seq.EncoderDecoder: no key": (
        lambda: PAIR.init(0),
        rnn.StructureError,
        r"EncoderDecoder\.init: key must be one key",
    ),
    "seq2seq.encode: a cell": (
        lambda: encode(MODEL, made(MODEL), TARGET),
        rnn.StructureError,
        r"encode: model must be an EncoderDecoder, got Stack\(",
    ),
    "seq2seq.encode: params of the encoder": (
        lambda: encode(PAIR, PARAMS.encoder, SOURCE),
        rnn.StructureError,
        r"encode: params must be an EncoderDecoderParams, made by model\.init\(key\), got",
    ),
    "seq2seq.encode: vectors for tokens": (
        lambda: encode(PAIR, PARAMS, np.ones((7, 2))),
        rnn.DtypeError,
        "xs must be integer, got float",
    ),
    "seq2seq.loss: a cell": (
        lossy(model=MODEL),
        rnn.StructureError,
        r"loss: model must be an EncoderDecoder, got Stack\(",
    ),
    "seq2seq.loss: another batch": (
        lossy(target=TARGET[:, :1]),
        rnn.ShapeError,
        r"target must have shape \(T, \*batch\).*\(2,\), got \(6, 1\)",
    ),
    "seq2seq.loss: a target of one-hot rows": (
        lossy(target=np.ones((6, 2), jnp.float32)),
        rnn.DtypeError,
        r"loss: target must be integers, got float32",
    ),
    "seq2seq.loss: longer than the target": (
        lossy(target_lengths=[6, 7]),
        rnn.ArgumentError,
        r"lengths\[1\] is 7, but target has 6 steps",
    ),
    "seq2seq.loss: a source that is longer than it is": (
        lossy(source_lengths=[7, 8]),
        rnn.ArgumentError,
        r"lengths\[1\] is 8, but xs has 7 steps",
    ),
    "seq2seq.loss: a percentage": (
        lossy(sampling=25, key=KEY),
        rnn.ArgumentError,
        r"loss: sampling must be a number in \[0, 1\], got 25",
    ),
    "seq2seq.loss: sampling without a key": (
        lossy(sampling=0.25),
        rnn.ArgumentError,
        "loss: sampling draws tokens and needs a key",
    ),
    "seq2seq.loss: a probability a step": (
        lambda: jax.jit(lambda p: lossy(sampling=p, key=KEY)())(np.full(6, 0.5)),
        rnn.ShapeError,
        r"loss: sampling must be a scalar, got shape \(6,\)",
    ),
    "seq2seq.loss: a decoder without its memory": (
        lambda: rnn.unroll(
            attending(5),
            EncoderDecoder(ENCODER, NoBridge(), attending(5), 0).init(KEY).decoder,
            TARGET,
        ),
        rnn.StructureError,
        "has no memory to attend to",
    ),
}
