"""What every command here leaves: JSON with its machine, and the same as Markdown."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.machine import machine

RESULTS = Path(__file__).parent / "results"


def write(path: Path, result: dict, markdown: Callable[[dict], str]) -> str:
    """`path.json` and `path.md`; the latter returned."""
    text = markdown(result)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    path.with_suffix(".md").write_text(text)
    return text


def table(head: Iterable[object], rows: Iterable[Iterable[object]]) -> list[str]:
    """Lines of Markdown."""
    head = list(map(str, head))
    lines = [_line(head), "|" + " --- |" * len(head)]
    return lines + [_line(map(str, row)) for row in rows]


def _line(cells: Iterable[str]) -> str:
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"


def about(result: dict) -> str:
    """The machine of a result in a line."""
    return listed(result["machine"])


def listed(machine: dict) -> str:
    """What is known of a machine, or a part of it, in a line."""
    return ", ".join(f"{key} {value}" for key, value in machine.items() if value)


def with_machine(**content: object) -> dict:
    return {"machine": machine(), **content}


def spread(quartiles: Iterable[float], digits: int = 2, unit: str = "") -> str:
    """The median and, in brackets, the quartiles."""
    low, middle, high = (f"{value:.{digits}f}" for value in quartiles)
    return f"{middle}{unit} ({low} to {high})"
