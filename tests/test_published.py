"""The published tables: what their harness promises, at sizes of seconds."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.published import harness, page
from rnn_jax.language.config import Config
from rnn_jax.language.errors import InputError, RunError

TABLE = {
    "task": "Lines",
    "about": "Points on a line.",
    "published": [{"by": "Legendre 1805", "error": 0.0}],
    "name": "a slope",
    "tried": [],
    "settings": {"slope": 3.0},
    "training": {"epochs": 4, "learning_rate": 0.1, "average": 0.5, "warmup": 0},
}


@pytest.fixture(autouse=True)
def defaults_of_a_user():
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield


def line(data, settings, seed, stop=math.inf):
    """Learn a slope from noisy updates; fails in the epoch `stop`."""
    del data
    xs = np.linspace(-1, 1, 12, dtype=np.float32)
    epochs = iter(range(100))

    def batches(rng):
        if next(epochs) > stop:  # the first call counts the batches
            raise KeyboardInterrupt
        return iter(np.split(rng.permutation(xs), 3))

    def loss(params, batch, key):
        noise = 0.1 * jax.random.normal(key, batch.shape)
        return jnp.mean((params["slope"] * batch - settings["slope"] * batch - noise) ** 2)

    def off(params):
        return abs(float(params["slope"]) - settings["slope"])

    return harness.Problem(
        {"slope": jnp.float32(seed)}, loss, batches, off, lambda params, _: {"error": off(params)}
    )


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path):
    config = Config(**TABLE["training"])
    whole = harness.train(line(None, TABLE["settings"], 0), config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        harness.train(line(None, TABLE["settings"], 0, stop=2), config, tmp_path / "cut")
    cut = harness.train(line(None, TABLE["settings"], 0), config, tmp_path / "cut")
    assert [row["step"] for row in whole.record["history"]] == [3, 6, 9, 12]
    for a, b in zip(whole.record["history"], cut.record["history"], strict=True):
        assert {key: a[key] for key in a if key not in harness.CLOCKS}.items() <= b.items()
    assert cut.params == whole.params
    best = min(whole.record["history"], key=lambda row: row["cost"])
    assert whole.record["best step"] == best["step"]
    assert abs(float(whole.params["slope"]) - 3.0) == best["cost"]


def test_minutes_and_patience_end_a_run(tmp_path):
    problem = line(None, TABLE["settings"], 0)
    none = harness.train(problem, Config(**TABLE["training"]), tmp_path / "none", minutes=0)
    assert none.record["history"] == []
    never = problem._replace(cost=lambda params: 1.0)
    config = Config(**(TABLE["training"] | {"epochs": 20, "patience": 2}))
    stalled = harness.train(never, config, tmp_path / "stalled")
    assert len(stalled.record["history"]) == 3


def test_mistakes_are_named(tmp_path):
    config = Config(**TABLE["training"])
    problem = line(None, TABLE["settings"], 0)
    harness.train(problem, config, tmp_path / "a", {"slope": 1}, minutes=0)
    with pytest.raises(InputError, match="other settings"):
        harness.train(problem, config, tmp_path / "a", {"slope": 2})
    nan = problem._replace(loss=lambda params, batch, key: jnp.nan * params["slope"])
    with pytest.raises(RunError, match="epoch 1"):
        harness.train(nan, config, tmp_path / "b")
    for wrong in (TABLE | {"more": 1}, TABLE | {"training": {"rate": 1}}, [1]):
        (tmp_path / "wrong.json").write_text(json.dumps(wrong))
        with pytest.raises(InputError, match=r"wrong\.json"):
            harness.read_table(tmp_path / "wrong.json")


def test_a_command_that_cannot_work_says_why(capsys):
    with pytest.raises(SystemExit) as end:
        harness.main(line, None, ["folder", "--config", "nowhere.json"])
    assert end.value.code == 1
    assert "cannot read nowhere.json" in capsys.readouterr().err


def test_a_command_leaves_a_result_from_which_the_page_is_made(tmp_path, monkeypatch):
    config = tmp_path / "lines.json"
    config.write_text(json.dumps(TABLE))
    words = f"{tmp_path} --config {config} --runs {tmp_path} --output {tmp_path}/out --seeds 2"
    result = harness.main(line, None, [*words.split(), "--test", str(config)])
    (found,) = page.read(tmp_path / "out", tmp_path)
    assert found == TABLE | json.loads(json.dumps(result))
    errors = [run["development"]["error"] for run in found["runs"]]
    text = page.page([found])
    assert "| Legendre 1805 | test | 0.00 |" in text
    assert f"| a slope | test | {np.mean(errors):.2f} ± {np.std(errors, ddof=1):.2f} |" in text
    assert "What did not work" not in text
    assert "- nothing" in page.page([found | {"tried": ["nothing"]}])
    assert found["command"] in text


def test_a_row_says_where_its_machine_is_not_the_usual_one():
    (usual, *_) = page.read()
    other = usual | {"name": "theirs", "machine": usual["machine"] | {"processor": "abacus"}}
    text = page.page([usual, usual, other])
    assert text.count(f"processor {usual['machine']['processor']}") == 1
    (row,) = [line for line in text.splitlines() if "abacus" in line]
    assert row.startswith("**theirs**")


def test_the_page_shows_the_results():
    assert page.PAGE.read_text() == page.page(page.read())


def test_every_result_is_of_settings_that_are_there():
    for path in (page.RESULTS / "published").glob("*.json"):
        result = json.loads(path.read_text())
        table = harness.read_table(harness.HERE / path.name)
        assert result["settings"] == table["settings"]
        assert result["training"] == table["training"]
