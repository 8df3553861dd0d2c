"""A run folder in which something is damaged, edited or missing: a sentence, or no harm done.

One tiny run, and everything up to where a command would compile.
"""

import json
import shutil
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import jax
import pytest

from rnn_jax.__main__ import main
from rnn_jax.language import commands, train
from rnn_jax.language import run as run_module
from rnn_jax.language.config import Config, settings
from rnn_jax.language.corpus import load
from rnn_jax.language.errors import RunError
from rnn_jax.language.run import Run
from rnn_jax.language.text import read_text

SMALL = (
    "--cell elman --hidden 4 --embedding 4 --batch 4 --window 8 --steps 6 "
    "--checkpoint-every 2 --log-every 1 --eval-every 3"
).split()
COMMANDS = {
    "resume": ["train", "--resume", "run"],
    "sample": ["sample", "run", "--length", "5"],
    "evaluate": ["evaluate", "run"],
    "spectrum": ["spectrum", "run"],
}


@pytest.fixture(scope="module", autouse=True)
def _as_a_user_has_it():
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="module")
def sound(tmp_path_factory, _as_a_user_has_it):
    """A folder with `text.txt` and the finished run `run`, which nobody touches."""
    folder = tmp_path_factory.mktemp("sound")
    (folder / "text.txt").write_text(read_text(None)[:3_000])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(commands, "report", lambda *_: "")
        assert main(["train", "--text", "text.txt", "--run", "run", *SMALL]) == 0
    return folder


@pytest.fixture
def place(sound, tmp_path_factory, monkeypatch):
    """A copy of it, where all that takes long is left out."""
    folder = tmp_path_factory.mktemp("place")
    shutil.copytree(sound, folder, dirs_exist_ok=True)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(
        train._Training,
        "to_the_end",  # no update, but all that comes before the first one
        lambda self: (print(self._says()), train.Best(self.best, self.step, 1.0))[1],
    )
    for name in ("report", "write"):
        monkeypatch.setattr(commands, name, lambda *_: "")
    for name in ("token_losses", "measure"):
        monkeypatch.setattr(commands, name, stop)
    return folder


class Stopped(Exception):
    """Every file was read: what a command would work out comes next."""


def stop(*_):
    raise Stopped


def fresh(sound, place):
    """Everything as it was, but for the checkpoints."""
    for path in (place / "run").iterdir():
        if path.name != "checkpoints":
            remove(path)
    for path in (sound / "run").iterdir():
        if path.name != "checkpoints":
            shutil.copy(path, place / "run")


def said(capsys, words):
    """Exit code and what is on stderr: one line, unless all went well."""
    capsys.readouterr()
    try:
        code = main([*words])
    except Stopped:
        code = 0
    err = capsys.readouterr().err
    assert code in (0, 1, 2)
    if code:
        assert len(err.splitlines()) == 1, err
        assert err.startswith("error: ")
    return code, err


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def written(content):
    return lambda path: (remove(path), path.write_bytes(content))


