"""The benchmark runs, and what the README shows of it is what was measured. Nothing is timed."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from benchmarks import lengths, streaming
from benchmarks.__main__ import measure, table
from benchmarks.cases import COMPETITORS, Shape, training_steps
from benchmarks.timing import interleaved

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def defaults_of_a_user():
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield


def test_a_row_has_every_competitor():
    row = measure(Shape("gru", steps=5, batch=2, hidden=3), repetitions=2)
    for column in ("milliseconds", "ratio", "temporaries"):
        assert set(row[column]) == set(COMPETITORS)
    assert row["ratio"]["BPTT"] == (1, 1, 1)
    text = table({"machine": {"cores": 2}, "rows": [json.loads(json.dumps(row))]})
    assert "| gru | 5 | 2 | 3 |" in text


def test_all_competitors_compute_a_loss_and_its_gradients():
    """The same arrays go in, and a gradient by as many numbers comes out."""
    steps = training_steps(Shape("elman", steps=5, batch=2, hidden=3))
    sizes = set()
    for step in steps.values():
        value, grads = step.program(*step.arguments)
        assert np.isfinite(value)
        sizes.add(sum(g.size for g in jax.tree.leaves(grads)))
    assert sizes == {3 * 3 + 3 * 3 + 3}


def test_competitors_take_turns():
    calls = []
    seconds = interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2)
    assert calls == ["a", "b", "a", "b", "a", "b"]
    assert seconds["a"].shape == (2,)


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


@pytest.mark.parametrize(
    ("name", "table", "shown"),
    [
        ("cpu", table, ("| elman", "| gru", "| lstm")),
        ("lengths", lengths.table, ("| padding", "| 4 buckets", "| packing")),
        ("streaming", streaming.table, ("| step", "| exported step", "| stream")),
    ],
)
def test_the_readme_shows_what_was_measured(name, table, shown):
    results = ROOT / "benchmarks" / "results"
    written = (results / f"{name}.md").read_text()
    assert written == table(json.loads((results / f"{name}.json").read_text()))
    readme = (ROOT / "README.md").read_text().splitlines()
    rows = [line for line in readme if line.startswith(shown)]
    assert len(rows) >= 3
    assert set(rows) <= set(written.splitlines())
