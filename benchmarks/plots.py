"""Pictures of a result, which say on their own what they show."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import competitors
from benchmarks.competitors import FLOOR, ITERATING, OURS, PARALLEL
from benchmarks.headline import headlines
from benchmarks.scaling import GRIDS, SERIES, fit, series
from benchmarks.shapes import GATES, KINDS
from benchmarks.variants import PLAIN

# Okabe and Ito's colours, which the colour-blind can tell apart too; and a mark for each.
COLOURS = {"elman": "#0072b2", "gru": "#d55e00", "lstm": "#009e73"}
NAMES = {
    "elman": "Elman",
    "gru": "GRU",
    "lstm": "LSTM",
    "min_gru": "minGRU",
    "lru": "LRU",
    "rglru": "RG-LRU",
}
METHODS = competitors.METHODS | PARALLEL | ITERATING
MARKS = "#0072b2 o", "#56b4e9 s", "#009e73 ^", "#d55e00 D", "#cc79a7 v", "#000000 x", "#e69f00 P"
STYLES = {name: tuple(mark.split()) for name, mark in zip(METHODS, MARKS, strict=True)}
LABELS = {
    "rnn_jax": "BPTT, the default: keeps every carry",
    "rnn_jax sqrt": "BPTT, keeps about √T carries",
    "rnn_jax log": "BPTT, keeps about log T carries",
    "rnn_jax Scan": "lax.scan, differentiated by JAX",
    "rnn_jax Associative": "Associative: in chunks of time",
    "associative_scan": "lax.associative_scan, differentiated by JAX",
    "rnn_jax Newton": "Newton: iterations over all steps at once",
}


def draw(result: dict, folder: Path) -> list[Path]:
    """The pictures of one grid, as PNG; none where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("No pictures: matplotlib is not installed (pip install 'scan-rnn[plot]').")
        return []
    paths = []
    for name, fill in _pictures(result):
        figure = Figure(layout="constrained")
        fill(figure)
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=120)
    return paths


def _pictures(result: dict) -> Iterator[tuple[str, Any]]:
    grid, machine = result["grid"], _machine(result)
    for kind in KINDS:
        rows = [r for r in result["rows"] if r["kind"] == kind and r["variant"] == PLAIN]
        name = f"{grid}-{kind.replace(' ', '-')}"
        if not rows:
            continue
        if grid in GRIDS:
            yield f"{name}-time", lambda f, r=rows, k=kind: time_against_steps(f, r, k, machine)
            yield f"{name}-memory", lambda f, r=rows, k=kind: memory_against_steps(f, r, k, machine)
        elif any(row["ratio"] for row in rows):
            yield f"{name}-ratios", lambda f, r=rows, k=kind: ratios(f, r, k, machine)


def ratios(figure: Any, rows: list[dict], kind: str, machine: str) -> None:
    """A line a competitor, a point a shape: how many times the time of rnn_jax."""
    found = [line for line in headlines(rows) if line.competitor != OURS]
    found.sort(key=lambda line: line.every)
    figure.set_size_inches(9, 1.6 + 0.55 * len(found))
    axes = figure.add_subplot()
    axes.set_xscale("log", base=2)
    for y, line in enumerate(found):
        for i, cell in enumerate(GATES):
            values = [
                row["ratio"][1]
                for row in rows
                if row["competitor"] == line.competitor and row["cell"] == cell
            ]
            height = y + 0.22 * (i - 1)
            axes.scatter(values, [height] * len(values), 22, COLOURS[cell], alpha=0.55, lw=0)
        axes.plot([line.every] * 2, [y - 0.36, y + 0.36], color="black", lw=2.5, zorder=3)
        axes.annotate(
            f"{line.every:.2f}×", (1.01, y), xycoords=("axes fraction", "data"), va="center"
        )
    axes.axvline(1, color="black", lw=1)
    axes.set_yticks(range(len(found)), [_peer(line.competitor) for line in found])
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}×")
    axes.set_xlabel(
        f"◀ faster than {OURS}        time / time of {OURS}        slower than {OURS} ▶"
    )
    axes.set_title(f"{_what(kind)}: time of each library over that of {OURS}", weight="bold")
    axes.annotate("mean", (1.01, len(found) - 0.45), xycoords=("axes fraction", "data"))
    _key(axes, [(COLOURS[cell], "o", NAMES[cell]) for cell in GATES])
    axes.grid(axis="x", color="#e4e4e4", which="both")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    _note(figure, f"Each point is a shape; bars are geometric means. {machine}")


