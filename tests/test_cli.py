"""The command line as a user meets it: what it makes, and what it says to a mistake."""

import errno
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import chex
import jax
import orbax.checkpoint as ocp
import pytest

import rnn_jax as rnn
from rnn_jax.__main__ import main
from rnn_jax.language import commands
from rnn_jax.language.baselines import Baselines
from rnn_jax.language.config import Config
from rnn_jax.language.corpus import load
from rnn_jax.language.learner import Learner, load_params
from rnn_jax.language.plots import draw
from rnn_jax.language.run import Run
from rnn_jax.language.text import read_text

ROOT = Path(__file__).parent.parent
SMALL = (
    "--hidden 16 --embedding 8 --batch 4 --window 16 --steps 30 "
    "--checkpoint-every 10 --log-every 5 --eval-every 15"
).split()


@pytest.fixture(scope="module", autouse=True)
def _as_a_user_has_it():
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):  # as optax.adam needs it
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory, _as_a_user_has_it):
    """A folder with `text.txt` and the finished run `run`."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "text.txt").write_text(read_text(None)[:12_000])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", "--text", "text.txt", "--run", "run", *SMALL]) == 0
    return folder


@pytest.fixture(autouse=True)
def _there(place, monkeypatch):
    monkeypatch.chdir(place)


def error(capsys, *words, code=2):
    """The one line that a mistake is told in."""
    capsys.readouterr()
    assert main([*map(str, words)]) == code
    err = capsys.readouterr().err
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    return line


def test_a_run_leaves_everything_behind(place):
    names = {path.name for path in (place / "run").iterdir()}
    assert names >= {
        "config.json",
        "vocabulary.json",
        "metrics.jsonl",
        "timings.jsonl",
        "checkpoints",
        "report.json",
        "sample.txt",
        "learning_curve.png",
        "gradient_by_lag.png",
    }
    metrics = [json.loads(line) for line in (place / "run" / "metrics.jsonl").open()]
    assert [m["step"] for m in metrics if m["split"] == "train"] == [5, 10, 15, 20, 25, 30]
    assert [m["step"] for m in metrics if m["split"] == "validation"] == [15, 30]
    for m in metrics:
        assert m["perplexity"] == pytest.approx(math.exp(m["loss"]))
        assert m["bits_per_char"] == pytest.approx(m["loss"] / math.log(2))
    report = json.loads((place / "run" / "report.json").read_text())
    assert report["validation_perplexity"] == metrics[-1]["perplexity"]
    assert report["validation_tokens"] == 1200
    assert report["bigram_perplexity"] < report["unigram_perplexity"]
    assert len(report["gradient_norm_by_lag"]) == 32


def test_evaluate_agrees_with_the_training(capsys):
    assert main(["evaluate", "run"]) == 0
    out = capsys.readouterr().out
    report = json.loads(Path("run/report.json").read_text())
    assert f"perplexity {report['validation_perplexity']:.4f} over 1200 tokens, step 30" in out
    assert f"bigram counts: perplexity {report['bigram_perplexity']:.4f}" in out
    assert f"Kneser-Ney: perplexity {report['mixture_perplexity']:.4f}" in out
    # After 30 updates the network has nothing to add: all the weight goes to the counts.
    assert report["mixture_perplexity"] == pytest.approx(report["kneser_ney_perplexity"], rel=1e-6)
    assert main("evaluate run --split train --step 20 --cache 30".split()) == 0
    out = capsys.readouterr().out
    assert "over 10799 tokens, step 20" in out
    assert "with a cache, --cache 30: train perplexity" in out


def test_sample_begins_with_the_prompt(capsys):
    words = ["sample", "run", "--prompt", "The ", "--length", "50", "--temperature", "0.5"]
    assert main(words) == 0
    first = capsys.readouterr().out
    assert first.startswith("The ")
    assert len(first) == len("The ") + 50 + 1
    assert main([*words, "--seed", "1"]) == 0
    assert capsys.readouterr().out != first


def test_several_samples_at_once(capsys):
    words = "sample run --length 20 --top-k 9 --top-p 0.9 --min-p 0.05 --prompt T".split()
    assert main([*words, "--samples", "3"]) == 0
    out = capsys.readouterr().out
    texts = re.split(r"^--- [123] of 3 ---\n", out, flags=re.MULTILINE)[1:]
    assert [len(text.rstrip("\n")) for text in texts] == [21, 21, 21]
    assert [text[0] for text in texts] == ["T", "T", "T"]
    assert len(set(texts)) == 3
    assert main([*words, "--temperature", "1"]) == 0  # one alone has no number above it
    assert capsys.readouterr().out.startswith("T")


def test_a_model_of_words_is_trained_and_sampled(capsys):
    words = [*SMALL, "--level", "word", "--cell", "gru", "--max-words", "200", "--steps", "5"]
    assert main(["train", "--text", "text.txt", "--run", "words", *words]) == 0
    assert main(["sample", "words", "--prompt", "The unheard-of", "--length", "5"]) == 0
    assert "The <unk>" in capsys.readouterr().out


def test_the_model_of_a_run_is_shared(capsys):
    pytest.importorskip("safetensors", reason="safetensors is absent: pip install '.[safetensors]'")
    assert main("share run --out shared --step 20".split()) == 0
    files = "README.md, config.json, model.safetensors, vocabulary.json"
    assert capsys.readouterr().out == f"shared: {files}; the model of step 20\n"
    record = json.loads(Path("shared/vocabulary.json").read_text())
    assert (record["level"], record["backward"]) == ("char", False)
    model, params = rnn.load("shared")
    run = Run.open("run")
    assert tuple(record["tokens"]) == run.vocabulary().tokens
    learner = Learner(run.config(), len(run.vocabulary()))
    assert model == learner.model
    chex.assert_trees_all_equal(params, load_params(run, learner, 20).params)
    assert "would be overwritten" in error(capsys, "share", "run", "--out", "run")
    assert main("evaluate run".split()) == 0, "the run is no run any more"


def test_a_run_without_a_name_gets_a_new_one():
    config = Config(text="text.txt", batch=4, window=16)
    corpus = load(config)
    folders = [
        str(Run.create(None, config, corpus.digest, corpus.vocabulary).folder) for _ in range(2)
    ]
    assert folders == ["runs/char-lstm-256-1", "runs/char-lstm-256-2"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train --window -3", "--window must be at least 1, got -3"),
        ("train --hidden many", "argument --hidden: invalid int value: 'many'"),
        ("train --cell lstn", "the known ones are elman, irnn"),
        ("train --colour red", "unrecognized arguments: --colour red"),
        ("train --text nowhere.txt", "no such text file: "),
        ("train --text text.txt --batch 9999", "the text is too short"),
        ("train --text text.txt --run run", "already holds a run: go on with it by `python -m"),
        ("train --resume run --hidden 3", "leave out --hidden"),
        ("train --resume run --run other", "leave out --run"),
        ("train --resume nowhere", "no run in nowhere"),
        ("train --resume run --from-step 7", "no checkpoint of step 7; there are: 10, 20, 30"),
        ("train --from-step 7", "--from-step goes with --resume"),
        ("sample nowhere", "no run in nowhere"),
        ("sample run --prompt \u4f60", "not in the vocabulary of this run"),
        ("sample run --temperature -1", "--temperature must be 0 or a positive number"),
        ("sample run --top-k 0", "--top-k must be at least 1, got 0"),
        ("sample run --top-p 90", "--top-p must be from 0 to 1, got 90.0"),
        ("sample run --min-p nan", "--min-p must be from 0 to 1, got nan"),
        ("sample run --samples 0", "--samples must be at least 1, got 0"),
        ("sample run --seed -1", "--seed must be"),
        ("sample run --step 7", "no checkpoint of step 7"),
        ("evaluate run --split dev", "the known ones are train, validation, test"),
        ("evaluate run --split test", "there is no test split"),
        ("evaluate run --adapt 0", "--adapt must be a positive number"),
        ("evaluate run --cache 0", "--cache must be from 1 to 65,536 states, got 0"),
        ("train --resume run --config run/config.json", "leave out --config"),
        ("train --config nowhere.json", "cannot read nowhere.json: No such file"),
        ("train --config text.txt", "text.txt is damaged"),
        ("train --text text.txt --layers 256", "--layers must be less than 256"),
        ("train --text text.txt --steps 2147483648", "--steps must be less than 2147483648"),
        ("train --text text.txt --clip 1e999", "--clip must be finite, got inf"),
        ("train --text text.txt --data .", "--text and --data are two ways"),
        ("train --data nowhere", "cannot read --data"),
        ("train --data run", "has no file with train in its name"),
        ("", "required: command"),
    ],
)
def test_a_mistake_is_told_in_one_line(capsys, words, message):
    assert message in error(capsys, *words.split())


@pytest.mark.parametrize("folder", ["text.txt/run", "/proc/run"])
def test_a_folder_that_cannot_be_written_is_told_in_one_line(capsys, folder):
    words = ["train", "--text", "text.txt", "--run", folder, *SMALL]
    assert "cannot write the run folder" in error(capsys, *words, code=1)


def test_a_loss_that_is_not_finite_stops_the_run(capsys):
    wild = ["--cell", "irnn", "--learning-rate", "1e25", "--checkpoint-every", "1"]
    words = ["train", "--text", "text.txt", "--run", "wild", *SMALL, *wild]
    assert main(words) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert " at step " in line
    assert "--learning-rate" in line
    assert "NaN" not in Path("wild/metrics.jsonl").read_text()
    # Finite params, and too large for a text: that is said as well, not computed with.
    assert "from token 0 on" in error(capsys, "evaluate", "wild", code=1)


def test_a_full_disk_is_told_in_one_line(capsys, monkeypatch):
    save = ocp.CheckpointManager.save

    def fails_at_20(self, step, *args, **kwargs):
        if step >= 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return save(self, step, *args, **kwargs)

    monkeypatch.setattr(commands, "report", lambda *_: "")
    with monkeypatch.context() as patch:
        patch.setattr(ocp.CheckpointManager, "save", fails_at_20)
        assert main(["train", "--text", "text.txt", "--run", "full", *SMALL]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "no space left on the disk" in line
    assert "step 10 is kept" in line
    assert main(["train", "--resume", "full"]) == 0
    same = [Path(run, "metrics.jsonl").read_bytes() for run in ("run", "full")]
    assert same[0] == same[1]


def test_a_run_belongs_to_one_process_at_a_time(capsys):
    fcntl = pytest.importorskip("fcntl")
    with Path("run/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        line = error(capsys, "train", "--resume", "run", code=1)
    assert line == "error: another process is training in run"


def test_too_much_memory_is_told_in_one_line(capsys):
    words = ["train", "--text", "text.txt", "--run", "huge", "--hidden", "65535", "--layers", "9"]
    assert "and this machine has" in error(capsys, *words)
    assert not Path("huge").exists()


def test_another_text_is_refused(capsys):
    text = Path("text.txt")
    before = text.read_text()
    try:
        text.write_text(before.upper())
        assert "the text has changed" in error(capsys, "train", "--resume", "run", code=1)
        assert "the text has changed" in error(capsys, "evaluate", "run", code=1)
    finally:
        text.write_text(before)


def test_the_default_text_stays_with_the_run(capsys, monkeypatch, tmp_path):
    def carry(text):
        """Be a Python whose reference is another."""
        monkeypatch.setitem(sys.modules, "pydoc_data.topics", types.SimpleNamespace(topics=text))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(commands, "report", lambda *_: "")
    carry({"a": "Café: the reference of one Python.\n" * 40, "b": "of\rit"})
    assert main(["train", "--run", "run", *SMALL, "--steps", "1"]) == 0
    assert main(["evaluate", "run"]) == 0
    before = capsys.readouterr().out.splitlines()[-6:]
    carry({"a": "What another one says.\n" * 60})
    assert main(["evaluate", "run"]) == 0
    assert capsys.readouterr().out.splitlines() == before
    Path("run/default_text.txt").unlink()
    assert "(the reference that this Python carries)" in error(capsys, "evaluate", "run", code=1)
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    assert "comes without its reference" in error(capsys, "train", *SMALL)


def test_pictures_are_optional(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = draw(Run(tmp_path), [], Baselines(3.0, 2.0, 1.0), [])
    assert said == "no pictures: they need matplotlib (pip install 'scan-rnn[plot]')"
    assert not list(tmp_path.iterdir())


def python(*words, **environment):
    return subprocess.run(
        [sys.executable, *words],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
    )


def test_help_needs_nothing_heavy():
    done = python("-X", "importtime", "-m", "rnn_jax", "train", "--help")
    assert done.returncode == 0
    assert "--learning-rate" in done.stdout
    imported = {line.rsplit("|")[-1].strip() for line in done.stderr.splitlines()}
    assert not imported & {"orbax", "matplotlib", "tqdm"}


def test_ctrl_c_while_it_starts_is_one_line():
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "rnn_jax", "sample", "run"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    while "jax._src.config" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert [line for line in errors.splitlines() if not line.startswith("import time:")] == [
        "error: interrupted"
    ]


def test_a_library_leaves_ctrl_c_alone_and_after_it_no_exit_handler_runs():
    # Threads of XLA that are still compiling would find Python gone.
    done = python(
        "-c",
        "import atexit, signal as s, rnn_jax; from rnn_jax.process.interrupts import end; "
        "print(s.getsignal(s.SIGINT).__name__); "
        "atexit.register(print, 'torn down'); print('said'); end(130)",
    )
    said = "default_int_handler\nsaid\n"
    assert (done.returncode, done.stdout, done.stderr) == (130, said, "")


def test_ctrl_c_in_a_callback_is_not_lost():
    done = python(
        "-c",
        """
