"""`python -m benchmarks.published.page`: docs/published.md, out of the results."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean, stdev
from textwrap import fill

from benchmarks.published.harness import CLOCKS, HERE, read_table
from benchmarks.report import RESULTS, listed, table

PAGE = HERE.parent.parent / "docs" / "published.md"
PICTURES = "../benchmarks/results/published"
HEAD = """# Published tables

What was published beside what this library gives, each row by one command. `DATA` is the folder of
the data, which is yours to bring. Everything is chosen on development data; `--test FILE` scores a
file that nobody has seen, with the runs that are there already. Settings are in
`benchmarks/published`, and every result with its history in `benchmarks/results/published`.

A run that was stopped goes on where its last epoch ended, and one that has ended becomes longer
with more `epochs` in its settings. `JAX_COMPILATION_CACHE_DIR=FOLDER` before a command keeps what
it compiles for the next. This page is written by `python -m benchmarks.published.page`.
"""


def main() -> None:
    """Write the page anew."""
    PAGE.write_text(page(read()))


def read(folder: Path = RESULTS / "published", tables: Path = HERE) -> list[dict]:
    """The results, in the order of their files, each with what its file of settings says of it."""
    return [
        read_table(tables / path.name) | json.loads(path.read_text())
        for path in sorted(folder.glob("*.json"))
    ]


def page(results: Iterable[dict]) -> str:
    """Markdown: a section a task, in which every result has a row."""
    tasks: dict[str, list[dict]] = {}
    for result in results:
        tasks.setdefault(result["task"], []).append(result)
    usual = usually(result["machine"] for found in tasks.values() for result in found)
    said = f"Where a row says nothing else, it was measured on: {listed(usual)}."
    sections = (section(task, tasks[task], usual) for task in sorted(tasks, key=_numbered))
    return "\n".join([HEAD, fill(said, 100, break_on_hyphens=False), "", *sections])


def _numbered(task: str) -> list[str | int]:
    """The words of a heading and its numbers, which order it as numbers do."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", task)]


def usually(machines: Iterable[dict]) -> dict:
    """What most of them have, but for what is of a day."""
    found: dict[str, Counter] = {}
    for machine in machines:
        for key, value in machine.items():
            found.setdefault(key, Counter())[value] += 1
    return {
        key: values.most_common(1)[0][0]
        for key, values in found.items()
        if key not in ("date", "commit")
    }


def section(task: str, results: list[dict], usual: dict) -> str:
    """Others and ours, how ours were made, and what did not work."""
    published = _once(row for result in results for row in result["published"])
    ours = [row for result in results for row in ours_of(result)]
    figures = [key for key in _once(key for row in ours for key in row) if key not in ("by", "on")]
    digits = results[0]["settings"].get("digits")
    rows = [
        [row["by"], row.get("on", "test"), *(_figure(row.get(key), digits) for key in figures)]
        for row in published + ours
    ]
    lines = [f"## {task}", ""]
    for text in _once(result["about"] for result in results):
        lines += [fill(text, 100, break_on_hyphens=False), ""]
    lines += [*table(["", "measured on", *figures], rows), ""]
    for picture in _once(result["picture"] for result in results if "picture" in result):
        lines += [f"![{task}]({PICTURES}/{picture})", ""]
    for result in results:
        note = f" ({result['note']})" if result["note"] else ""
        unusual = {
            key: value for key, value in result["machine"].items() if value != usual.get(key)
        }
        lines += [
            f"**{result['name']}**: {spent(result)}{note}; {listed(unusual)}.",
            "",
            "```sh",
            result["command"],
            "```",
            "",
        ]
    tried = _once(line for result in results for line in result["tried"])
    if tried:
        lines += ["What did not work:", "", *(f"- {line}" for line in tried), ""]
    return "\n".join(lines)


def ours_of(result: dict) -> list[dict]:
    """What was measured, or what the runs came to on each split."""
    if "rows" in result:
        return result["rows"]
    runs = result["runs"]
    return [
        {"by": result["name"], "on": split}
        | {key: [run[split][key] for run in runs] for key in runs[0][split]}
        for split in ("development", "test")
        if all(split in run for run in runs)
    ]


def spent(result: dict) -> str:
    """What the result took."""
    runs = result.get("runs", [result])
    whole, processor = (_duration(fmean(run[clock] for run in runs)) for clock in CLOCKS)
    if "rows" in result:
        return f"{whole}, and {processor} of one core"
    seeds = f"{len(runs)} seeds" if len(runs) > 1 else "one seed"
    return (
        f"{runs[0]['parameters']:,} parameters, {seeds}, "
        f"{fmean(run['history'][-1]['step'] for run in runs):,.0f} updates, {whole} of training "
        f"a run and {processor} of one core"
    )


def _duration(minutes: float) -> str:
    """In minutes, or in seconds if those are few."""
    return f"{60 * minutes:.0f} seconds" if minutes < 2 else f"{minutes:.0f} minutes"


def _once(items: Iterable) -> list:
    """Each item once, in the order of their first."""
    found: list = []
    for item in items:
        if item not in found:
            found.append(item)
    return found


def _figure(value: float | list[float] | None, digits: int | None) -> str:
    """A figure, or the mean of several with their standard deviation.

    Unless `digits` says how many decimals: two, but where a small one would lose its digits three
    of those that count.
    """
    if value is None:
        return ""
    values = value if isinstance(value, list) else [value]
    mean = fmean(values)
    form = ".2f" if digits is None else f".{digits}f"
    if digits is None and 0 < abs(mean) < 0.1:
        form = ".3g"
    spread = f" ± {stdev(values):{form}}" if len(values) > 1 else ""
    return f"{mean:{form}}{spread}"


if __name__ == "__main__":
    main()
