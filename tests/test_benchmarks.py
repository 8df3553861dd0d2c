"""The benchmark runs, and what the documents show of it is what was measured. Nothing is timed."""

import contextlib
import functools
import itertools
import json
import math
import os
import re
from pathlib import Path

import jax
import pytest

from benchmarks import devices, language, language_models, lengths, long, streaming, tables
from benchmarks.apart import Apart
from benchmarks.competitors.absent import Absent
from benchmarks.report import RESULTS
from benchmarks.timing import interleaved

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def defaults_of_a_user():
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield


def test_competitors_take_turns():
    calls = []
    steps = {name: functools.partial(calls.append, name) for name in "ab"}
    seconds = interleaved(steps, 9, {"a": 1, "b": 2})
    assert calls[:2] == ["a", "b"]  # to warm up
    turns = ["".join(calls[2 + 3 * i : 5 + 3 * i]) for i in range(9)]
    assert set(turns) == {"abb", "bba"}  # in each repetition all, none always behind the same
    assert seconds["a"].shape == (9,)


def test_every_way_to_make_batches_trains_on_the_same_tokens():
    text = "a b a\n\nb\n a  c a b c a b\nc\n" * 3
    found, classes = lengths.sentences(text, 3)
    assert classes == 3
    assert [len(inputs) for inputs, _ in found] == [4, 2, 8, 2] * 3
    assert all((inputs[1:] == targets[:-1]).all() for inputs, targets in found)
    options = lengths._options("--batch 4 --hidden 4 --buckets 2 --repetitions 2".split())
    rows = lengths.measure(found, classes, options)
    assert [row["lengths"] for row in rows] == [[8], [2, 8], [8]]
    assert [row["compilations"] for row in rows] == [1, 2, 1]
    assert [row["batches"] for row in rows] == [3, 4, 2]
    assert [row["wasted"] for row in rows] == [1 - 48 / n for n in (3 * 32, 2 * 8 + 2 * 32, 2 * 32)]
    assert rows[0]["ratio"] == (1, 1, 1)
    result = {"machine": {"cores": 2}, "text": "t", "batch": 4, "hidden": 4, "classes": 3}
    assert "| 2 buckets | 2, 8 | 40.0% | 12 |" in lengths.table({**result, "rows": rows})


def test_a_stream_is_timed_in_every_way():
    rows = streaming.measure(hidden=3, steps=20, repetitions=1)
    assert rows[streaming.BY_HAND]["ratio"] == (1, 1, 1)
    assert "| stream, block=16 |" in streaming.table({"machine": {}, "rows": rows})


@pytest.mark.slow
def test_a_long_sequence_is_trained_on_with_few_carries():
    rows = [long.measure(name, 300) for name in long.METHODS]
    assert rows[0]["loss"] == pytest.approx(rows[1]["loss"], rel=1e-5)
    assert rows[0]["gradient_norm"] == pytest.approx(rows[1]["gradient_norm"], rel=1e-4)
    assert "| sqrt |" in long.markdown({"machine": {}, "steps": 300, "rows": rows})


def test_a_mesh_of_one_device_is_timed(monkeypatch):
    monkeypatch.setattr(devices, "MESHES", ((1, 1),))
    rows = devices.measure(3, 2, 4, repetitions=2)
    assert rows[0]["ratio"] == (1, 1, 1)
    assert "| 1 | 1 |" in devices.table({"machine": {}, "cores": 2, "rows": rows})


@pytest.mark.parametrize(
    "cell",
    [
        cell if cell == "lstm" else pytest.param(cell, marks=pytest.mark.slow)
        for cell in language.CELLS
    ],
)
def test_every_way_to_train_a_language_model_learns_the_same(cell):
    """Random words, drawn once and read again and again: each model learns them by heart."""
    task = language_models.Task(cell, hidden=24, words=12, batch=3, window=4)
    ended = {}
    for name, build in language.WAYS.items():
        with contextlib.suppress(Absent):
            update = build(task)
            losses = [update() for _ in range(16 * 40)]
            assert losses[0] == pytest.approx(math.log(12), abs=0.3)
            ended[name] = sum(losses[-16:]) / 16
    assert set(ended) >= {"rnn_jax", "flax.nnx"}
    assert all(0.5 < loss < 2.2 for loss in ended.values()), ended


