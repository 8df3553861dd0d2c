"""`python -m rnn_jax spectrum`: what it measures, draws, says, and refuses."""

import json
import math
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from rnn_jax.__main__ import main
from rnn_jax.language import commands
from rnn_jax.language.config import Config
from rnn_jax.language.corpus import load
from rnn_jax.language.learner import Learner, load_params
from rnn_jax.language.run import Run
from rnn_jax.language.spectrum import measure, words
from rnn_jax.language.spectrum.measure import Findings
from rnn_jax.language.spectrum.reading import Reading, read
from rnn_jax.language.text import read_text

SMALL = (
    "--cell gru --hidden 12 --embedding 6 --batch 4 --window 8 --steps 4 "
    "--checkpoint-every 2 --log-every 4 --eval-every 4 --dropout-inputs 0 --dropout-outputs 0"
).split()
SPECTRUM = "spectrum run --batch 2 --length 12".split()
PICTURES = {
    f"{name}.png"
    for name in ("gradient_by_lag", "gradient_map", "singular_values", "lyapunov", "eigenvalues")
}


@pytest.fixture(scope="module", autouse=True)
def _as_a_user_has_it():
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory, _as_a_user_has_it):
    """A folder with `text.txt`, the finished run `run` and its spectrum."""
    folder = tmp_path_factory.mktemp("spectrum")
    (folder / "text.txt").write_text(read_text(None)[:6_000])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(commands, "report", lambda *_: "")
        assert main(["train", "--text", "text.txt", "--run", "run", *SMALL]) == 0
        assert main(SPECTRUM) == 0
    return folder


@pytest.fixture(autouse=True)
def _there(place, monkeypatch):
    monkeypatch.chdir(place)


@pytest.fixture(scope="module")
def numbers(place):
    return json.loads((place / "run/spectrum/spectrum.json").read_text())


@pytest.fixture
def trained():
    run = Run.open("run")
    corpus = load(run.config())
    learner = Learner(run.config(), len(corpus.vocabulary))
    return learner.model, load_params(run, learner, None).params, corpus


def test_the_command_leaves_numbers_pictures_and_a_report(place):
    folder = place / "run/spectrum"
    assert {path.name for path in folder.iterdir()} == PICTURES | {"spectrum.json", "README.md"}
    report = (folder / "README.md").read_text()
    assert all(f"({name})" in report for name in PICTURES)


def test_the_numbers_are_those_of_the_checkpoint(numbers, trained):
    model, params, corpus = trained
    assert numbers["step"] == 4
    assert (numbers["streams"], numbers["length"], numbers["carry_size"]) == (2, 12, 12)
    blocks = np.split(np.asarray(params[1].w_hh), 3, axis=1)
    for gate, w in enumerate(blocks):
        found = numbers["recurrent_matrices"][f"1.w_hh.{gate}"]
        assert found["spectral_norm"] == pytest.approx(np.linalg.norm(w, 2), rel=1e-4)
        radius = np.abs(np.linalg.eigvals(w)).max()
        assert found["spectral_radius"] == pytest.approx(radius, rel=1e-3)
    reading = read(model, params, corpus, 2, 12)
    assert numbers["lags"] == [1, 2, 4, 8, 12]
    jacobians = rnn.analysis.step_jacobians(model, params, reading.xs, reading.carry)
    last = np.asarray(jacobians[:, 0], np.float64)
    for lag, logs in zip(numbers["lags"], numbers["log_singular_values"], strict=True):
        product = np.linalg.multi_dot([*last[-lag:][::-1], np.eye(12)])
        expected = np.log(np.linalg.svd(product, compute_uv=False))
        np.testing.assert_allclose(logs, expected, atol=1e-3)


def test_the_horizon_is_that_of_the_gradients(numbers):
    norms = np.exp(numbers["log_gradient_norm_by_lag"])
    assert numbers["horizon"] == np.argmax(np.cumsum(norms) >= 0.95 * norms.sum())
    assert len(norms) == 12


def test_the_exponents_are_of_a_network_that_forgets(numbers):
    exponents = np.array(numbers["lyapunov_exponents"])
    assert len(exponents) == 12
    assert (exponents < 0).all()
    assert numbers["kaplan_yorke_dimension"] == numbers["entropy_rate"] == 0
    assert numbers["lyapunov_steps"] == 4 * 12 - 4 * 12 // 8


def test_the_command_reads_the_validation_text_with_what_came_before(trained):
    model, params, corpus = trained
    inputs, targets = corpus.split("validation")
    reading = read(model, params, corpus, 3, 10)
    np.testing.assert_array_equal(reading.xs[1:], reading.targets[:-1])
    np.testing.assert_array_equal(reading.xs[:, 0], inputs[10:20])
    np.testing.assert_array_equal(reading.targets[:, -1], targets[-10:])
    carry, _ = rnn.unroll(model, params, jnp.asarray(inputs[:10]))
    np.testing.assert_allclose(reading.carry[1].h[0], carry[1].h, atol=1e-5)


