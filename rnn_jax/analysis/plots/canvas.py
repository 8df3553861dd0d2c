"""What the pictures share: axes to draw on, and colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rnn_jax.arguments.settings import instance, short
from rnn_jax.errors import StructureError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which the colour-blind can tell apart too.
BLUE, VERMILION, GREY = "#0072b2", "#d55e00", "#8a8a8a"
PALE = "#dddddd"
SCALE = "viridis"


def result(name: str, found: Any, *kinds: type) -> Any:
    """What a picture is drawn of; raises for what is not the result of its analysis."""
    return instance(kinds, ", the result of its function in rnn_jax.analysis")(name, found)


def canvas(ax: Axes | None) -> Axes:
    """The axes given, or those of a new figure; without the lines that frame nothing.

    Raises:
        ImportError: matplotlib is not installed.
    """
    if ax is None:
        try:
            from matplotlib import pyplot
        except ImportError as error:
            raise ImportError(
                "the pictures need matplotlib: pip install 'scan-rnn[plot]'"
            ) from error
        ax = pyplot.figure(layout="constrained").add_subplot()
    if not hasattr(ax, "spines"):
        raise StructureError(f"ax must be Axes of matplotlib's, or None, got {short(ax)}.")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plane(ax: Axes) -> None:
    """Make the axes the complex plane, with the unit circle, inside which what is mapped decays."""
    from matplotlib.patches import Circle

    # Above the points, of which many may lie on it.
    circle = Circle((0, 0), 1, fill=False, color="black", linewidth=0.8, label="unit circle")
    ax.add_patch(circle).set_zorder(3)
    ax.set_aspect("equal")
    ax.set_xlabel("real part")
    ax.set_ylabel("imaginary part")
