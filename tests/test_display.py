"""What a terminal shows of a training, at the widths that terminals have."""

import fcntl
import itertools
import pty
import struct
import termios

import pytest
from tqdm import tqdm

from rnn_jax.language import display
from rnn_jax.language.display import Display, fitting


def last_line(monkeypatch, columns):
    """What stands on a terminal of so many columns after 400 of 1,224 updates, one a second."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    clock = itertools.count()
    with (
        monkeypatch.context() as patch,
        open(theirs, "w", encoding="utf-8") as terminal,
        open(ours, "rb", buffering=0) as seen,
    ):
        # One terminal's options instead of those of the process.
        patch.setattr(display, "tqdm", lambda **options: tqdm(**options, file=terminal))
        patch.setattr("tqdm.std.time", lambda: float(next(clock)))
        with Display(1224, 390, 2048, 204, "char") as shown:
            for _ in range(10):
                shown.update(1.25, 0.5)
            shown._bar.refresh()
            # What is written arrives in pieces: a bell is the end of it.
            terminal.write("\a")
            terminal.flush()
            arrived = b""
            while not arrived.endswith(b"\a"):
                arrived += seen.read(2**16)
            drawn = arrived[:-1].decode().split("\r")[-1]
    assert len(drawn) < columns  # the last column would wrap in some terminals
    return drawn


@pytest.mark.parametrize(
    ("columns", "there", "left_out"),
    [
        (60, ["400/1224", "left", "perplexity 3.49"], ["tokens/s"]),
        (80, ["400/1224", "left", "perplexity 3.49", "tokens/s"], ["grad"]),
        (160, ["perplexity 3.49", "tokens/s", "grad 0.50", "epoch 2.0", "bits/char 1.80"], []),
    ],
)
def test_the_progress_line_shows_what_there_is_room_for(monkeypatch, columns, there, left_out):
    drawn = last_line(monkeypatch, columns)
    assert all(word in drawn for word in there), drawn
    assert not any(word in drawn for word in left_out), drawn


def test_numbers_are_left_out_from_the_last():
    assert fitting(["a", "bcd", "e"], 100) == "a, bcd, e"
    assert fitting(["a", "bcd", "e"], 8) == "a, bcd"
    assert fitting(["a", "bcd", "e"], 7) == "a"  # and no shorter one in place of a longer
    assert fitting(["a", "bcd", "e"], 2) == ""
