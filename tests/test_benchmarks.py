"""The benchmark runs, and what the README shows of it is what was measured. Nothing is timed."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

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


def test_the_readme_shows_what_was_measured():
    results = ROOT / "benchmarks" / "results"
    written = (results / "cpu.md").read_text()
    assert written == table(json.loads((results / "cpu.json").read_text()))
    readme = (ROOT / "README.md").read_text().splitlines()
    rows = [line for line in readme if line.startswith(("| elman", "| gru", "| lstm"))]
    assert len(rows) == 9
    assert set(rows) <= set(written.splitlines())