def halved(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def flipped(path):
    content = path.read_bytes()
    half = len(content) // 2
    turned = bytes(byte ^ 0xFF for byte in content[half : half + 1])
    path.write_bytes(content[:half] + turned + content[half + 1 :])


DAMAGES = {
    "missing": remove,
    "empty": written(b""),
    "binary": written(b"\0\xff\xfe" * 30),
    "nested": written(b'[{"a":' * 50_000),
    "a number": written(b"3\n"),
    "a large number": written(b"1" * 5_000),
    "nothing": written(b"null\n"),
    "a list": written(b'["step", "tokens"]\n'),
    "an object": written(b"{}\n"),
    "a folder": lambda path: (remove(path), path.mkdir()),
    "a loop": lambda path: (remove(path), path.symlink_to(path.name)),
    "halved": halved,
    "flipped": flipped,
}
NEEDED = ("config.json", "vocabulary.json")  # without a default: a damaged one is always an error
FOLDERS = {"missing", "empty", "a folder", "a loop"}


@pytest.mark.parametrize("name", NEEDED)
def test_a_damaged_file_that_is_needed_gets_a_sentence(capsys, place, sound, name):
    for damage, change in DAMAGES.items():
        for command, words in COMMANDS.items():
            fresh(sound, place)
            change(place / "run" / name)
            code, err = said(capsys, words)
            assert code, (damage, command)
            assert any(part in err for part in (name, "no run in", "the text has changed")), err


@pytest.mark.parametrize(
    "name",
    [
        "metrics.jsonl",
        pytest.param("timings.jsonl", marks=pytest.mark.slow),
        pytest.param("lock", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_file_that_is_not_needed_does_no_harm(capsys, place, sound, name):
    for damage, change in DAMAGES.items():
        unreadable = damage in ("a folder", "a loop")
        for command in COMMANDS if unreadable else ("resume",):
            fresh(sound, place)
            (place / "run" / name).touch()
            change(place / "run" / name)
            code, err = said(capsys, COMMANDS[command])
            fails = unreadable and command == "resume" and name != "timings.jsonl"
            assert bool(code) == fails, (damage, command, err)
            assert name in err or not code


def test_a_checkpoint_with_any_damaged_file_names_the_last_good_one(capsys, place, sound):
    paths = sorted((place / "run/checkpoints/6").rglob("*"))
    harmless = set()  # what orbax writes and never reads
    for number, path in enumerate(paths):
        command, option = [("resume", "--from-step"), ("sample", "--step")][number % 2]
        aside = place / "aside"
        path.rename(aside)
        if aside.is_file():
            content = aside.read_bytes()
            path.write_bytes(content)
            flipped(path) if content and number % 3 else written(b"")(path)
        code, err = said(capsys, COMMANDS[command])
        if code:
            assert "the checkpoint of step 6 in run/checkpoints is damaged" in err
            assert f"{option} 4`" in err
        else:
            harmless.add(path.name)
        assert {p.name for p in (place / "run/checkpoints").iterdir()} == {"2", "4", "6"}
        if path.exists():
            remove(path)
        aside.rename(path)
    assert not harmless & {"state", "progress", "_METADATA", "metadata"}


@pytest.mark.parametrize("damage", sorted(FOLDERS))
def test_checkpoints_that_are_gone_do_not_take_the_metrics_with_them(capsys, place, damage):
    before = (place / "run/metrics.jsonl").read_bytes()
    DAMAGES[damage](place / "run/checkpoints")
    code, err = said(capsys, COMMANDS["resume"])
    assert code == 1
    if damage in ("missing", "a folder"):
        assert "has no checkpoint, and run/metrics.jsonl goes to step 6" in err
        assert "`python -m rnn_jax train --config run/config.json`" in err
    assert said(capsys, COMMANDS["sample"])[0]
    assert (place / "run/metrics.jsonl").read_bytes() == before


def test_a_run_without_a_checkpoint_that_never_had_one_begins_anew(capsys, place):
    shutil.rmtree(place / "run/checkpoints")
    lines = (place / "run/metrics.jsonl").read_bytes().splitlines(keepends=True)
    (place / "run/metrics.jsonl").write_bytes(b"".join(lines[:2]) + b'{"ste')  # killed in the save
    assert main(COMMANDS["resume"]) == 0
    assert "training from step 0 to step 6" in capsys.readouterr().out
    assert (place / "run/metrics.jsonl").read_bytes() == b""


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)
drawn = hypothesis.settings(
    max_examples=25,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)


@drawn
@hypothesis.given(st.sampled_from(sorted(settings())), anything, st.sampled_from(sorted(COMMANDS)))
def test_a_setting_edited_to_anything(capsys, place, sound, name, value, command):
    fresh(sound, place)
    path = place / "run/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    said(capsys, COMMANDS[command])


@drawn
@hypothesis.given(st.sampled_from(["text_sha256", "tokens", "0"]), anything)
def test_a_vocabulary_edited_to_anything(capsys, place, sound, name, value):
    fresh(sound, place)
    path = place / "run/vocabulary.json"
    record = json.loads(path.read_text())
    if name == "0":
        record["tokens"][0] = value
    else:
        record[name] = value
    hypothesis.assume(record != json.loads((sound / "run/vocabulary.json").read_text()))
    path.write_text(json.dumps(record))
    assert said(capsys, COMMANDS["evaluate"])[0] == 1
    said(capsys, COMMANDS["sample"])


@drawn
@hypothesis.given(st.integers(0, 7), st.sampled_from(["step", "split", "loss", "epoch"]), anything)
@pytest.mark.slow
def test_a_line_of_metrics_edited_to_anything(capsys, place, sound, number, name, value):
    fresh(sound, place)
    path = place / "run/metrics.jsonl"
    before = path.read_bytes().splitlines(keepends=True)
    edited = json.dumps(json.loads(before[number]) | {name: value}).encode() + b"\n"
    path.write_bytes(b"".join([*before[:number], edited, *before[number + 1 :]]))
    content = path.read_bytes()
    code, err = said(capsys, COMMANDS["resume"])
    assert not code
    after = path.read_bytes().splitlines(keepends=True)
    assert [line for line in after if line != edited] == before[:number] + before[number + 1 :]
    if path.read_bytes() != content:
        assert "is damaged: of the lines that the checkpoint saw, 7 are left" in err
        assert (place / "run/metrics.jsonl.damaged-1").read_bytes() == content
    Run(place / "run").metrics.read()


def test_missing_metrics_are_said_and_gone_on_without(capsys, place):
    (place / "run/metrics.jsonl").unlink()
    assert main([*COMMANDS["resume"], "--from-step", "4"]) == 0
    out, err = capsys.readouterr()
    assert "training from step 4 to step 6" in out
    assert err.startswith("warning: run/metrics.jsonl is damaged: of the lines that")
    assert {p.name for p in (place / "run/checkpoints").iterdir()} == {"2", "4"}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"hidden": 5}, "is not of the network that run/config.json describes: the shape of"),
        ({"cell": "gru"}, "where (12,) is expected; restore what was edited"),
        ({"layers": 2}, "is (57,) where none is expected"),
        ({"batch": 2}, "is (4, 4) where (2, 4) is expected"),
        ({"level": "word"}, "is not the vocabulary that run/config.json makes of the text"),
    ],
)
def test_settings_edited_to_another_network(capsys, place, edit, message):
    path = place / "run/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | edit))
    code, err = said(capsys, COMMANDS["resume"])
    assert code == 1
    assert message in err


