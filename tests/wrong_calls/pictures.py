"""Pictures, each of the result of one analysis."""

import numpy as np

import rnn_jax as rnn
from rnn_jax import analysis
from rnn_jax.analysis import plots
from tests.wrong_calls.numbers import AXIS, DENSITY, SPECTRUM

MAP = analysis.GradientMap(np.zeros((3, 3)), np.zeros(3))
SQUARE = np.ones((3, 3))


def of_another(name, found, wanted):
    """A row: a picture that is given the result of another analysis."""
    says = rf"plots\.{name}: found must be an? {wanted}.*result of its function.*got "
    return lambda: getattr(plots, name)(found), rnn.StructureError, says


ROWS = {
    "analysis.plots.eigenvalues: another result": of_another("eigenvalues", DENSITY, "Normality"),
    "analysis.plots.fixed_points: an array": of_another("fixed_points", SQUARE, "FixedPoints"),
    "analysis.plots.gradient_by_lag: nothing": of_another("gradient_by_lag", None, "GradientMap"),
    "analysis.plots.gradient_map: an array": of_another("gradient_map", SQUARE, "GradientMap"),
    "analysis.plots.gradient_spectrum: another result": of_another(
        "gradient_spectrum", MAP, "GradientSpectrum or a LeadingSpectrum"
    ),
    "analysis.plots.lyapunov_convergence: exponents": of_another(
        "lyapunov_convergence", SPECTRUM.exponents, "LyapunovSpectrum"
    ),
    "analysis.plots.spectral_density: another result": (
        lambda: plots.spectral_density(SPECTRUM),
        rnn.StructureError,
        r"plots\.spectral_density: found must be a SpectralDensity.*got LyapunovSpectrum",
    ),
    "analysis.plots.pseudospectrum: another grid": (
        lambda: plots.pseudospectrum(np.ones((3, 4)), AXIS, AXIS),
        rnn.ShapeError,
        r"plots\.pseudospectrum: smallest must have shape \(Y, X\) = \(3, 3\).*got \(3, 4\)",
    ),
    "analysis.plots.gradient_map: no axes": (
        lambda: plots.gradient_map(MAP, ax=3),
        rnn.StructureError,
        "ax must be Axes of matplotlib's, or None, got 3",
    ),
}
