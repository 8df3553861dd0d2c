"""Sequences of tokens out of a cell that reads tokens and emits logits."""

from rnn_jax.decoding.sampling import sample

__all__ = ["sample"]
