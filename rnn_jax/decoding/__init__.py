"""Sequences of tokens out of a cell that emits logits."""

from rnn_jax.decoding.beam import beam
from rnn_jax.decoding.choosing import MinP, Temperature, TopK, TopP
from rnn_jax.decoding.ctc_beam import ctc_beam
from rnn_jax.decoding.ctc_greedy import ctc_greedy
from rnn_jax.decoding.sampling import sample
from rnn_jax.decoding.sequences import NBest, Sequences

__all__ = [
    "MinP",
    "NBest",
    "Sequences",
    "Temperature",
    "TopK",
    "TopP",
    "beam",
    "ctc_beam",
    "ctc_greedy",
    "sample",
]
