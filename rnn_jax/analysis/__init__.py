"""How gradients travel through time."""

from rnn_jax.analysis.by_lag import gradient_by_lag
from rnn_jax.analysis.flatten import flatten_carry, unflatten_carry
from rnn_jax.analysis.flossing import flossing_loss
from rnn_jax.analysis.jacobians import Propagator, propagator, step_jacobians
from rnn_jax.analysis.leading import LeadingSpectrum, leading_gradient_spectrum
from rnn_jax.analysis.lyapunov import (
    LyapunovSpectrum,
    adjoint_lyapunov_spectrum,
    entropy_rate,
    kaplan_yorke_dimension,
    lyapunov_spectrum,
)
from rnn_jax.analysis.spectrum import GradientSpectrum, gradient_spectrum

__all__ = [
    "GradientSpectrum",
    "LeadingSpectrum",
    "LyapunovSpectrum",
    "Propagator",
    "adjoint_lyapunov_spectrum",
    "entropy_rate",
    "flatten_carry",
    "flossing_loss",
    "gradient_by_lag",
    "gradient_spectrum",
    "kaplan_yorke_dimension",
    "leading_gradient_spectrum",
    "lyapunov_spectrum",
    "propagator",
    "step_jacobians",
    "unflatten_carry",
]
