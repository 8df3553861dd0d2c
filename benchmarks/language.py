"""`python -m benchmarks.language`: training a language model, in tokens a second, three ways."""

import argparse
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from tqdm import tqdm

import rnn_jax as rnn
from benchmarks.apart import Apart
from benchmarks.competitors.absent import Absent
from benchmarks.competitors.torch import wait_without_spinning
from benchmarks.language_models import Task, Update, nnx, ours, pytorch, softmax
from benchmarks.report import RESULTS, about, spread, with_machine, write
from benchmarks.report import table as as_table
from benchmarks.timing import interleaved, quartiles

CELLS = ["elman", "gru", "lstm"]
OURS = "rnn_jax"
PART = "rnn_jax, the softmax alone"
WAYS = {OURS: ours, "flax.nnx": nnx, "torch": pytorch}
TIMED = WAYS | {PART: softmax}
AS_RUN = "each as it is run"
"""`rnn_jax.keep_memory()` comes first in the process of rnn_jax, as in `python -m rnn_jax`."""
KEPT = "memory kept"
NOT_KEPT = "memory not kept"
KEEPS: dict[str, Callable[[str], bool]] = {
    AS_RUN: lambda name: name in (OURS, PART),
    KEPT: lambda name: True,
    NOT_KEPT: lambda name: False,
}
"""Who calls `rnn_jax.keep_memory()` before anything runs."""


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
    settings = {
        memory: {
            task.cell: measure(task, options.repetitions, memory)
            for task in tqdm(tasks, desc=memory)
        }
        for memory in KEEPS
    }
    task = tasks[0]._replace(cell="")._asdict()
    print(write(options.output, with_machine(task=task, settings=settings), table))


def measure(task: Task, repetitions: int, memory: str, apart: Callable = Apart) -> dict:
    """Tokens a second of each way, and its time over ours, paired by repetition."""
    ways, rows = {}, {}
    with ExitStack() as running:
        for name, build in TIMED.items():
            try:
                way = apart(begin, build, task, KEEPS[memory](name))
            except Absent as error:
                rows[name] = {"absent": str(error)}
                continue
            ways[name] = running.enter_context(closing(way))
        seconds = interleaved(ways, repetitions)
    found: dict[str, dict] = {
        name: {
            "tokens/s": quartiles(task.tokens / t),
            "ratio": quartiles(t / seconds[OURS]),
        }
        for name, t in seconds.items()
    }
    return found | rows


def begin(build: Callable[[Task], Update], task: Task, keep: bool) -> Update:
    """What runs in the process of a way."""
    if keep:
        rnn.keep_memory()
    update = build(task)
    update()
    return update


def table(result: dict) -> str:
    """The result in Markdown."""
    task = Task(**result["task"])
    lines = [
        f"An update of a language model of {task.words:,} words: {task.hidden} units, as many",
        f"numbers a word, input and output tied, {task.batch} streams, windows of {task.window}",
        f"tokens, Adam; no dropout, float32. {about(result)}.",
        "",
        "Each way has a process of its own, of which one runs at a time. Tokens a second are",
        "medians with quartiles, over updates in turn with the others, each waited for. A ratio is",
        "the median of the other's time over that of rnn_jax in the same repetition, with its",
        "quartiles: above 1 the other is slower. *The softmax alone* is the loss over all words,",
        "given the states, and its gradients: the part of an update that its ratio says.",
        "",
        f"*{AS_RUN}*: rnn_jax as by `python -m rnn_jax train`, which begins with",
        "`rnn_jax.keep_memory()`; the others as their users write them. *Memory kept*: all the",
        "processes begin with it, or none does.",
        "",
    ]
    head = ["cell", "", f"tokens/s, {AS_RUN}", *(f"time, {memory}" for memory in KEEPS)]
    rows = []
    for cell, ways in result["settings"][AS_RUN].items():
        for name, found in ways.items():
            times = [_time(result["settings"][memory][cell][name]) for memory in KEEPS]
            rows.append([cell, name, _rate(found), *times])
    return "\n".join([*lines, *as_table(head, rows)]) + "\n"


def _rate(row: dict) -> str:
    if "absent" in row:
        return row["absent"]
    low, middle, high = row["tokens/s"]
    return f"{middle:,.0f} ({low:,.0f} to {high:,.0f})"


def _time(row: dict) -> str:
    return "" if "absent" in row else spread(row["ratio"], unit="x")


if __name__ == "__main__":
    main()
