"""The pictures of a run. Matplotlib is an extra, so it is imported when it is needed."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Any

from rnn_jax.language.baselines import Baselines
from rnn_jax.language.config import Config
from rnn_jax.language.run import Run

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MISSING = "no pictures: they need matplotlib (pip install 'scan-rnn[plot]')"
_MODEL, _TRAIN, _COUNTS = "#1f5fa8", "#9dbfe3", "#c0562b"


def can_draw() -> bool:
    """Whether matplotlib is there."""
    return importlib.util.find_spec("matplotlib") is not None


def draw(run: Run, records: list[dict[str, Any]], baselines: Baselines, by_lag: list[float]) -> str:
    """Draw both pictures into the run folder; a line that says so, or how to get them."""
    if not can_draw():
        return MISSING
    config = run.config()
    learning_curve(config, records, baselines, run.learning_curve)
    lag_curve(config, by_lag, run.gradient_by_lag)
    return f"pictures: {run.learning_curve.name}, {run.gradient_by_lag.name}"


def learning_curve(
    config: Config, records: list[dict[str, Any]], baselines: Baselines, path: Path
) -> None:
    """Perplexity against updates: training, validation, and the bigram counts as a line."""
    figure, axes = _figure()
    for split, label, color, width, marker in (
        ("train", "training", _TRAIN, 1.2, ""),
        ("validation", "validation", _MODEL, 2, "o"),
    ):
        steps, values = (
            [record[name] for record in records if record["split"] == split]
            for name in ("step", "perplexity")
        )
        axes.plot(
            steps, values, color=color, linewidth=width, marker=marker, markersize=4, label=label
        )
    axes.axhline(baselines.bigram, color=_COUNTS, linestyle="--", label="bigram counts, validation")
    axes.set_yscale("log")
    _plain_ticks(axes)
    axes.set_xlabel("updates")
    axes.set_ylabel(f"perplexity per {_token(config)}")
    axes.set_title(f"Learning curve: {config.cell}, {config.hidden} units", loc="left")
    axes.legend(frameon=False)
    save(figure, path)


def lag_curve(config: Config, by_lag: list[float], path: Path) -> None:
    """Gradient norm against lag, and where truncation cuts it."""
    figure, axes = _figure()
    axes.plot(range(len(by_lag)), by_lag, color=_MODEL, linewidth=2)
    if min(by_lag) > 0:  # a logarithm of nothing: the gradient may have vanished altogether
        axes.set_yscale("log")
    if config.window < len(by_lag):
        axes.axvline(config.window, color=_COUNTS, linestyle="--", label="training window")
        axes.legend(frameon=False)
    axes.set_xlabel(f"lag in steps ({_token(config)}s)")
    axes.set_ylabel("norm of d loss$_T$ / d carry$_{T-\\mathrm{lag}}$, in nats per unit")
    axes.set_title(f"Gradient by lag: {config.cell}, {config.hidden} units", loc="left")
    save(figure, path)


def _token(config: Config) -> str:
    return {"char": "character", "word": "word"}[config.level]


def _figure() -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    # Not pyplot: it would choose a backend, and keep the figure.
    figure = Figure(figsize=(7, 4.2), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", which="major", color="#dddddd", linewidth=0.6)
    return figure, axes


def _plain_ticks(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator

    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))


def save(figure: Figure, path: Path) -> None:
    """Write a figure at one stroke."""
    draft = path.with_name(path.name + ".tmp")
    figure.savefig(draft, format="png")
    os.replace(draft, path)
