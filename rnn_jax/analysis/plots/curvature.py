"""The spectrum of a training loss's curvature, as a density."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from rnn_jax.analysis.curvature import SpectralDensity, a_density, smoothed
from rnn_jax.analysis.plots.canvas import BLUE, GREY, canvas
from rnn_jax.arguments.settings import above_zero, optional

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 1000
DECADES = 8


def spectral_density(
    found: SpectralDensity, *, ax: Axes | None = None, width: float | None = None
) -> Axes:
    """The density of eigenvalues, in log scale, for most of them lie near zero.

    Every point mass is a Gaussian of standard deviation `width`, a hundredth of the range of
    eigenvalues if None.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> stretch = lambda v: v * jnp.arange(300.0)
    >>> found = rnn.analysis.spectral_density(stretch, jnp.zeros(300))
    >>> ax = rnn.analysis.plots.spectral_density(found)
    """
    a_density("plots.spectral_density: found", found)
    width = optional(above_zero)("plots.spectral_density: width", width)
    ax = canvas(ax)
    low, high = float(found.nodes.min()), float(found.nodes.max())
    if width is None:
        width = (high - low or abs(high) or 1.0) / 100
    grid = np.linspace(low - 4 * width, high + 4 * width, POINTS)
    heights = np.asarray(smoothed(found, jnp.asarray(grid, found.nodes.dtype), width=width))
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.plot(grid, heights, color=BLUE, linewidth=1.5)
    ax.set_yscale("log")
    ax.set_ylim(heights.max() / 10**DECADES, heights.max() * 3)
    ax.set_xlabel("eigenvalue")
    ax.set_ylabel("density (per unit of eigenvalue)")
    return ax