import signal, time
from rnn_jax.process import interrupts

class Collected:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

signal.signal(signal.SIGINT, interrupts.leave)
interrupts.started()
begun = time.monotonic()
try:
    Collected()
    time.sleep(60)
except KeyboardInterrupt:
    print("raised" if time.monotonic() < begun + 30 else "raised after it had slept")
""",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "raised\n", "")


@pytest.mark.slow
@pytest.mark.parametrize("delay", [2.0, 2.5, 3.0, 3.5, 4.0, 5.0])
def test_ctrl_c_in_the_spectrum_is_one_line(delay):
    process = subprocess.Popen(
        [sys.executable, "-m", "rnn_jax", "spectrum", "run"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (130, "error: interrupted\n")


@pytest.mark.parametrize(
    "closed",
    [
        pytest.param(">&-", marks=pytest.mark.slow),
        pytest.param("2>&-", marks=pytest.mark.slow),
        ">&- 2>&- <&-",
    ],
)
def test_closed_streams_do_no_harm(closed):
    done = subprocess.run(
        f"{sys.executable} -m rnn_jax sample run --length 5 {closed}",
        shell=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout) == (6 if closed == "2>&-" else 0)


@pytest.mark.slow
def test_a_terminal_that_is_not_utf_8_gets_what_it_can_take(place):
    # A prompt is printed as it is given, so that no sample has to be lucky.
    prompt = "The default: caf\u00e9 \u4f60\n"
    (place / "foreign.txt").write_text(prompt * 40, encoding="utf-8")
    options = [*SMALL, "--steps", "1", "--log-every", "1"]
    ascii = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    trained = python(
        "-m", "rnn_jax", "train", "--text", "foreign.txt", "--run", "foreign", *options, **ascii
    )
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.endswith("all of it: foreign\n")
    words = ["-m", "rnn_jax", "sample", "foreign", "--prompt", prompt, "--length", "1"]
    sampled = python(*words, **ascii)
    assert sampled.returncode == 0
    assert sampled.stdout.startswith("The default: caf\\xe9 \\u4f60\n")
    # Files are UTF-8 whatever the terminal is.
    assert "\u4f60" in json.loads((place / "foreign/vocabulary.json").read_bytes())["tokens"]


def test_a_closed_pipe_ends_a_sample_without_an_error():
    done = subprocess.run(
        f"{sys.executable} -m rnn_jax sample run --length 3000 | head -c 10",
        shell=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
    )
    assert len(done.stdout) == 10
    assert done.stderr == b""
