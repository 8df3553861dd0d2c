"""One sequence into another: encoder, bridge and decoder, trained as one."""

from rnn_jax.seq2seq.bridges import Bridge, CopyBridge, DenseBridge, NoBridge
from rnn_jax.seq2seq.encoder_decoder import EncoderDecoder, EncoderDecoderParams, encode
from rnn_jax.seq2seq.loss import loss

__all__ = [
    "Bridge",
    "CopyBridge",
    "DenseBridge",
    "EncoderDecoder",
    "EncoderDecoderParams",
    "NoBridge",
    "encode",
    "loss",
]
