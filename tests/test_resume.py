"""A run that is killed and goes on is the run that was not killed, byte for byte.

Real processes and a real SIGKILL. The quick suite stops one; the slow one kills at many moments.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rnn_jax.language.text import read_text

ROOT = Path(__file__).parent.parent
SETTINGS = (
    "--hidden 16 --embedding 8 --batch 4 --window 16 --stride 12 --steps 150 "
    "--checkpoint-every 10 --log-every 7 --eval-every 50"
).split()
# A checkpoint is due after almost every line of metrics: many a kill falls into a save.
SAME = ("metrics.jsonl", "report.json", "sample.txt", "config.json", "vocabulary.json")


def command(*words):
    return [sys.executable, "-m", "rnn_jax", *map(str, words)]


def run(*words, cwd, **options):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command(*words), cwd=cwd, env=environment, capture_output=True, text=True, **options
    )


def kill_when(condition, *words, cwd, delay=0.0):
    """Start a command, and kill -9 it once the condition holds; whether it was still alive."""
    process = subprocess.Popen(
        command(*words),
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and not condition():
        time.sleep(0.002)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def files(folder):
    return {name: (folder / name).read_bytes() for name in SAME}


def steps(folder):
    checkpoints = folder / "checkpoints"
    return sorted(int(p.name) for p in checkpoints.iterdir() if p.name.isdecimal())


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A folder with a text."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "text.txt").write_text(read_text(None)[:12_000])
    return folder


@pytest.fixture(scope="module")
def place(text):
    """The folder with the run `whole` too, that nothing happened to."""
    folder = text
    done = run("train", "--text", "text.txt", "--run", "whole", *SETTINGS, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def start(name):
    return ["train", "--text", "text.txt", "--run", name, *SETTINGS]


def lines(folder):
    path = folder / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.slow
def test_a_run_killed_before_its_first_checkpoint_or_later_goes_on(place):
    killed = place / "killed"
    assert kill_when((killed / "config.json").exists, *start("killed"), cwd=place)
    assert lines(killed) == 0
    resume = ["train", "--resume", "killed"]
    assert kill_when(lambda: lines(killed) >= 12, *resume, cwd=place)
    assert 0 < lines(killed) < lines(place / "whole")
    done = run(*resume, cwd=place)
    assert done.returncode == 0, done.stderr
    assert files(killed) == files(place / "whole")


@pytest.mark.slow
def test_a_run_that_is_through_has_nothing_left_to_do(place):
    before = files(place / "whole")
    done = run("train", "--resume", "whole", cwd=place)
    assert done.returncode == 0, done.stderr
    assert files(place / "whole") == before


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_run_killed_again_and_again_is_the_run_that_was_not(place, seed):
    moments = random.Random(seed)
    name = f"killed-{seed}"
    killed, words = place / name, start(name)
    for _ in range(5):
        target = lines(killed) + moments.randint(0, 8)
        kill_when(
            lambda target=target: lines(killed) >= target,
            *words,
            cwd=place,
            delay=moments.random() * 0.3,
        )
        if (killed / "config.json").exists():
            words = ["train", "--resume", name]
    done = run(*words, cwd=place)
    assert done.returncode == 0, done.stderr
    assert files(killed) == files(place / "whole")


def damage(checkpoint):
    """Turn one byte of the largest file: what a disk does, and what no size tells."""
    path = max((p for p in checkpoint.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.slow
def test_a_damaged_checkpoint_is_named_with_the_way_on(place, tmp_path):
    copy = shutil.copytree(place / "whole", tmp_path / "copy")
    damage(copy / "checkpoints" / "150")
    shutil.rmtree(copy / "checkpoints" / "140" / "state")
    done = run("train", "--resume", "copy", cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "the checkpoint of step 150 in copy/checkpoints is damaged" in line
    assert "`python -m rnn_jax train --resume copy --from-step 130`" in line
    assert steps(copy) == [130, 140, 150]
    done = run("train", "--resume", "copy", "--from-step", 130, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert files(copy) == files(place / "whole")


@pytest.mark.slow
def test_a_full_disk_keeps_what_is_there(place, tmp_path):
    """A limit on the size of a file stands for the full disk: the system refuses the write."""
    copy = shutil.copytree(place / "whole", tmp_path / "copy")
    # Enough for the ids of the text and the lines of metrics, not for a checkpoint.
    size = 100 + (place / "text.txt").stat().st_size
    assert size > (copy / "metrics.jsonl").stat().st_size
    limited = (
        f"import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size})); "
        "runpy.run_module('rnn_jax', run_name='__main__', alter_sys=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, "train", "--resume", "copy", "--from-step", "140"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr, done.stderr
    line = done.stderr.splitlines()[-1]
    assert "cannot save the checkpoint of step 150" in line
    assert "step 140 is kept" in line
    assert steps(copy) == [130, 140]


def test_ctrl_c_says_how_to_go_on(text):
    process = subprocess.Popen(
        command(*start("stopped")),
        cwd=text,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    while lines(text / "stopped") < 2:
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert errors.splitlines()[-1] == (
        "error: interrupted; go on by `python -m rnn_jax train --resume stopped`"
    )