def time_against_steps(figure: Any, rows: list[dict], kind: str, machine: str) -> None:
    """Time of each method, with its line a + b T."""

    def draw(axes: Any, group: list[dict], colour: str, marker: str) -> None:
        steps = np.array([row["steps"] for row in group])
        low, middle, high = np.array([row["milliseconds"] for row in group]).T
        axes.errorbar(
            steps, middle, [middle - low, high - middle], fmt=marker, color=colour, ms=5, capsize=2
        )
        found = fit(steps, middle)
        line = np.geomspace(steps.min(), steps.max(), 50)
        fitted = found(line)
        axes.plot(line[fitted > 0], fitted[fitted > 0], color=colour, lw=1)

    title = f"{_what(kind)}: time against the length of the sequence"
    note = "Medians with quartiles; lines are a + b T."
    _panels(figure, rows, draw, title, "milliseconds", f"{note} {machine}")


def memory_against_steps(figure: Any, rows: list[dict], kind: str, machine: str) -> None:
    """Peak memory of each method's compiled program."""

    def draw(axes: Any, group: list[dict], colour: str, marker: str) -> None:
        own = [row for row in group if row["peak"] is not None]
        sizes = [row["peak"] / 1e6 for row in own]
        axes.plot([row["steps"] for row in own], sizes, marker=marker, color=colour, ms=5, lw=1)

    title = f"{_what(kind)}: memory against the length of the sequence"
    note = "Inputs, outputs and temporaries of the compiled program."
    _panels(figure, rows, draw, title, "megabytes", f"{note} {machine}")


def _panels(figure: Any, rows: list[dict], draw: Any, title: str, unit: str, note: str) -> None:
    """A panel a cell and size, a colour a method, both axes logarithmic."""
    sizes = list(dict.fromkeys((row["batch"], row["hidden"]) for row in rows))
    cells = [cell for cell in NAMES if any(row["cell"] == cell for row in rows)]
    figure.set_size_inches(1.5 + 3.1 * len(cells), 1.8 + 2.5 * len(sizes))
    panels = figure.subplots(len(sizes), len(cells), sharex=True, sharey="row", squeeze=False)
    for key, group in series(rows).items():
        own = dict(zip(SERIES, key, strict=True))
        size = own["batch"], own["hidden"]
        if own["competitor"] in STYLES:
            axes = panels[sizes.index(size)][cells.index(own["cell"])]
            draw(axes, group, *STYLES[own["competitor"]])
    for (batch, hidden), line in zip(sizes, panels, strict=True):
        line[0].set_ylabel(f"{unit}\nbatch {batch}, hidden {hidden}")
        for cell, axes in zip(cells, line, strict=True):
            axes.set_xscale("log", base=4)
            axes.set_yscale("log")
            axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
            axes.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
            axes.grid(color="#e4e4e4")
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
            if axes in panels[0]:
                axes.set_title(NAMES[cell])
            if axes in panels[-1]:
                axes.set_xlabel("steps T")
    names = {row["competitor"] for row in rows}
    handles = [(*STYLES[name], LABELS[name]) for name in STYLES if name in names]
    _key(
        figure,
        handles,
        loc="outside upper center",
        ncols=2,
        title=title,
        title_fontproperties={"weight": "bold", "size": 12},
    )
    _note(figure, note)


def _key(where: Any, entries: list[tuple[str, str, str]], **settings: Any) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=c, marker=m, ls="", label=label) for c, m, label in entries]
    where.legend(handles=handles, frameon=False, **settings)


def _note(figure: Any, text: str) -> None:
    """Small print below everything else."""
    inches = 0.25
    height = inches / figure.get_figheight()
    figure.get_layout_engine().set(rect=(0, height, 1, 1 - height))
    figure.text(0.01, 0.3 * height, text, size=7, color="#666666")


def _what(kind: str) -> str:
    return kind.capitalize()


def _peer(name: str) -> str:
    return "floor: the matmuls alone" if name == FLOOR else name


def _machine(result: dict) -> str:
    machine = result["machine"]
    return (
        f"{machine['processor']}, {machine['threads']} threads, {machine['device']}, "
        f"jax {machine['jax']}, {machine['date']}, {machine['commit']}."
    )
