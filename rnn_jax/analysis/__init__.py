"""How gradients travel through time."""

from rnn_jax.analysis import plots
from rnn_jax.analysis.attention_weights import attention_weights
from rnn_jax.analysis.by_lag import GradientMap, gradient_by_lag, gradient_map, memory_horizon
from rnn_jax.analysis.curvature import (
    Extremes,
    SpectralDensity,
    extreme_eigenvalues,
    gauss_newton_product,
    hessian_product,
    smoothed,
    spectral_density,
)
from rnn_jax.analysis.fixed_points import FixedPoints, fixed_points
from rnn_jax.analysis.flatten import flatten_carry, unflatten_carry
from rnn_jax.analysis.flossing import flossing_loss
from rnn_jax.analysis.jacobians import Propagator, propagator, step_jacobians
from rnn_jax.analysis.leading import LeadingSpectrum, leading_gradient_spectrum
from rnn_jax.analysis.losses import last
from rnn_jax.analysis.lyapunov import (
    LyapunovSpectrum,
    adjoint_lyapunov_spectrum,
    entropy_rate,
    kaplan_yorke_dimension,
    lyapunov_spectrum,
)
from rnn_jax.analysis.mean_field import (
    MeanField,
    MeanFieldLyapunov,
    mean_field,
    mean_field_lyapunov,
)
from rnn_jax.analysis.monitor import GradientMetrics, gradient_metrics
from rnn_jax.analysis.newton import NewtonReport, newton_report
from rnn_jax.analysis.normality import Normality, normality
from rnn_jax.analysis.pascanu import gradient_bound, omega
from rnn_jax.analysis.pseudospectrum import pseudospectrum
from rnn_jax.analysis.recurrent import recurrent_matrices
from rnn_jax.analysis.saturation import saturated_share
from rnn_jax.analysis.signal_to_noise import SignalToNoise, signal_to_noise_by_lag
from rnn_jax.analysis.spectrum import GradientSpectrum, gradient_spectrum
from rnn_jax.analysis.weights_by_lag import weight_gradient_by_lag

__all__ = [
    "Extremes",
    "FixedPoints",
    "GradientMap",
    "GradientMetrics",
    "GradientSpectrum",
    "LeadingSpectrum",
    "LyapunovSpectrum",
    "MeanField",
    "MeanFieldLyapunov",
    "NewtonReport",
    "Normality",
    "Propagator",
    "SignalToNoise",
    "SpectralDensity",
    "adjoint_lyapunov_spectrum",
    "attention_weights",
    "entropy_rate",
    "extreme_eigenvalues",
    "fixed_points",
    "flatten_carry",
    "flossing_loss",
    "gauss_newton_product",
    "gradient_bound",
    "gradient_by_lag",
    "gradient_map",
    "gradient_metrics",
    "gradient_spectrum",
    "hessian_product",
    "kaplan_yorke_dimension",
    "last",
    "leading_gradient_spectrum",
    "lyapunov_spectrum",
    "mean_field",
    "mean_field_lyapunov",
    "memory_horizon",
    "newton_report",
    "normality",
    "omega",
    "plots",
    "propagator",
    "pseudospectrum",
    "recurrent_matrices",
    "saturated_share",
    "signal_to_noise_by_lag",
    "smoothed",
    "spectral_density",
    "step_jacobians",
    "unflatten_carry",
    "weight_gradient_by_lag",
]
