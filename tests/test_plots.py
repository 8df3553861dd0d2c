"""The pictures: each draws the numbers that it was given, and nothing is imported before."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import rnn_jax as rnn
from rnn_jax.analysis import plots
from rnn_jax.analysis.plots.canvas import BLUE, VERMILION

pytestmark = pytest.mark.usefixtures("no_rank_promotion")


@pytest.fixture
def ax():
    return Figure().add_subplot()


def line(ax, label):
    (found,) = [line for line in ax.get_lines() if line.get_label() == label]
    return found


def band(ax, label):
    """The lower and the upper edge of a filled band, in the order of x."""
    (found,) = [c for c in ax.collections if c.get_label() == label]
    corners = found.get_paths()[0].vertices
    xs = np.unique(corners[:, 0])
    return np.array([[e(corners[corners[:, 0] == x, 1]) for x in xs] for e in (min, max)])


def test_the_spectrum_has_its_median_its_largest_and_its_bands(ax, rng):
    lags, values = np.array([1, 5, 9]), -np.sort(rng.uniform(0, 9, size=(3, 2, 11)))
    values[2, 0, 4:] = -np.inf
    found = rnn.analysis.GradientSpectrum(lags, jnp.asarray(values))
    assert plots.gradient_spectrum(found, ax=ax) is ax
    over = np.sort(values.reshape(3, 22))
    np.testing.assert_array_equal(line(ax, "largest").get_xdata(), lags)
    np.testing.assert_array_equal(line(ax, "largest").get_ydata(), over[:, -1])
    floor = over[np.isfinite(over)].min()

    def on_axis(values):
        """What a picture shows: anything below it is all the same."""
        return np.maximum(values, ax.get_ylim()[0])

    middle = on_axis(line(ax, "median").get_ydata())
    assert all(m in on_axis(o[10:12]) for m, o in zip(middle, over, strict=True))
    assert 0.9 * floor > floor > ax.get_ylim()[0] > 1.1 * floor
    everything = np.stack([over[:, 0], over[:, -1]])
    np.testing.assert_array_equal(on_axis(band(ax, "100% of the values")), on_axis(everything))
    half = over[:, [5, 16]].T  # of 22 values
    np.testing.assert_array_equal(on_axis(band(ax, "50% of the values")), on_axis(half))
    assert [t.get_text() for t in ax.texts] == [
        "of the values at lag 9, 32% are 0: below the picture"
    ]
    assert ax.get_xlabel() == "lag (steps)"
    assert ax.get_ylabel() == "log singular value (nats)"


def test_a_leading_spectrum_and_one_of_zeros_are_drawn_too(ax):
    zeros = jnp.full((2, 3), -jnp.inf)
    found = rnn.analysis.LeadingSpectrum(np.array([1, 2]), zeros, jnp.zeros(2), jnp.zeros(2))
    plots.gradient_spectrum(found, ax=ax)
    assert (line(ax, "largest").get_ydata() < ax.get_ylim()[0]).all()
    assert "100% are 0" in ax.texts[0].get_text()


def test_the_legend_of_the_spectrum_hides_nothing(ax):
    lags, values = np.array([1, 128]), np.full((2, 40), -np.inf)  # bands all over the picture
    values[:, 0], values[0, 1:30] = 0, np.linspace(-50, 0, 29)
    plots.gradient_spectrum(rnn.analysis.GradientSpectrum(lags, jnp.asarray(values)), ax=ax)
    ax.figure.draw_without_rendering()
    legend, axes = ax.get_legend().get_window_extent(), ax.get_window_extent()
    assert legend.y0 >= axes.y1
    drawn = [to_hex(c.get_facecolor()[0], True) for c in ax.collections]
    assert [to_hex(p.get_facecolor(), True) for p in ax.get_legend().get_patches()] == drawn
    assert len(set(drawn)) == 3
    assert all(colour.endswith("ff") for colour in drawn)  # as the legend has them, where they lie


def test_the_map_shows_every_norm_and_masks_what_is_zero(ax):
    norms = np.array([[0.0, -np.inf, -np.inf], [-700.0, -1, -np.inf], [-5000, -np.inf, -2]])
    plots.gradient_map(rnn.analysis.GradientMap(jnp.asarray(norms), jnp.zeros(3)), ax=ax)
    (image,) = ax.get_images()
    shown = image.get_array()
    np.testing.assert_array_equal(shown.mask, np.isinf(norms))
    np.testing.assert_array_equal(shown.compressed(), norms[np.isfinite(norms)])
    assert image.get_clim() == (-5000, 0)
    assert "nats" in ax.figure.axes[1].get_ylabel()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step k of the carry", "step t of the loss")


def test_the_gradient_by_lag_has_its_horizon(ax):
    by_lag = jnp.arange(400.0) * jnp.log(0.9)
    plots.gradient_by_lag(rnn.analysis.GradientMap(jnp.zeros((400, 400)), by_lag), ax=ax)
    curve, horizon = ax.get_lines()
    np.testing.assert_allclose(curve.get_ydata(), by_lag)
    assert set(horizon.get_xdata()) == {28}
    assert "95% of the gradient lies within 28 steps" in horizon.get_label()


def test_a_lag_that_no_sequence_is_long_enough_for_is_not_drawn(ax):
    values = np.array(
        [[[0.0, -1.0], [-2.0, -3.0]], [[-1.0, -2.0], [np.nan] * 2], [[np.nan] * 2] * 2]
    )
    plots.gradient_spectrum(
        rnn.analysis.GradientSpectrum(np.array([1, 2, 3]), jnp.asarray(values)), ax=ax
    )
    np.testing.assert_array_equal(line(ax, "largest").get_xdata(), [1, 2])
    np.testing.assert_array_equal(line(ax, "largest").get_ydata(), [0, -1])
    assert not ax.texts


def test_every_exponent_is_seen_to_settle(ax, rng):
    running, steps = rng.normal(size=(5, 3, 2)), np.array([2, 4, 6, 8, 9])
    plots.lyapunov_convergence(
        rnn.analysis.LyapunovSpectrum(jnp.zeros((3, 2)), jnp.asarray(running), steps), ax=ax
    )
    zero, *lines = ax.get_lines()
    assert set(zero.get_ydata()) == {0}
    for index, drawn in enumerate(lines):
        np.testing.assert_array_equal(drawn.get_xdata(), steps)
        np.testing.assert_allclose(drawn.get_ydata(), running[..., index].mean(1))
    assert len(lines) == len(ax.collections) == 2
    assert [text.xy[0] for text in ax.texts] == [9, 9]
    assert ax.get_xscale() == "log"
    assert ax.get_ylabel() == "Lyapunov exponent (nats per step)"


def test_an_exponent_of_a_direction_that_dies_is_left_out(ax):
    running = jnp.array([[0.5, -jnp.inf], [0.25, -jnp.inf]])
    plots.lyapunov_convergence(
        rnn.analysis.LyapunovSpectrum(running[-1], running, np.array([1, 2])), ax=ax
    )
    np.testing.assert_array_equal(ax.get_lines()[1].get_ydata(), [0.5, 0.25])
    assert np.isnan(ax.get_lines()[2].get_ydata()).all()
    assert len(ax.texts) == 1


def test_eigenvalues_lie_in_the_plane_with_the_unit_circle(ax, rng):
    w = rng.normal(size=(6, 6))
    found = rnn.analysis.normality(w)
    plots.eigenvalues(found, ax=ax)
    drawn = line(ax, "eigenvalues")
    values = drawn.get_xdata() + 1j * drawn.get_ydata()
    np.testing.assert_array_equal(values, found.eigenvalues)
    (circle,) = ax.patches
    assert (circle.center, circle.radius) == ((0, 0), 1)
    assert ax.get_aspect() == 1


def test_the_pseudospectrum_has_contours_where_they_belong(ax):
    """Of a matrix of one number w they are circles around it, and the levels their radii."""
    axis = np.linspace(-3, 3, 121)
    smallest = np.abs(axis + 1j * axis[:, None] - 0.5)
    plots.pseudospectrum(smallest, axis, axis, eigenvalues=[0.5 + 0j], ax=ax)
    (contours,) = [c for c in ax.collections if hasattr(c, "levels")]
    assert 0 in contours.levels
    for level, path in zip(contours.levels, contours.get_paths(), strict=True):
        radii = np.hypot(path.vertices[:, 0] - 0.5, path.vertices[:, 1])
        np.testing.assert_allclose(radii, 10.0**level, rtol=0.02)
    assert line(ax, "eigenvalues").get_xdata().tolist() == [0.5]
    assert ax.figure.axes[1].get_ylabel() == "smallest singular value of $zI - W$"


def test_fixed_points_lie_among_the_trajectories_and_are_marked(ax):
    """Two sinks at x = ±0.9575 and saddles between, the rest of the carry always 0."""
    cell = rnn.Elman(1, 3)
    params = rnn.ElmanParams(jnp.zeros((1, 3)), jnp.diag(jnp.array([2.0, 0, 0])), jnp.zeros(3))
    starts = rnn.ElmanCarry(jnp.linspace(-1, 1, 7)[:, None] * jnp.array([[1.0, 0, 0]]))
    found = rnn.analysis.fixed_points(cell, params, jnp.zeros(1), starts)
    _, hs = rnn.unroll(cell, params, jnp.zeros((9, 7, 1)), starts)
    plots.fixed_points(found, trajectories=hs, ax=ax)
    stable, unstable = line(ax, "stable"), line(ax, "unstable")
    centre = np.asarray(hs)[..., 0].mean()
    np.testing.assert_allclose(
        np.sort(np.abs(stable.get_xdata() - np.mean(stable.get_xdata()))), [0.9575] * 2, atol=1e-4
    )
    np.testing.assert_allclose(np.abs(unstable.get_xdata()), np.abs(centre), atol=1e-9)
    np.testing.assert_allclose(stable.get_ydata(), 0, atol=1e-12)
    assert (to_hex(stable.get_color()), to_hex(unstable.get_color())) == (BLUE, VERMILION)
    paths = [p for p in ax.get_lines() if len(p.get_xdata()) == 9]
    assert len(paths) == 7
    moves = [np.abs(np.diff(p.get_xdata())) for p in paths]
    np.testing.assert_allclose(np.transpose(moves), np.abs(np.diff(hs[..., 0], axis=0)))
    assert ax.get_xlabel() == "principal component 1 (100% of the variance)"


def test_slow_points_are_marked_as_such_and_nothing_is_refused(ax):
    nothing = np.zeros(0)
    found = rnn.analysis.FixedPoints(
        None, np.eye(2), np.ones(2), np.zeros(2, bool), nothing, nothing, np.ones(2, bool), nothing
    )
    plots.fixed_points(found, ax=ax)
    assert len(line(ax, "slow").get_xdata()) == 2
    empty = found._replace(points=np.zeros((0, 2)), fixed=nothing == 1, stable=nothing == 1)
    with pytest.raises(rnn.ArgumentError, match="no points and no trajectories"):
        plots.fixed_points(empty)


def test_the_density_is_the_smoothed_one(ax):
    found = rnn.analysis.SpectralDensity(jnp.array([[0.0, 10.0]]), jnp.array([[0.75, 0.25]]))
    plots.spectral_density(found, ax=ax, width=0.5)
    curve = ax.get_lines()[1]
    grid, heights = curve.get_xdata(), curve.get_ydata()
    np.testing.assert_allclose(np.trapezoid(heights, grid), 1, rtol=1e-4)
    np.testing.assert_allclose(heights.max(), 0.75 / (0.5 * np.sqrt(2 * np.pi)), rtol=1e-3)
    assert ax.get_yscale() == "log"


def test_without_axes_a_figure_is_made():
    from matplotlib import pyplot

    ax = plots.eigenvalues(rnn.analysis.normality(jnp.eye(2)))
    assert ax.figure.number in pyplot.get_fignums()
    pyplot.close(ax.figure)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"need matplotlib: pip install 'scan-rnn\[plot\]'"):
        plots.eigenvalues(rnn.analysis.normality(jnp.eye(2)))


def test_all_values_of_a_real_spectrum_are_in_the_picture(ax):
    cell = rnn.GRU(2, 4)
    params = cell.init(jax.random.key(0), jnp.float64)
    found = rnn.analysis.gradient_spectrum(cell, params, jnp.ones((6, 2)))
    plots.gradient_spectrum(found, ax=ax)
    low, high = ax.get_ylim()
    assert low <= found.log_values.min()
    assert found.log_values.max() <= high
