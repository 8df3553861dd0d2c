"""A picture for each analysis: a function from its result to matplotlib's Axes.

Each draws into `ax`, or into a new figure of pyplot's if that is None, and returns the Axes, so
that titles, limits and further lines are matplotlib's own business. Colours can be told apart
without seeing red and green. Matplotlib is the extra `plot`, imported when something is drawn.
"""

from rnn_jax.analysis.plots.curvature import spectral_density
from rnn_jax.analysis.plots.fixed_points import fixed_points
from rnn_jax.analysis.plots.gradients import gradient_by_lag, gradient_map, gradient_spectrum
from rnn_jax.analysis.plots.stability import eigenvalues, lyapunov_convergence, pseudospectrum

__all__ = [
    "eigenvalues",
    "fixed_points",
    "gradient_by_lag",
    "gradient_map",
    "gradient_spectrum",
    "lyapunov_convergence",
    "pseudospectrum",
    "spectral_density",
]
