"""Fixed points where the network lives: in the plane of its two largest principal components."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rnn_jax.analysis.fixed_points import FixedPoints
from rnn_jax.analysis.plots.canvas import BLUE, GREY, VERMILION, canvas, result
from rnn_jax.arguments.arrays import reals
from rnn_jax.errors import ArgumentError, ShapeError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def fixed_points(found: FixedPoints, *, trajectories: Any = None, ax: Axes | None = None) -> Axes:
    """Fixed and slow points in principal components, and the ways that the network takes.

    The components are those of the trajectories `(T, *batch, N)`, carries as `flatten_carry`
    has them, or without any, those of the points. The share of the variance along each is on its
    axis; where the two make up little of it, what looks near may be far.

    Raises `ArgumentError` where there is nothing to draw.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Elman(1, 2)
    >>> params = rnn.ElmanParams(jnp.zeros((1, 2)), 2 * jnp.eye(2), jnp.zeros(2))
    >>> starts = rnn.ElmanCarry(jax.random.normal(jax.random.key(0), (20, 2)))
    >>> found = rnn.analysis.fixed_points(cell, params, jnp.zeros(1), starts)
    >>> _, hs = rnn.unroll(cell, params, jnp.zeros((30, 20, 1)), starts)
    >>> ax = rnn.analysis.plots.fixed_points(found, trajectories=hs)
    """
    found = result("plots.fixed_points: found", found, FixedPoints)
    points = np.asarray(found.points, np.float64)
    paths = None if trajectories is None else _paths(trajectories, points.shape[-1])
    cloud = points if paths is None else paths.reshape(-1, paths.shape[-1])
    if not len(cloud):
        raise ArgumentError("plots.fixed_points: there are no points and no trajectories to draw.")
    ax = canvas(ax)
    centre, components, shares = _principal(cloud)
    if paths is not None:
        lines = (paths.reshape(len(paths), -1, paths.shape[-1]) - centre) @ components
        for line in np.moveaxis(lines, 1, 0):
            ax.plot(*line.T, color=GREY, linewidth=0.6, alpha=0.5, zorder=1)
    places = (points - centre) @ components
    marks: tuple[tuple[str, np.ndarray, dict[str, Any]], ...] = (
        ("slow", ~found.fixed, {"marker": "D", "color": GREY, "markerfacecolor": "white"}),
        ("unstable", found.fixed & ~found.stable, {"marker": "X", "color": VERMILION}),
        ("stable", found.fixed & found.stable, {"marker": "o", "color": BLUE}),
    )
    for name, chosen, style in marks:
        if chosen.any():
            ax.plot(*places[chosen].T, linestyle="", markersize=7, label=name, **style)
    ax.set_xlabel(f"principal component 1 ({shares[0]:.0%} of the variance)")
    ax.set_ylabel(f"principal component 2 ({shares[1]:.0%} of the variance)")
    if len(points):
        ax.legend(frameon=False)
    return ax


def _paths(trajectories: Any, size: int) -> np.ndarray:
    name = "plots.fixed_points: trajectories"
    paths = np.asarray(reals(name, trajectories), np.float64)
    if paths.ndim < 2 or paths.shape[-1] != size:
        raise ShapeError(f"{name} must have shape (T, *batch, {size}), got {paths.shape}.")
    return paths


def _principal(cloud: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean, two directions as columns `(N, 2)`, and their shares of the variance."""
    centre = cloud.mean(0)
    _, values, directions = np.linalg.svd(cloud - centre, full_matrices=False)
    variances = np.pad(values**2, (0, 2))
    shares = variances / variances.sum() if variances.sum() > 0 else variances
    padded = np.pad(directions, ((0, 2), (0, 0)))
    return centre, padded[:2].T, shares[:2]
