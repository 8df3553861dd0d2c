"""The pictures of what gradients do in a run."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rnn_jax.analysis import plots
from rnn_jax.language.cells import gates
from rnn_jax.language.plots import can_draw, save
from rnn_jax.language.spectrum.measure import Findings
from rnn_jax.language.spectrum.names import matrix_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 4


def draw(found: Findings, cell: str, folder: Path) -> dict[str, Path]:
    """Draw each picture; the files by what they show, none where matplotlib is missing."""
    if not can_draw():
        return {}
    paths = {}
    for name, picture in (
        ("gradient_map", lambda ax: plots.gradient_map(found.map, ax=ax)),
        ("gradient_by_lag", lambda ax: plots.gradient_by_lag(found.map, ax=ax)),
        ("singular_values", lambda ax: _singular_values(found, ax)),
        ("lyapunov", lambda ax: plots.lyapunov_convergence(found.lyapunov, ax=ax)),
    ):
        paths[name] = folder / f"{name}.png"
        with _axes(paths[name]) as ((ax,),):
            picture(ax)
    if found.matrices:
        paths["eigenvalues"] = folder / "eigenvalues.png"
        # A row is a layer, where a layer has more than one.
        columns = min(len(found.matrices), len(gates(cell)) or COLUMNS)
        rows = -(-len(found.matrices) // columns)
        with _axes(paths["eigenvalues"], rows, columns) as axes:
            each = itertools.chain.from_iterable(axes)
            for name, normality in found.matrices.items():
                ax = plots.eigenvalues(normality, ax=next(each))
                ax.set_title(matrix_name(name, cell))
                ax.label_outer()
            for ax in each:
                ax.set_axis_off()
    return paths


def _singular_values(found: Findings, ax: Axes) -> None:
    plots.gradient_spectrum(found.spectrum, ax=ax)
    count = found.spectrum.log_values.shape[-1]
    if count < found.numbers:
        ax.set_ylabel(f"{ax.get_ylabel()}\nthe {count} largest of {found.numbers}")


@contextlib.contextmanager
def _axes(path: Path, rows: int = 1, columns: int = 1) -> Iterator[list[list[Axes]]]:
    """Axes of a figure that is saved in the end."""
    from matplotlib.figure import Figure

    size = (7, 4.2) if rows == columns == 1 else (2.6 * columns + 0.4, 2.9 * rows)
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    yield figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).tolist()
    save(figure, path)
