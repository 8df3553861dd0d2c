"""`python -m benchmarks`: how fast rnn_jax is beside its peers, and how it grows with T."""

import argparse
import itertools
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import jax
from tqdm import tqdm

from benchmarks import compare, plots
from benchmarks.competitors import COMPETITORS
from benchmarks.competitors.ours import CELLS
from benchmarks.grids import DEFAULT, GRIDS, Grid
from benchmarks.machine import threads
from benchmarks.measure import Plan, measure
from benchmarks.report import RESULTS, with_machine, write
from benchmarks.shapes import KINDS, TRAINING, Shape
from benchmarks.tables import markdown
from benchmarks.timing import Budget
from benchmarks.variants import PLAIN, VARIANTS

QUICK, QUICK_KINDS = Budget(seconds=0.3, least=3, most=11), (TRAINING,)


def main(arguments: list[str] | None = None) -> None:
    """Run each grid, write what was measured, and say what changed."""
    options = _options(arguments)
    if any(VARIANTS[name].split for name in options.variants):
        # Before anything runs: on a CPU the devices are made when the first is asked for.
        jax.config.update("jax_num_cpu_devices", threads())
    output = options.output or RESULTS / jax.default_backend()
    until = time.monotonic() + 60 * options.minutes
    for word in options.grids or DEFAULT:
        for result in run(word, options, until):
            text = write(output / word, result, markdown)  # of each point: a stop loses nothing
        print(text.partition("## Every point")[0])
        for path in plots.draw(result, output):
            print(path)
        if options.compare:
            old = json.loads(_old(options.compare, word).read_text())
            changes = compare.markdown(compare.compare(old, result))
            (output / f"{word}-changes.md").write_text(changes)
            print(changes)


def _old(path: Path, word: str) -> Path:
    """A file, or the one of this grid in a folder."""
    return path / f"{word}.json" if path.is_dir() else path


def run(word: str, options: argparse.Namespace, until: float) -> Iterator[dict]:
    """The result of one grid, as it grows with each point."""
    grid = GRIDS[word]
    plan = Plan(
        options.competitors or grid.competitors,
        options.variants,
        QUICK if options.quick else Budget(seconds=options.seconds),
        options.limit,
        until,
    )
    kinds = options.kinds or (QUICK_KINDS if options.quick else grid.kinds)
    points = list(itertools.product(kinds, _shapes(grid, options)))
    rows, absent = [], []
    result = with_machine(grid=word, about=grid.about, rows=rows, absent=absent)
    yield result
    with tqdm(total=len(points) * len(plan.entries()), unit="program", desc=word) as bar:
        for i, (kind, shape) in enumerate(points):

            def advance(name: str, where: str = f"{word}: {shape}, {kind}") -> None:
                bar.set_description(f"{where}: {name}")
                bar.update()

            found = measure(shape, kind, plan, advance)
            rows += found.rows
            absent += found.absent
            bar.update((i + 1) * len(plan.entries()) - bar.n)
            yield result


def _shapes(grid: Grid, options: argparse.Namespace) -> list[Shape]:
    return [
        shape
        for shape in (grid.quick if options.quick else grid.shapes)
        if shape.cell in options.cells
        and (not options.steps or shape.steps in options.steps)
        and (not options.sizes or (shape.batch, shape.hidden) in options.sizes)
    ]


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"{word:>10}  {grid.about}" for word, grid in GRIDS.items()),
    )
    parser.add_argument(
        "grids", nargs="*", metavar="GRID", help=f"of those below; without one, {DEFAULT}"
    )
    parser.add_argument("--quick", action="store_true", help="small shapes, few repetitions")
    parser.add_argument(
        "--compare", type=Path, metavar="OLD", help="say what got slower than in a file, or folder"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="a folder")
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--steps", nargs="+", type=int, help="only shapes of these lengths")
    parser.add_argument(
        "--sizes", nargs="+", type=_size, metavar="BxH", help="only these, such as 32x256"
    )
    parser.add_argument("--kinds", nargs="+", choices=KINDS)
    parser.add_argument("--competitors", nargs="+", choices=COMPETITORS)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=[PLAIN])
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="for each competitor at each shape, about"
    )
    parser.add_argument(
        "--limit", type=float, default=30.0, help="leave out a shape whose call takes longer, in s"
    )
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="for everything; what is left is absent"
    )
    options = parser.parse_args(arguments)
    for word in set(options.grids) - GRIDS.keys():
        parser.error(f"no grid is called {word!r}: choose from {', '.join(GRIDS)}")
    return options


def _size(text: str) -> tuple[int, int]:
    batch, hidden = map(int, text.split("x"))
    return batch, hidden


if __name__ == "__main__":
    main()
