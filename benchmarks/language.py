"""`python -m benchmarks.language`: training a language model, in tokens a second, three ways."""

import argparse
import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tqdm import tqdm

import rnn_jax as rnn
from benchmarks.competitors.absent import Absent
from benchmarks.competitors.torch import wait_without_spinning
from benchmarks.language_models import Task, Update, nnx, ours, pytorch
from benchmarks.report import RESULTS, about, spread, with_machine, write
from benchmarks.report import table as as_table
from benchmarks.timing import interleaved, quartiles

CELLS = ["elman", "gru", "lstm"]
OURS = "rnn_jax"
WAYS = {OURS: ours, "flax.nnx": nnx, "torch": pytorch}
KINDS = AS_IT_IS, KEPT = "memory as it is", "memory kept"
"""Whether `rnn_jax.keep_memory()` came first, as in `python -m rnn_jax`. It is for the process, and
for good, so each has a process to itself, with all the ways in it."""


def main() -> None:
    """Time each way with each cell, print the table, write both."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.language", description=__doc__)
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=CELLS)
    parser.add_argument("--hidden", type=int, default=Task._field_defaults["hidden"])
    parser.add_argument("--words", type=int, default=Task._field_defaults["words"])
    parser.add_argument("--repetitions", type=int, default=31)
    parser.add_argument("--output", type=Path, default=RESULTS / "language")
    options = parser.parse_args()
    wait_without_spinning()
    tasks = [Task(cell, options.hidden, options.words) for cell in options.cells]
    settings = {}
    for memory in (AS_IT_IS, KEPT):
        print(memory)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            found = process.submit(measure_all, tasks, options.repetitions, memory)
            settings[memory] = found.result()
    task = tasks[0]._replace(cell="")._asdict()
    print(write(options.output, with_machine(task=task, settings=settings), table))


def measure_all(tasks: list[Task], repetitions: int, memory: str) -> dict:
    """The rows of each cell, in one setting of the memory."""
    if memory == KEPT and not rnn.keep_memory():
        return {task.cell: {} for task in tasks}
    return {task.cell: measure(task, repetitions) for task in tqdm(tasks)}


def measure(task: Task, repetitions: int) -> dict:
    """Tokens a second of each way, and its time over ours, paired by repetition."""
    ways, absent = _ready(task)
    seconds = interleaved(ways, repetitions)
    rows: dict[str, dict] = {
        name: {
            "tokens/s": quartiles(task.tokens / t),
            "ratio": quartiles(t / seconds[OURS]),
        }
        for name, t in seconds.items()
    }
    return rows | {name: {"absent": reason} for name, reason in absent.items()}


def _ready(task: Task) -> tuple[Mapping[str, Update], Mapping[str, str]]:
    ways, absent = {}, {}
    for name, build in WAYS.items():
        try:
            ways[name] = build(task)
        except Absent as error:
            absent[name] = str(error)
    return ways, absent


def table(result: dict) -> str:
    """The result in Markdown."""
    task = Task(**result["task"])
    lines = [
        f"An update of a language model of {task.words:,} words: {task.hidden} units, as many",
        f"numbers a word, input and output tied, {task.batch} streams, windows of {task.window}",
        f"tokens, Adam; no dropout, float32. {about(result)}.",
        "",
        "Tokens a second are medians with quartiles, over updates in turn with the others, each",
        "waited for. A ratio is the median of the other's time over that of rnn_jax in the same",
        "repetition, with its quartiles: above 1 the other is slower. *Memory kept*:",
        "`rnn_jax.keep_memory()` came first, which holds for all the ways in the process.",
        "",
    ]
    head = ["cell", "", *(f"{of}, {memory}" for memory in KINDS for of in ("tokens/s", "time"))]
    rows = []
    for cell, ways in result["settings"][AS_IT_IS].items():
        for name in ways:
            found = [result["settings"][memory][cell].get(name, {}) for memory in KINDS]
            rows.append([cell, name, *(text for row in found for text in _cells(row))])
    return "\n".join([*lines, *as_table(head, rows)]) + "\n"


def _cells(row: dict) -> tuple[str, str]:
    if "tokens/s" not in row:
        return row.get("absent", ""), ""
    low, middle, high = row["tokens/s"]
    return f"{middle:,.0f} ({low:,.0f} to {high:,.0f})", spread(row["ratio"], unit="x")


if __name__ == "__main__":
    main()