def test_the_softmax_of_an_update_is_timed_alone():
    """Of scores near 0, whose standard deviation is half a nat, the loss is about log(words)."""
    task = language_models.Task("gru", hidden=24, words=1000, batch=30, window=40)
    assert language.TIMED[language.PART](task)() == pytest.approx(math.log(1000) + 0.12, abs=0.05)


def test_language_models_are_timed_in_turns(monkeypatch):
    calls = []

    class Way:
        def __init__(self, begin, build, task, keeps):
            del begin
            self.update = build(task)
            calls.append((task.cell, keeps))

        def __call__(self):
            self.update()

        def close(self):
            calls.append("closed")

    def absent(task):
        raise Absent("not installed")

    def way(task):
        return lambda: calls.append("update")

    monkeypatch.setattr(language, "TIMED", {"rnn_jax": way, "other": way, "torch": absent})
    rows = {}
    for memory, keep in ((language.AS_RUN, [True, False]), (language.KEPT, [True, True])):
        calls.clear()
        rows = {"gru": language.measure(language_models.Task("gru"), 2, memory, Way)}
        assert calls[:2] == [("gru", keeps) for keeps in keep]
        assert calls[2:-2] == ["update"] * 2 * 3
        assert calls[-2:] == ["closed"] * 2
    assert rows["gru"]["rnn_jax"]["ratio"] == (1, 1, 1)
    task = language_models.Task("")._asdict()
    result = {"machine": {}, "task": task, "settings": dict.fromkeys(language.KEEPS, rows)}
    assert "| gru | torch | not installed | | | |" in language.table(result)


@pytest.mark.slow
def test_a_step_can_have_a_process_of_its_own():
    here = os.getpid()
    with contextlib.closing(Apart(counting, here)) as step:
        assert step.process.pid != here
        step()
        step()
    assert step.process.exitcode == 0
    with pytest.raises(Absent, match="not here"):
        Apart(refusing, "not here")
    with contextlib.closing(Apart(counting, here)) as step:
        step.process.kill()
        with pytest.raises((EOFError, OSError)):
            step()


def counting(other):
    assert os.getpid() != other
    return itertools.count().__next__


def refusing(reason):
    raise Absent(reason)


TABLES = {
    "devices": devices.table,
    "language": language.table,
    "lengths": lengths.table,
    "long": long.markdown,
    "streaming": streaming.table,
}
PAGES = RESULTS / "published"  # which docs/published.md shows: tests/test_published.py
WRITTEN = {
    str(path.relative_to(RESULTS).with_suffix(""))
    for path in RESULTS.rglob("*.json")
    if PAGES not in path.parents
}


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_a_table_says_what_was_measured(name):
    result = json.loads((RESULTS / f"{name}.json").read_text())
    render = tables.markdown if "grid" in result else TABLES[name]
    assert (RESULTS / f"{name}.md").read_text() == render(result)


def shown():
    """Of the documents: each table that follows a link to results, with the file it links to."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    text = "\n# The next page\n".join(page.read_text() for page in pages)
    link = r"(?:\.\./)*benchmarks/results/([\w/-]+)\.md"
    between = r"(?:(?!benchmarks/results/\S+\.md)[^|#])*?"  # and not the next link
    found = re.findall(rf"\]\({link}\){between}\n\n((?:\|.*\n)+)", text)
    return [(name, rows.splitlines()) for name, rows in found]


def test_the_documents_show_what_was_measured():
    shared = {"cpu/peers", "cpu/variants", "language", "lengths", "long", "streaming"}
    assert {name for name, _ in shown()} >= shared
    for name, rows in shown():
        assert len(rows) >= 4
        assert set(rows) <= set((RESULTS / f"{name}.md").read_text().splitlines()), name
