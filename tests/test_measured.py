"""The published tables that are measured: their harness, their theory, and a run of seconds."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.published import flossing, lyapunov, measured, page, rate_theory
from rnn_jax.analysis import mean_field, mean_field_lyapunov

TABLE = {
    "task": "Dice",
    "about": "Faces.",
    "published": [{"by": "theory", "on": "paper", "mean": 3.5}],
    "name": "a die",
    "tried": ["five sides"],
    "settings": {"digits": 3, "faces": 6},
    "training": {},
}


def throw(settings):
    faces = list(range(1, settings["faces"] + 1))
    return measured.Measured([{"by": "a die", "on": "wood", "mean": faces}], [{"faces": faces}])


def draw(figure, result):
    figure.add_subplot().plot(result["curves"][0]["faces"])


def run(measure, drawn, table, folder):
    """The result of a command, and what the page reads of it."""
    config = folder / "dice.json"
    config.write_text(json.dumps(table))
    result = measured.main(measure, drawn, None, f"--config {config} --output {folder}/out".split())
    (found,) = page.read(folder / "out", folder)
    assert found == table | json.loads(json.dumps(result))
    assert (folder / "out" / found["picture"]).read_bytes().startswith(b"\x89PNG")
    return found


def test_a_command_leaves_a_result_and_a_picture_from_which_the_page_is_made(tmp_path):
    text = page.page([run(throw, draw, TABLE, tmp_path)])
    assert "| theory | paper | 3.500 |" in text
    assert f"| a die | wood | 3.500 ± {np.std(range(1, 7), ddof=1):.3f} |" in text
    assert "/dice.png)" in text
    assert "- five sides" in text
    assert "updates" not in text


def test_a_command_that_cannot_work_says_why(capsys):
    with pytest.raises(SystemExit) as end:
        measured.main(throw, draw, None, ["--config", "nowhere.json"])
    assert end.value.code == 1
    assert "cannot read nowhere.json" in capsys.readouterr().err


def test_every_picture_of_the_page_is_there():
    pictures = [result["picture"] for result in page.read() if "picture" in result]
    assert pictures
    for name in pictures:
        assert (page.RESULTS / "published" / name).exists()


@pytest.mark.parametrize("gain", [1.5, 3.0])
def test_at_a_step_of_one_the_theory_is_that_of_discrete_time(gain):
    """The largest exponent in the limit, for the recurrence of the autocovariance ends there."""
    discrete = mean_field_lyapunov(gain, k=2)
    np.testing.assert_allclose(rate_theory.static_variance(gain), mean_field(gain).q, rtol=1e-9)
    np.testing.assert_allclose(rate_theory.mean_exponent(gain, 1.0), discrete.mean, rtol=1e-9)
    near = rate_theory.largest_exponent(gain, 0.9999)
    np.testing.assert_allclose(near, discrete.largest, rtol=1e-3)


def test_outside_the_spectrum_of_the_weights_only_the_leak_shrinks():
    np.testing.assert_allclose(rate_theory.mean_exponent(2.0, 0.2), np.log(0.8) / 0.2, rtol=1e-9)


@pytest.mark.slow
def test_small_steps_are_the_continuous_theory_of_sompolinsky():
    """The variance is where his potential is zero, by Gauss-Hermite quadrature of log cosh."""
    gain, nodes = 2.0, np.polynomial.hermite_e.hermegauss(200)
    weights = nodes[1] / nodes[1].sum()

    def potential(c):
        primitive = np.logaddexp(np.sqrt(c) * nodes[0], -np.sqrt(c) * nodes[0]) - np.log(2)
        mean = weights @ primitive
        return -(c**2) / 2 + gain**2 * (weights @ primitive**2 - mean**2)

    low, high = 0.1, 3.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if potential(middle) > 0 else (low, middle)
    variances = [rate_theory._autocovariance(gain, step)[0][0] for step in (0.2, 0.1, 0.05)]
    off = np.abs(np.array(variances) / low - 1)
    assert (np.diff(off) < 0).all()
    assert off[-1] < 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("step", [1.0, 0.5])
def test_spectra_of_small_networks_are_near_the_theory(step, tmp_path):
    """Within what no network of 100 units is off; their sum, exactly that of determinants."""
    settings = {
        "digits": 4,
        "seed": 0,
        "step": step,
        "gains": [3],
        "networks": {"100": 2},
        "warmup": 50,
        "warmup_q": 20,
        "counted": 100,
        "every": 1,
    }
    table = TABLE | {"settings": settings}
    found = run(lyapunov.measure, lyapunov.draw, table, tmp_path)
    theory, ours = found["rows"]
    assert 0 < theory["largest"] < np.log(3) / step
    np.testing.assert_allclose(ours["largest"], theory["largest"], atol=0.15)
    np.testing.assert_allclose(ours["mean"], theory["mean"], rtol=0.2)
    assert all(0 < share < 0.5 for share in ours["dimension / N"])
    for largest, entropy in zip(ours["largest"], ours["entropy rate / N"], strict=True):
        assert largest / 100 <= entropy < largest


@pytest.mark.slow
def test_flossing_brings_exponents_to_zero_and_a_short_copy_is_learned(tmp_path):
    settings = {
        "seed": 0,
        "networks": 2,
        "hidden": 12,
        "gain": 0.5,
        "steps": 12,
        "batch": 16,
        "tested": 64,
        "delays": [2],
        "updates": 300,
        "learning_rate": 0.01,
        "clip": 1.0,
        "flossing": {"steps": 10, "k": 6, "warmup": 2, "warmup_q": 2},
        "ways": {"none": {}, "both": {"0": 40, "100": 5}},
    }
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        cell = flossing.network(settings)
        loss = flossing.flossing_of(settings, cell)
        params, key = cell.init(jax.random.key(0)), jax.random.key(1)
        chain = flossing.optax.adam(0.01)
        state = flossing.State(*jax.tree.map(lambda x: x[None], (params, chain.init(params))))
        after = flossing.descent(loss, chain)(state, key[None], 0, 40).params
        assert loss(jax.tree.map(lambda x: x[0], after), key) < loss(params, key) / 2
        found = run(flossing.measure, flossing.draw, TABLE | {"settings": settings}, tmp_path)
    named = {row["by"]: row["d = 2"] for row in found["rows"]}
    assert min(named["delayed copy, none"]) > 90
    assert all(40 < value <= 100 for row in named.values() for value in row)


def test_all_networks_descend_from_one_number_to_another():
    chain = flossing.optax.sgd(1.0)

    def loss(params, key):
        del key
        return params.sum()

    state = flossing.State(jnp.zeros((2, 1)), chain.init(jnp.zeros((2, 1))))
    keys = jax.random.split(jax.random.key(0), 2)
    after = flossing.descent(loss, chain)(state, keys, 3, 7)
    np.testing.assert_array_equal(after.params, -4)
