"""Batches of sequences of different lengths, in few shapes, so that little is compiled.

On the host, in NumPy. A sequence is an array `(n, ...)`, one step an entry, or a pytree of arrays
of one length n, such as a tuple of inputs and targets, which then travel together.
"""

from rnn_jax.batching.guard import jit_at_most
from rnn_jax.batching.packed import Packed, pack
from rnn_jax.batching.padded import Padded, boundaries, bucket, pad
from rnn_jax.batching.pairs import Pairs, bucket_pairs

__all__ = [
    "Packed",
    "Padded",
    "Pairs",
    "boundaries",
    "bucket",
    "bucket_pairs",
    "jit_at_most",
    "pack",
    "pad",
]