# -- nothing is changed before all was read --------------------------------------------------------


@pytest.mark.parametrize(
    ("damaged", "words"),
    [
        ("metrics.jsonl", []),
        ("vocabulary.json", []),
        ("checkpoints/2/progress", []),
        (None, ["--steps", "1"]),
        (None, ["--text", "nowhere"]),
    ],
)
def test_a_resume_that_fails_changes_no_file(capsys, place, damaged, words):
    if damaged is not None:
        DAMAGES["a folder"](place / "run" / damaged)
    before = {path: path.is_file() and path.read_bytes() for path in place.rglob("*")}
    code, _ = said(capsys, [*COMMANDS["resume"], "--from-step", "2", *words])
    assert code
    assert {path: path.is_file() and path.read_bytes() for path in place.rglob("*")} == before


# -- a run that is made longer, or whose text was moved --------------------------------------------


def config(place):
    return Config.read(place / "run/config.json")


@pytest.mark.parametrize(
    ("words", "said", "kept"),
    [
        ([], "the end is reached at step 6 of 6: nothing to train; more", (6, 6)),
        (["--steps", "9"], "training from step 6 to step 9", (9, 6)),
        (["--epochs", "2"], "training from step 6 to step 168", (None, 2)),
        (["--steps", "5", "--from-step", "4"], "training from step 4 to step 5", (5, 6)),
    ],
)
def test_a_run_is_made_longer(capsys, place, words, said, kept):
    assert main([*COMMANDS["resume"], *words]) == 0
    assert said in capsys.readouterr().out
    assert (config(place).steps, config(place).epochs) == kept