def test_all_of_the_validation_text_can_be_read(trained):
    model, params, corpus = trained
    reading = read(model, params, corpus, 1, len(corpus.validation))
    np.testing.assert_array_equal(reading.targets[:, 0], corpus.validation)
    np.testing.assert_array_equal(reading.carry[1].h, np.zeros((1, 12)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("nowhere", "no run in nowhere"),
        ("run --step 7", "no checkpoint of step 7; there are: 2, 4"),
        ("run --batch 0", "--batch must be at least 1, got 0"),
        ("run --length 1", "--length must be at least 2, got 1"),
        ("run --length 601", "--length 601: the validation text has 600 tokens; lower --length"),
        ("run --batch 100000", "room for 4 pieces of 128; lower --batch or --length"),
        (
            "run --batch 100 --length 6",
            "--batch 100: the validation text has 600 tokens, room for 99",
        ),
        ("run --length many", "argument --length: invalid int value: 'many'"),
    ],
)
def test_a_mistake_is_told_in_one_line(capsys, options, message):
    assert main(["spectrum", *options.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_a_folder_that_cannot_be_written_is_told_in_one_line(capsys, monkeypatch, place):
    monkeypatch.setattr(commands, "measure", lambda *_: findings(-0.1))
    folder = place / "run/spectrum"
    kept = folder.rename(place / "kept")
    folder.write_text("in the way")
    try:
        assert main(SPECTRUM) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert "cannot write to run/spectrum: File exists" in line
    finally:
        folder.unlink()
        kept.rename(folder)


@pytest.mark.slow
def test_without_matplotlib_the_rest_is_there_and_of_a_large_carry_a_part(
    capsys, monkeypatch, tmp_path
):
    for name in ("ALL", "DIRECTIONS"):
        monkeypatch.setattr(measure, name, 5)
    monkeypatch.setattr(
        Run, "spectrum", property(lambda _: tmp_path / "out", lambda *_: None), raising=False
    )
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main([*SPECTRUM, "--step", "2"]) == 0
    assert "no pictures: they need matplotlib" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"spectrum.json", "README.md"}
    found = json.loads((tmp_path / "out/spectrum.json").read_text())
    assert found["step"] == 2
    assert {len(values) for values in found["log_singular_values"]} == {5}
    assert len(found["lyapunov_exponents"]) == 5
    report = (tmp_path / "out/README.md").read_text()
    assert "![" not in report
    assert "the median of the 5 largest" in report
    assert "from the 5 largest exponents of 12" in report


def findings(exponent, change=0.0, by_lag=(0.0, -1.0, -2.0, -3.0)):
    """A network of known answers."""
    steps = len(by_lag)
    running = jnp.array([[exponent + change, -1.0], [exponent + change, -1.0], [exponent, -1.0]])
    return Findings(
        Reading(jnp.zeros((steps, 1), jnp.int32), jnp.zeros((steps, 1), jnp.int32), ()),
        5,
        rnn.analysis.GradientMap(jnp.zeros((steps, steps)), jnp.array(by_lag)),
        2,
        rnn.analysis.LeadingSpectrum(
            np.array([1, steps]),
            jnp.array([[0.0, -1.0, -2.0], [math.log(0.5), -30.0, -jnp.inf]]),
            jnp.ones(2),
            jnp.zeros(2),
        ),
        rnn.analysis.LyapunovSpectrum(running[-1], running, np.array([10, 20, 30])),
        np.array([0.25, 0.75]),
        {},
    )


@pytest.mark.parametrize(
    ("exponent", "change", "said"),
    [
        (-0.1, 0.01, "die out, the slowest by a factor of e every 10 characters"),
        (0.05, 0.01, "grow, by a factor of e every 20 characters: the network is chaotic"),
        (0.002, 0.01, "cannot be told from zero"),
    ],
)
def test_the_report_says_what_the_exponent_means(exponent, change, said):
    report = words.report(findings(exponent, change), Config(), 7, {})
    assert said in report
    assert f"is {exponent:.4f} nats per character, from 30 characters" in report


def test_the_report_has_the_numbers_in_its_sentences():
    found = findings(-0.1, by_lag=np.log([16.0, 6.0, 2.0, 0.5]))
    report = words.report(found, Config(cell="elman", window=2, hidden=5), 7, {})
    assert "# What gradients do in this elman" in report
    assert "95% goes back 2 characters or less" in report
    assert "3 characters before a loss moves it 0.12 times" in report  # 0.5 / 1 and 16 / 4
    assert "after 2 characters, and 0.1 of the whole lies beyond" in report  # 2.5 of 24.5
    assert "Over 4 characters the direction that is kept best comes out 0.5 times" in report
    assert "the median of the 3 largest e^-30 times" in report
    assert "50.0% of the units are saturated" in report
    assert "evaluates them: 25.0%, 75.0%" in report
    assert "matrices" not in report


@pytest.mark.parametrize(
    ("by_lag", "said", "unsaid"),
    [
        ([-np.inf] * 4, "No loss has a gradient by the memory", "95%"),
        ([-np.inf, 0.0, 0.0, -np.inf], "and 0.5 of the whole lies beyond", "times as much"),
        ([0.0, 0.0, 0.0, -np.inf], "moves it 0 times as much", "e^"),
    ],
)
def test_a_gradient_of_zero_is_no_number(by_lag, said, unsaid):
    found = findings(-0.1, by_lag=by_lag)
    config = Config(cell="elman", window=2, hidden=5)
    report = words.report(found, config, 7, {})
    (reach,) = [part for part in report.split("\n\n") if said in part]
    assert unsaid not in reach
    assert "nan" not in report + words.summary(found, config)


def test_what_is_no_number_in_json_is_null():
    found = words.numbers(findings(-0.1), 7)
    assert found["log_singular_values"][1][2] is None
    json.dumps(found, allow_nan=False)


def test_a_dimension_that_needs_more_exponents_is_a_lower_bound():
    running = jnp.full((2, 2), 0.1)
    found = findings(0.1)._replace(
        lyapunov=rnn.analysis.LyapunovSpectrum(running[0], running, np.array([10, 20]))
    )
    report = words.report(found, Config(), 7, {})
    assert "dimension of its attractor is at least 2.00, its entropy rate 0.2000" in report
