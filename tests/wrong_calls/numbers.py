"""Analyses of matrices, spectra and losses: what is handed on from one to another."""

import jax.numpy as jnp
import numpy as np

import rnn_jax as rnn
from rnn_jax import analysis
from tests.wrong_calls.given import KEYS, MASKED, PARAMS

SPECTRUM = analysis.LyapunovSpectrum(np.ones(3), np.ones((2, 3)), np.arange(2))
DENSITY = analysis.SpectralDensity(np.zeros((1, 1)), np.ones((1, 1)))
AXIS = np.linspace(-1, 1, 3)


def twice(v):
    return 2 * v


def squares(w):
    return jnp.sum(w**2)


ROWS = {
    "analysis.kaplan_yorke_dimension: a whole spectrum": (
        lambda: analysis.kaplan_yorke_dimension(SPECTRUM),
        rnn.StructureError,
        r"kaplan_yorke_dimension: exponents must be an array of numbers, got "
        r"LyapunovSpectrum\(exponents, running, steps\)",
    ),
    "analysis.kaplan_yorke_dimension: one exponent without its axis": (
        lambda: analysis.kaplan_yorke_dimension(0.5),
        rnn.ShapeError,
        r"exponents must have an axis of numbers, got shape \(\)",
    ),
    "analysis.entropy_rate: a spectrum of another kind": (
        lambda: analysis.entropy_rate(DENSITY),
        rnn.StructureError,
        r"entropy_rate: exponents must be an array of numbers, got SpectralDensity\(",
    ),
    "analysis.memory_horizon: more than all": (
        lambda: analysis.memory_horizon(np.zeros(3), share=1.5),
        rnn.ArgumentError,
        r"memory_horizon: share must .*\(0, 1\].*got 1\.5",
    ),
    "analysis.smoothed: another result": (
        lambda: analysis.smoothed(SPECTRUM, AXIS, width=1.0),
        rnn.StructureError,
        r"smoothed: density must be a SpectralDensity, as rnn_jax\.analysis\.spectral_density "
        r"returns it, got LyapunovSpectrum\(",
    ),
    "analysis.smoothed: a width that is none": (
        lambda: analysis.smoothed(DENSITY, AXIS, width=float("nan")),
        rnn.ArgumentError,
        "smoothed: width must be a positive number, got nan",
    ),
    "analysis.smoothed: a grid of two axes": (
        lambda: analysis.smoothed(DENSITY, np.zeros((2, 2)), width=1.0),
        rnn.ShapeError,
        r"smoothed: grid must be a vector, got shape \(2, 2\)",
    ),
    "analysis.extreme_eigenvalues: a matrix for its products": (
        lambda: analysis.extreme_eigenvalues(np.eye(5), np.zeros(5)),
        rnn.ArgumentError,
        r"extreme_eigenvalues: product must be a function, got float.* of shape \(5, 5\)",
    ),
    "analysis.extreme_eigenvalues: a product that is shorter": (
        lambda: analysis.extreme_eigenvalues(lambda v: v[:2], np.zeros(5)),
        rnn.ShapeError,
        r"extreme_eigenvalues: product\(v\) must be float.* of shape \(5,\), got .*\(2,\)",
    ),
    "analysis.extreme_eigenvalues: a number of dimensions": (
        lambda: analysis.extreme_eigenvalues(twice, 5),
        rnn.StructureError,
        "extreme_eigenvalues: like must be a floating array, got 5",
    ),
    "analysis.spectral_density: several keys": (
        lambda: analysis.spectral_density(twice, np.zeros(5), key=KEYS),
        rnn.StructureError,
        r"spectral_density: key must be one key.*take one of them, keys\[0\]",
    ),
    "analysis.spectral_density: nothing": (
        lambda: analysis.spectral_density(twice, ()),
        rnn.StructureError,
        r"spectral_density: like must hold arrays, got \(\)",
    ),
    "analysis.hessian_product: a loss of each": (
        lambda: analysis.hessian_product(jnp.square, np.ones(2)),
        rnn.ShapeError,
        r"hessian_product: loss must return one floating number, got .* of shape \(2,\)",
    ),
    "analysis.hessian_product: integer params": (
        lambda: analysis.hessian_product(squares, np.ones(2, int)),
        rnn.StructureError,
        r"hessian_product: params must be a floating array, got int.* of shape \(2,\)",
    ),
    "analysis.hessian_product: a vector of another length": (
        lambda: analysis.hessian_product(squares, np.ones(2))(np.ones(3)),
        rnn.ShapeError,
        r"hessian_product: v must be float.* of shape \(2,\), got float.* of shape \(3,\)",
    ),
    "analysis.gauss_newton_product: a loss by its name": (
        lambda: analysis.gauss_newton_product(jnp.square, np.ones(2), loss="mse"),
        rnn.ArgumentError,
        "gauss_newton_product: loss must be a function, got 'mse'",
    ),
    "analysis.gauss_newton_product: a model that decides": (
        lambda: analysis.gauss_newton_product(lambda w: w > 0, np.ones(2), loss=squares),
        rnn.StructureError,
        r"gauss_newton_product: model\(params\) must be a floating array, got bool",
    ),
    "analysis.mean_field: a gain in letters": (
        lambda: analysis.mean_field("2"),
        rnn.ArgumentError,
        "mean_field: gain must be a positive number, got '2'",
    ),
    "analysis.mean_field: an activation of NumPy": (
        lambda: analysis.mean_field(1.0, activation=np.tanh),
        rnn.ArgumentError,
        r"mean_field: activation, <ufunc 'tanh'>, computes outside JAX",
    ),
    "analysis.mean_field: a correlation of two": (
        lambda: analysis.mean_field(1.0, input_correlation=2),
        rnn.ArgumentError,
        r"mean_field: input_correlation must be a number in \[0, 1\], got 2",
    ),
    "analysis.mean_field_lyapunov: an activation of all units": (
        lambda: analysis.mean_field_lyapunov(1.0, k=4, activation=jnp.sum),
        rnn.ArgumentError,
        "mean_field_lyapunov: activation, .*must be pointwise",
    ),
    "analysis.normality: params": (
        lambda: analysis.normality(PARAMS),
        rnn.StructureError,
        r"normality: w must be an array of numbers, got ElmanParams\(w_xh, w_hh, b_h\)",
    ),
    "analysis.normality: a block of gates": (
        lambda: analysis.normality(np.ones((5, 20))),
        rnn.ShapeError,
        r"normality: w must be a square matrix, got shape \(5, 20\).*takes the gates apart",
    ),
    "analysis.gradient_bound: masked weights": (
        lambda: analysis.gradient_bound(MASKED[:, 0]),
        rnn.StructureError,
        "gradient_bound: w is a masked array with masked entries",
    ),
    "analysis.gradient_bound: a slope below zero": (
        lambda: analysis.gradient_bound(np.eye(2), gamma=-1),
        rnn.ArgumentError,
        "gradient_bound: gamma must be a positive number, got -1",
    ),
    "analysis.pseudospectrum: a point for an axis": (
        lambda: analysis.pseudospectrum(np.eye(2), 0.0, AXIS),
        rnn.ShapeError,
        r"pseudospectrum: real must be a vector, got shape \(\)",
    ),
    "analysis.pseudospectrum: an imaginary axis of complex numbers": (
        lambda: analysis.pseudospectrum(np.eye(2), AXIS, AXIS.astype(complex)),
        rnn.DtypeError,
        "pseudospectrum: imaginary must be real, got complex",
    ),
    "analysis.recurrent_matrices: params for a cell": (
        lambda: analysis.recurrent_matrices(PARAMS, PARAMS),
        rnn.StructureError,
        r"recurrent_matrices: the first argument must be a Cell, got ElmanParams\(w_xh",
    ),
    "analysis.recurrent_matrices: params of another cell": (
        lambda: analysis.recurrent_matrices(rnn.GRU(3, 5), PARAMS),
        rnn.StructureError,
        r"expected params of the form GRUParams.*got ElmanParams",
    ),
}
