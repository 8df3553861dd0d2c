"""Tasks that need a memory: random data, each with the loss of the best answer without one."""

from rnn_jax.tasks.adding import Adding, adding
from rnn_jax.tasks.copy_memory import CopyMemory, copy_memory
from rnn_jax.tasks.delayed_xor import DelayedXOR, delayed_xor
from rnn_jax.tasks.temporal_order import TemporalOrder, temporal_order

__all__ = [
    "Adding",
    "CopyMemory",
    "DelayedXOR",
    "TemporalOrder",
    "adding",
    "copy_memory",
    "delayed_xor",
    "temporal_order",
]
