"""Pictures of gradients through time, all in nats, where e^-5000 has a place too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rnn_jax.analysis.by_lag import GradientMap, memory_horizon
from rnn_jax.analysis.leading import LeadingSpectrum
from rnn_jax.analysis.plots.canvas import BLUE, GREY, PALE, SCALE, VERMILION, canvas, result
from rnn_jax.analysis.spectrum import GradientSpectrum

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BANDS = ((0.0, 1.0, 0.15), (0.05, 0.95, 0.32), (0.25, 0.75, 0.56))
"""From quantile, to quantile, how much of the colour is not white."""
MARGIN = 0.05
"""What an axis has beyond its values, as a part of their range."""


def gradient_spectrum(found: GradientSpectrum | LeadingSpectrum, *, ax: Axes | None = None) -> Axes:
    """The singular values against the lag: median, and bands of 50, 90 and 100 per cent.

    Quantiles are over directions and sequences. A value of zero, whose logarithm is -inf, lies
    below the picture, which then says how many there are at the largest lag. The line at 0 is a
    gradient that keeps its length.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.GRU(3, 8)
    >>> params = cell.init(jax.random.key(0))
    >>> found = rnn.analysis.gradient_spectrum(cell, params, jnp.ones((20, 3)))
    >>> ax = rnn.analysis.plots.gradient_spectrum(found)
    """
    found = result("plots.gradient_spectrum: found", found, GradientSpectrum, LeadingSpectrum)
    ax = canvas(ax)
    values = np.asarray(found.log_values).reshape(len(found.lags), -1)
    # Lags that no sequence is long enough for have no values, and others fewer.
    some = ~np.isnan(values).all(axis=1)
    lags, values = np.asarray(found.lags)[some], values[some]
    finite = values[np.isfinite(values)]
    floor, top = (finite.min(), max(finite.max(), 0)) if finite.size else (-1.0, 0)
    below = 2 * floor - top - 1

    def quantile(q: float) -> np.ndarray:
        # Without interpolation, which makes NaN of two infinities.
        at = np.nanquantile(values, q, axis=1, method="nearest")
        return np.where(np.isfinite(at), at, below)

    ax.axhline(0, color=GREY, linewidth=0.8)
    for low, high, share in BANDS:
        name = f"{high - low:.0%} of the values"
        bounds = quantile(low), quantile(high)
        ax.fill_between(lags, *bounds, color=_paler(BLUE, share), linewidth=0, label=name)
    ax.plot(lags, quantile(0.5), color=BLUE, linewidth=2, label="median")
    ax.plot(lags, quantile(1), color=VERMILION, linewidth=1.5, label="largest")
    if zeros := np.isinf(values[-1]).sum() / (~np.isnan(values[-1])).sum():
        margin = MARGIN * (top - floor)
        ax.set_ylim(floor - margin, top + margin)
        note = f"of the values at lag {lags[-1]}, {zeros:.0%} are 0: below the picture"
        ax.annotate(note, (1, 0), (-4, 4), "axes fraction", textcoords="offset points", ha="right")
    ax.set_xlabel("lag (steps)")
    ax.set_ylabel("log singular value (nats)")
    # Above the axes: within them, there may be no place without a band.
    ax.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
    return ax


def _paler(colour: str, share: float) -> tuple[float, ...]:
    """So much of a colour in white, and opaque: bands that overlap look as the legend has them."""
    from matplotlib.colors import to_rgb

    return tuple(1 - share * (1 - part) for part in to_rgb(colour))


def gradient_map(found: GradientMap, *, ax: Axes | None = None) -> Axes:
    """The gradient of every step's loss by every earlier carry, as a heat map.

    A row is a loss, a column a carry. Grey is zero: what lies in the future of the loss, and a
    gradient that is nothing at all.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Elman(1, 1)
    >>> params = rnn.ElmanParams(jnp.ones((1, 1)), jnp.full((1, 1), 0.5), jnp.zeros(1))
    >>> outputs = lambda ys, targets: ys.sum(-1)
    >>> xs = jnp.ones((9, 1))
    >>> found = jax.jit(lambda p: rnn.analysis.gradient_map(cell, p, xs, loss=outputs))(params)
    >>> ax = rnn.analysis.plots.gradient_map(found)
    """
    found = result("plots.gradient_map: found", found, GradientMap)
    ax = canvas(ax)
    norms = np.asarray(found.log_norms)
    image = ax.imshow(
        np.ma.masked_invalid(norms), cmap=SCALE, origin="lower", interpolation="nearest"
    )
    ax.set_facecolor(PALE)
    ax.set_xlabel("step k of the carry")
    ax.set_ylabel("step t of the loss")
    bar = ax.figure.colorbar(image, ax=ax)
    bar.set_label("log $\\|dL_t/dc_k\\|$ (nats)")
    bar.outline.set_visible(False)
    return ax


def gradient_by_lag(found: GradientMap, *, ax: Axes | None = None, share: float = 0.95) -> Axes:
    """The gradient summed over all losses against the lag, and the horizon of `share` of it.

    Without a horizon where the gradient is NaN.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Elman(1, 1)
    >>> params = rnn.ElmanParams(jnp.ones((1, 1)), jnp.full((1, 1), 0.5), jnp.zeros(1))
    >>> outputs = lambda ys, targets: ys.sum(-1)
    >>> xs = jnp.ones((9, 1))
    >>> found = jax.jit(lambda p: rnn.analysis.gradient_map(cell, p, xs, loss=outputs))(params)
    >>> ax = rnn.analysis.plots.gradient_by_lag(found)
    """
    found = result("plots.gradient_by_lag: found", found, GradientMap)
    horizon = int(memory_horizon(found.by_lag, share=share))
    ax = canvas(ax)
    by_lag = np.ma.masked_invalid(np.asarray(found.by_lag))
    ax.plot(np.arange(by_lag.size), by_lag, color=BLUE, linewidth=2)
    if horizon >= 0:
        steps = "step" if horizon == 1 else "steps"
        ax.axvline(
            horizon,
            color=VERMILION,
            linestyle="--",
            linewidth=1.2,
            label=f"{share:.0%} of the gradient lies within {horizon} {steps}",
        )
        ax.legend(frameon=False)
    ax.set_xlabel("lag (steps)")
    ax.set_ylabel("log $\\sum_t \\|dL_t/dc_{t-\\mathrm{lag}}\\|$ (nats)")
    return ax
