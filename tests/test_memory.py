"""The tables of long memory: what is learned from, what is scored, which runs succeed."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from benchmarks.published import harness, memory, page, success


@pytest.fixture(autouse=True)
def defaults_of_a_user():
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield


SETTINGS = {
    "task": "temporal order",
    "layers": ["Elman"],
    "hidden": 5,
    "lengths": [10, 14],
    "scored lengths": [10, 12],
    "sequences": 1000,
    "batch": 4,
    "updates an epoch": 3,
    "omega": 0.0,
    "flossing": None,
}
TABLE = {
    "task": "Memory",
    "about": "Symbols.",
    "published": [],
    "name": "a network",
    "tried": [],
    "settings": SETTINGS,
    "training": {"epochs": 2, "learning_rate": 0.01, "warmup": 0, "weight_decay": 0.0},
}


@pytest.mark.parametrize(
    ("name", "expected"), [("temporal order", np.log(4)), ("copy", np.log(10)), ("adding", 7 / 6)]
)
def test_who_says_nothing_pays_for_every_step_alike(name, expected):
    """Outputs of 0: symbols are all as likely, and a sum of mean 1 and variance 1/6 is missed."""
    task = memory.TASKS[name]
    batch = memory.padded(task, 12, 500, jax.random.key(0), 15)
    ys = jnp.zeros((*batch.targets.shape, task.says))
    share = memory.weights(task, batch)
    np.testing.assert_allclose(share.sum(), 1, rtol=1e-6)
    found = jnp.sum(share * task.cost(ys, batch.targets), axis=0).mean()
    np.testing.assert_allclose(found, expected, rtol=0.1 if name == "adding" else 1e-6)


@pytest.mark.parametrize("name", memory.CELLS)
def test_every_cell_answers_every_step(name):
    model = memory.network(SETTINGS | {"task": "copy", "layers": ["dense", name]})
    params = jax.eval_shape(model.init, jax.random.key(0))
    xs = jax.ShapeDtypeStruct((34, 3, 10), jnp.float32)
    _, ys = jax.eval_shape(lambda params, xs: rnn.unroll(model, params, xs), params, xs)
    assert ys.shape == (34, 3, 10)


def test_recurrent_weights_of_an_indrnn_have_a_bound():
    params = rnn.IndRNNParams(jnp.ones((1, 2)), jnp.array([0.5, -3.0]), jnp.zeros(2))
    found = memory.bounded((params, {"w_h": 3.0}), 2)
    np.testing.assert_allclose(found[0].w_h, [0.5, -np.sqrt(2)], rtol=1e-6)
    assert found[1] == {"w_h": 3.0}


@pytest.mark.slow
@pytest.mark.parametrize("omega", [0.0, 2.0])
def test_padding_changes_neither_the_loss_nor_its_gradient(omega):
    task, model = memory.TASKS["temporal order"], memory.network(SETTINGS)
    params = model.init(jax.random.key(0))
    one = memory.fresh(task, 10, 4, jax.random.key(1))
    other = memory.padded(task, 10, 4, jax.random.key(1), 14)
    a, b = (
        jax.value_and_grad(lambda p, x=batch: memory.cost(task, model, omega, p, x))(params)
        for batch in (one, other)
    )
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_a_network_learns_the_order_of_short_sequences(tmp_path):
    config = tmp_path / "order.json"
    changed = {"hidden": 20, "batch": 50, "updates an epoch": 200, "scored lengths": [10, 11]}
    settings = SETTINGS | changed | {"omega": 0.1}
    training = TABLE["training"] | {"epochs": 2, "learning_rate": 0.005}
    config.write_text(json.dumps(TABLE | {"settings": settings, "training": training}))
    words = f"--config {config} --runs {tmp_path} --output {tmp_path}/out".split()
    result = harness.main(memory.build, None, words, data=None)
    assert " DATA" not in result["command"]
    found = result["runs"][0]["development"]
    assert found["cross-entropy"] < np.log(4) / 2
    assert found["wrong, %"] < 10
    assert set(found) == {"cross-entropy", "wrong, %"}, "of one length there is no worst"


@pytest.mark.slow
def test_flossing_brings_exponents_to_zero():
    asked = {"exponents": 2, "steps": 10, "updates": 40, "rate": 0.01}
    settings = SETTINGS | {"task": "adding"}
    model = memory.network(settings)
    xs = rnn.tasks.adding(jax.random.key(5), 10, 20).xs
    before, after = (
        rnn.analysis.flossing_loss(
            model, memory.started(model, settings | {"flossing": flossing}, 0), xs, k=2
        )
        for flossing in (None, asked)
    )
    assert after < before / 2


@pytest.mark.slow
def test_runs_that_succeed_are_counted_and_drawn(tmp_path):
    """Any answer is right enough for one of the tables, and none for the other."""
    for most, name in ((1.0, "success_all"), (-1.0, "success_none")):
        settings = SETTINGS | {"lengths": [10, 12], "every": 2, "wrong at most": most}
        training = TABLE["training"] | {"optimizer": "sgd", "steps": 4}
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(TABLE | {"settings": settings, "training": training}))
        success.main(f"--config {path} --seeds 2 --output {tmp_path}/out".split())
    every, none = results = page.read(tmp_path / "out", tmp_path)
    assert [run["updates"] for run in every["runs"]] == [{"10": 2, "12": 2}] * 2
    assert [run["updates"] for run in none["runs"]] == [{"10": None, "12": None}] * 2
    assert none["runs"][0]["development"] == {"T = 10": 0.0, "T = 12": 0.0}
    for kind in ("png", "svg"):
        assert (tmp_path / "out" / f"success.{kind}").stat().st_size > 0
    assert page.page(results).count("success.png)") == 1