def test_a_longer_run_is_the_run_that_was_long_from_the_start(sound, tmp_path, monkeypatch):
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(commands, "report", lambda *_: "")
    assert main([*COMMANDS["resume"], "--steps", "9"]) == 0
    assert main(["train", "--text", "text.txt", "--run", "long", *SMALL, "--steps", "9"]) == 0
    lines = [Path(run, "metrics.jsonl").read_bytes() for run in ("run", "long")]
    assert lines[0] == lines[1]


@pytest.mark.parametrize("how", ["by hand", "by an option"])
def test_fewer_steps_than_were_done_are_refused(capsys, place, how):
    words = ["--steps", "5"]
    if how == "by hand":
        path, words = place / "run/config.json", []
        path.write_text(path.read_text().replace('"steps": 6', '"steps": 5'))
    code, err = said(capsys, [*COMMANDS["resume"], *words])
    assert code == 2
    assert "run has done 6 updates, and is to end after 5: ask for more --steps or" in err


def test_a_schedule_goes_on_as_that_of_the_new_length(capsys, place):
    path = place / "run/config.json"
    config = json.loads(path.read_text()) | {"schedule": "linear", "warmup": 0}
    path.write_text(json.dumps(config))
    assert main([*COMMANDS["resume"], "--steps", "8"]) == 0
    rate = Config.read(path).learning_rate
    # Of a line to 0 over 8 steps, a quarter is left after 6.
    said = f"training from step 6 to step 8, at a step size of {rate / 4:.2g} by its schedule"
    assert said in capsys.readouterr().out


def test_a_text_that_was_moved_is_named_anew(capsys, place):
    (place / "text.txt").rename(place / "moved.txt")
    path = place / "run/config.json"  # as if it had been started in this folder
    path.write_text(json.dumps(json.loads(path.read_text()) | {"text": str(place / "text.txt")}))
    for command in ("resume", "evaluate", "spectrum"):
        code, err = said(capsys, COMMANDS[command])
        assert code == 2
        assert "if the text of run was moved, name its place by --text" in err
    (place / "other.txt").write_text((place / "moved.txt").read_text().upper())
    for command in ("resume", "evaluate", "spectrum"):
        code, err = said(capsys, [*COMMANDS[command], "--text", "other.txt"])
        assert code == 1
        assert "the text has changed" in err
        code, err = said(capsys, [*COMMANDS[command], "--data", "."])
        assert code == 2
        assert "name its place by --text" in err
    assert config(place).text == str(place / "text.txt")
    for command in ("evaluate", "spectrum"):
        with pytest.raises(Stopped):
            main([*COMMANDS[command], "--text", "moved.txt"])
    assert main([*COMMANDS["resume"], "--text", "moved.txt"]) == 0
    assert config(place).text == str(place / "moved.txt")


# -- two at once -----------------------------------------------------------------------------------


def test_of_two_runs_that_start_in_one_folder_one_is_refused(place, monkeypatch):
    pytest.importorskip("fcntl")
    first, second = (
        Config(text="text.txt", level=level, batch=2, window=8) for level in ("char", "word")
    )
    whole, refused = run_module.write_whole, []
    corpus, other = load(first), load(second)

    def interrupted(path, content):
        if not refused:
            refused.append(path)
            with pytest.raises(RunError, match="another process is training in new"):
                Run.create("new", second, other.digest, other.vocabulary)
        whole(path, content)

    monkeypatch.setattr(run_module, "write_whole", interrupted)
    run = Run.create("new", first, corpus.digest, corpus.vocabulary)
    assert refused
    assert run.config() == first
    assert run.vocabulary() == corpus.vocabulary


def test_the_report_is_drawn_without_metrics(place):
    plots = pytest.importorskip("rnn_jax.language.plots")
    plots.learning_curve(Config(), [], plots.Baselines(3.0, 2.0, 1.0), Path("curve.png"))
    assert Path("curve.png").stat().st_size
