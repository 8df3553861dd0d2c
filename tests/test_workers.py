"""One run by several devices and processes: the curve of one, one checkpoint, and one end.

Real processes, which meet at a port of this machine. The quick suite trains once by two of them;
the slow one kills, stops and starves them.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rnn_jax.__main__ import main
from rnn_jax.language import commands
from rnn_jax.language.errors import InputError
from rnn_jax.language.text import read_text
from rnn_jax.language.workers import Workers
from tests.pages import code_blocks, defaults_of_jax

ROOT = Path(__file__).parent.parent
SETTINGS = (
    "--hidden 8 --embedding 4 --batch 4 --window 12 --log-every 5 --checkpoint-every 20 "
    "--eval-every 20 --dropout-state 0.2"
).split()
LOST = "another process of this run ended or cannot be reached"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a text."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "text.txt").write_text(read_text(None)[:6000])
    return folder


def words(name, *more, steps=40):
    return ["train", "--text", "text.txt", "--run", name, "--steps", str(steps), *SETTINGS, *more]


def begin(command, cwd, before="pass"):
    """A process of the library's command line, after some Python of its own."""
    code = f"import runpy, sys; {before}; sys.argv = ['rnn_jax', *sys.argv[1:]]; " + (
        "runpy.run_module('rnn_jax', run_name='__main__')"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, command)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def together(commands, cwd, before=()):
    """Processes that meet, one for each command."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    several = ["--coordinator", f"localhost:{port}", "--processes", len(commands)]
    extra = dict(enumerate(before))
    return [
        begin([*command, *several, "--process-id", number], cwd, extra.get(number, "pass"))
        for number, command in enumerate(commands)
    ]


def ended(processes, seconds=240):
    """(exit code, stdout, stderr) of each; none may hang."""
    found = []
    for process in processes:
        try:
            out, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            for one in processes:
                one.kill()
            raise
        found.append((process.returncode, out, errors))
    return found


def curve(folder):
    """The numbers of metrics.jsonl: (step, split, loss), and the losses as an array."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["split"]) for line in lines], np.array([x["loss"] for x in lines])


def assert_same_curve(folder, other, bound=1e-5):
    """Where sums are taken in another order, float32 moves in its last places."""
    (where, losses), (expected, numbers) = curve(folder), curve(other)
    assert where == expected
    np.testing.assert_allclose(losses, numbers, rtol=bound)


def test_two_processes_write_the_curve_of_one(place, monkeypatch):
    """With noise, which is the same however the batch is split."""
    two = together([words("two", "--devices", 2)] * 2, place)
    monkeypatch.chdir(place)
    monkeypatch.setattr(commands, "report", lambda *_: "")
    with defaults_of_jax():
        assert main(words("one")) == 0
    done = ended(two)
    assert [code for code, *_ in done] == [0, 0], done
    assert_same_curve(place / "two", place / "one")
    (_, said, _), (_, silence, _) = done
    assert "2 devices (data 2, model 1) of 2 processes" in said
    assert "validation perplexity over" in said
    assert "perplexity" not in silence


@pytest.mark.slow
def test_a_checkpoint_goes_on_on_other_devices(place):
    """From four processes to two that split the units, to one, to one with two devices."""
    done = ended(together([words("four", steps=20)] * 4, place))
    assert [code for code, *_ in done] == [0] * 4, done
    longer = ["train", "--resume", "four", "--steps"]
    done = ended(together([[*longer, 40, "--mesh", "data=2,model=2"]] * 2, place))
    assert [code for code, *_ in done] == [0] * 2, done
    for command in ([*longer, 60], [*longer, 80, "--mesh", "model=2"]):
        assert [code for code, *_ in ended([begin(command, place)])] == [0]
    done = ended([begin(words("whole", steps=80), place)])
    # A run that was made longer has another schedule, so only its beginning is the same.
    assert done[0][0] == 0
    assert curve(place / "four")[0] == curve(place / "whole")[0]


@pytest.mark.slow
def test_accumulated_parts_have_the_curve_of_the_whole(place):
    quiet = ["--dropout-state", 0, "--dropout-inputs", 0, "--dropout-outputs", 0]
    both_ways = words("at once", *quiet), words("in parts", *quiet, "--accumulate", 2)
    for command in (*both_ways, words("both", *quiet, "--accumulate", 2, "--devices", 2)):
        assert [code for code, *_ in ended([begin(command, place)])] == [0]
    assert_same_curve(place / "in parts", place / "at once")
    assert_same_curve(place / "both", place / "at once")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGSTOP, signal.SIGINT])
