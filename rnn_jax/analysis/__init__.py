"""How gradients travel through time."""

from rnn_jax.analysis.by_lag import gradient_by_lag

__all__ = ["gradient_by_lag"]
