"""Tasks that need a memory: random data, each with the loss of the best answer without one."""

from rnn_jax.tasks.adding import Adding, adding
from rnn_jax.tasks.copy_memory import CopyMemory, copy_memory
from rnn_jax.tasks.temporal_order import TemporalOrder, temporal_order

__all__ = ["Adding", "CopyMemory", "TemporalOrder", "adding", "copy_memory", "temporal_order"]