def test_whoever_is_lost_ends_all_and_they_go_on(place, kind):
    """Killed, as if the machine were gone, or by ctrl-C: each process in turn, at any moment."""
    for number in range(10 if kind is signal.SIGKILL else 2):
        name = f"{kind.name}-{number}"
        command = words(name, "--devices", 2, steps=100_000)
        processes = together([command] * 2, place)
        saved = place / name / "checkpoints" / "20"
        while not saved.exists():
            time.sleep(0.05)
            assert [one.poll() for one in processes] == [None, None]
        time.sleep(random.random())
        lost, left = processes[number % 2], processes[1 - number % 2]
        lost.send_signal(kind)
        start = time.monotonic()
        [(code, _, errors)] = ended([left], 60)
        assert code == 1, errors
        assert LOST in errors
        assert f"train --resume {name}` goes on" in errors
        assert time.monotonic() - start < 60
        lost.kill()
        lost.communicate()
    # One process alone, to the next checkpoint but one.
    step = max(int(p.name) for p in saved.parent.iterdir() if p.name.isdecimal())
    [(code, _, errors)] = ended([begin(["train", "--resume", name, "--steps", step + 20], place)])
    assert code == 0, errors


@pytest.mark.slow
def test_the_command_of_the_page_trains_a_run(place):
    """That of docs/devices.md, with a number of steps that a test has time for."""
    (command,) = [
        code
        for _, code in code_blocks((ROOT / "docs" / "devices.md").read_text(), "sh")
        if "--coordinator" in code
    ]
    command = command.replace("--run runs/two", "--run two-of-page --text text.txt --steps 4")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=place, env=environment, capture_output=True, text=True
    )
    assert "2 devices (data 2, model 1) of 2 processes" in done.stdout, done.stderr
    assert (place / "two-of-page" / "report.json").exists()


@pytest.mark.slow
def test_a_full_disk_in_one_process_ends_both(place):
    # Enough for the ids of the text, not for what it holds of a checkpoint.
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (6100, 6100))"
    both = [words("full", "--mesh", "data=1,model=2")] * 2
    for (code, _, errors), other in zip(
        ended(together(both, place, ["pass", limit])), (LOST, "cannot save"), strict=True
    ):
        assert code == 1, errors
        assert other in errors or "cannot save" in errors
        assert "Traceback" not in errors


@pytest.mark.slow
def test_what_processes_do_not_have_in_common_is_told_to_all(place):
    (place / "other.txt").write_text(read_text(None)[6000:12_000])
    other = [word.replace("text.txt", "other.txt") for word in words("texts")]
    for code, _, errors in ended(together([words("texts"), other], place)):
        assert code == 1
        assert "the text has changed since texts was started (" in errors
        assert "other.txt" in errors
    for code, _, errors in ended(together([words("a"), words("a", "--seed", 1)], place)):
        assert code == 1
        assert "process 1 has other settings than the first one" in errors
    held = begin(words("held", steps=100_000), place)
    while not (place / "held" / "checkpoints" / "20").exists():
        time.sleep(0.05)
    for code, _, errors in ended(together([["train", "--resume", "held"]] * 2, place)):
        assert code == 1
        assert "another process is training in held" in errors
    held.kill()
    held.communicate()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"devices": 0}, "--devices must be at least 1, got 0"),
        ({"devices": 2, "parts": "data=2"}, "leave one out"),
        ({"parts": "data=2,data=2"}, "as in data=4,model=2; got data=2,data=2"),
        ({"parts": "time=2"}, "got time=2"),
        ({"parts": "data=0"}, "got data=0"),
        ({"parts": "data=²"}, "got data=²"),
        ({"processes": 2}, "--processes must come with --coordinator"),
        ({"coordinator": "auto", "process_id": 0}, "--process-id must come with"),
        ({"coordinator": "here", "processes": 2, "process_id": 0}, "must be HOST:PORT or auto"),
        ({"coordinator": "here:1"}, "needs --processes, how many there are"),
        ({"coordinator": "a:1", "processes": 2, "process_id": 2}, "from 0 to one less than"),
    ],
)
def test_what_are_no_workers(options, said):
    with pytest.raises(InputError, match=said):
        Workers(**options)


def test_a_mesh_has_all_axes():
    assert Workers(devices=3).mesh == {"data": 3, "model": 1}
    assert Workers(parts="model=2, data=4").mesh == {"data": 4, "model": 2}
    assert Workers().mesh is None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--mesh", "data=1,model=3"), "--mesh does not fit the network"),
        pytest.param(("--devices", "3"), "does not divide over 3 devices", marks=pytest.mark.slow),
    ],
)
def test_what_does_not_divide_makes_no_folder(place, more, said):
    """In a process of its own, for the number of devices is settled once."""
    [(code, _, errors)] = ended([begin(words("never", *more), place)])
    assert code == 2
    assert said in errors
    assert not (place / "never").exists()


def test_parts_that_do_not_divide_a_batch_make_no_folder(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    assert main(words("never", "--accumulate", "3")) == 2
    assert "--batch 4 does not divide into --accumulate 3" in capsys.readouterr().err
    assert not (place / "never").exists()
