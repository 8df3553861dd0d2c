"""Pictures of what a network does with small changes in the long run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rnn_jax.analysis.arguments import matrix, vector
from rnn_jax.analysis.fixed_points import FixedPoints
from rnn_jax.analysis.lyapunov import LyapunovSpectrum
from rnn_jax.analysis.normality import Normality
from rnn_jax.analysis.plots.canvas import BLUE, GREY, SCALE, VERMILION, canvas, plane, result
from rnn_jax.arguments.arrays import array
from rnn_jax.errors import ShapeError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def lyapunov_convergence(found: LyapunovSpectrum, *, ax: Axes | None = None) -> Axes:
    """How the estimate of each exponent settles; over a batch the mean, and all within a band.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.GRU(3, 8)
    >>> params = cell.init(jax.random.key(0))
    >>> xs = jax.random.normal(jax.random.key(1), (100, 3))
    >>> found = rnn.analysis.lyapunov_spectrum(cell, params, xs)
    >>> ax = rnn.analysis.plots.lyapunov_convergence(found)
    """
    found = result("plots.lyapunov_convergence: found", found, LyapunovSpectrum)
    ax = canvas(ax)
    from matplotlib import colormaps

    running = np.asarray(found.running)
    running = running.reshape(len(running), -1, running.shape[-1])
    running = np.where(np.isfinite(running), running, np.nan)
    count = running.shape[-1]
    # The end of the scale is too bright for a line on white.
    colours = colormaps[SCALE](np.linspace(0, 0.85, count))
    ax.axhline(0, color=GREY, linewidth=0.8)
    for index, colour in enumerate(colours):
        estimates = running[..., index]
        if estimates.shape[1] > 1:
            low, high = np.min(estimates, 1), np.max(estimates, 1)
            ax.fill_between(found.steps, low, high, color=colour, alpha=0.2, linewidth=0)
        ax.plot(found.steps, estimates.mean(1), color=colour, linewidth=1.5)
    for index in sorted({0, count - 1}):
        last = running[-1, :, index].mean()
        if np.isfinite(last):
            ax.annotate(
                f"$\\lambda_{{{index + 1}}}$",
                (found.steps[-1], last),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                color=colours[index],
                annotation_clip=False,
            )
    ax.set_xscale("log")
    ax.set_xlabel("steps averaged over")
    ax.set_ylabel("Lyapunov exponent (nats per step)")
    return ax


def eigenvalues(found: Normality | FixedPoints, *, ax: Axes | None = None) -> Axes:
    """The eigenvalues of a matrix, or of the Jacobians at fixed points, with the unit circle.

    >>> import jax, rnn_jax as rnn
    >>> w = jax.random.normal(jax.random.key(0), (64, 64)) / 8
    >>> ax = rnn.analysis.plots.eigenvalues(rnn.analysis.normality(w))
    """
    found = result("plots.eigenvalues: found", found, Normality, FixedPoints)
    ax = canvas(ax)
    plane(ax)
    _points(ax, found.eigenvalues, BLUE)
    return ax


def pseudospectrum(
    smallest: Any,
    real: Any,
    imaginary: Any,
    *,
    eigenvalues: Any = None,
    ax: Axes | None = None,
) -> Axes:
    """Contours of the smallest singular value of `zI - w`, in log scale, and the eigenvalues.

    `smallest` `(Y, X)` is what `rnn_jax.analysis.pseudospectrum` makes of the grid of `real`
    `(X,)` and `imaginary` `(Y,)`.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> w = jax.random.normal(jax.random.key(0), (16, 16)) / 4
    >>> axis = jnp.linspace(-1.5, 1.5, 10)
    >>> smallest = rnn.analysis.pseudospectrum(w, axis, axis)
    >>> values = rnn.analysis.normality(w).eigenvalues
    >>> ax = rnn.analysis.plots.pseudospectrum(smallest, axis, axis, eigenvalues=values)
    """
    caller = "plots.pseudospectrum"
    real, imaginary = vector(f"{caller}: real", real), vector(f"{caller}: imaginary", imaginary)
    values = np.asarray(matrix(f"{caller}: smallest", smallest))
    if values.shape != (imaginary.size, real.size):
        raise ShapeError(
            f"{caller}: smallest must have shape (Y, X) = {(imaginary.size, real.size)}, that of "
            f"the grid, got {values.shape}."
        )
    if eigenvalues is not None:
        eigenvalues = array(f"{caller}: eigenvalues", eigenvalues)
    ax = canvas(ax)
    plane(ax)
    # A zero is an eigenvalue hit by the grid, and drawn as that.
    exponents = np.log10(np.where(values > 0, values, np.nan))
    # The smallest lie around single points of the grid, where a contour would show its corners.
    bottom, top = np.nanquantile(exponents, [0.02, 1])
    step = 0.5 * max(1, np.ceil((top - bottom) / 4))
    levels = np.arange(np.ceil(bottom / step), np.floor(top / step) + 1) * step
    contours = ax.contour(
        np.asarray(real), np.asarray(imaginary), exponents, levels=levels, cmap=SCALE
    )
    bar = ax.figure.colorbar(contours, ax=ax, format=lambda e, _: f"$10^{{{e:g}}}$")
    bar.set_label("smallest singular value of $zI - W$")
    bar.outline.set_visible(False)
    if eigenvalues is not None:
        _points(ax, eigenvalues, VERMILION)
    return ax


def _points(ax: Axes, eigenvalues: Any, colour: str) -> None:
    values = np.asarray(eigenvalues).ravel()
    ax.plot(values.real, values.imag, ".", color=colour, markersize=4, label="eigenvalues")
