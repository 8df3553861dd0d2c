"""Tables of what is measured of networks, where `harness` trains one network a run.

A table is a module with a function `settings -> Measured` and one that draws it, which calls `main`
with both, and a JSON file as the harness reads; its `training` is empty.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.published.harness import CLOCKS, HERE, read_table, write_result
from benchmarks.report import RESULTS, with_machine
from rnn_jax.errors import RNNError


class Measured(NamedTuple):
    """What was measured."""

    rows: list[dict[str, Any]]
    """`{"by": what, "on": of what, figure: a number, or several of as many networks}`."""
    curves: list[dict[str, Any]]
    """What the picture shows besides, as JSON."""


def main(
    measure: Callable[[dict], Measured],
    draw: Callable[[Any, dict], None],
    says: str | None,
    words: list[str] | None = None,
) -> dict:
    """The command of a table: measure, write the result down, draw it."""
    command = Path(sys.modules[measure.__module__].__file__ or "").stem
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.published.{command}", description=says
    )
    parser.add_argument("--config", type=Path, default=HERE / f"{command}.json")
    parser.add_argument("--output", type=Path, default=RESULTS / "published")
    parser.add_argument("--note", default="", help="about the machine, for whoever reads its times")
    options = parser.parse_args(words)
    name = options.config.stem
    begun = {clock: read() for clock, read in CLOCKS.items()}
    try:
        table = read_table(options.config)
        measured = measure(table["settings"])
    except (RNNError, OSError) as error:
        parser.exit(1, f"error: {error}\n")
    spent = {clock: (read() - begun[clock]) / 60 for clock, read in CLOCKS.items()}
    config_of = "" if name == command else f" --config benchmarks/published/{options.config.name}"
    said = f"python -m benchmarks.published.{command}{config_of}"
    chosen = {key: table[key] for key in ("settings", "training")}
    result = with_machine(
        note=options.note,
        command=said,
        **chosen,
        **spent,
        picture=f"{name}.png",
        **measured._asdict(),
    )
    write_result(options.output, name, result)
    from matplotlib.figure import Figure  # heavy, and an extra

    figure = Figure(layout="constrained")
    draw(figure, result)
    figure.savefig(options.output / result["picture"], dpi=120)
    return result
