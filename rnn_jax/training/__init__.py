"""Training loops over streams, and what an optimiser of optax can be made of beside.

`truncated_bptt` and `windows` are at the top, as `rnn_jax.truncated_bptt`.
"""

from rnn_jax.training.accumulation import accumulate
from rnn_jax.training.averaging import AverageParamsState, average_params, averaged_params
from rnn_jax.training.clipping import clip_by_global_norm
from rnn_jax.training.dynamic_evaluation import DynamicEvaluation, dynamic_evaluation
from rnn_jax.training.halving import ScaleByHalvingState, halve_on_stall, scale_by_halving
from rnn_jax.training.masks import matrices

__all__ = [
    "AverageParamsState",
    "DynamicEvaluation",
    "ScaleByHalvingState",
    "accumulate",
    "average_params",
    "averaged_params",
    "clip_by_global_norm",
    "dynamic_evaluation",
    "halve_on_stall",
    "matrices",
    "scale_by_halving",
]
