"""Files that are read in one way, are whole or absent, and files of lines that can be cut back."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from rnn_jax.errors import RNNError
from rnn_jax.language.errors import RunError, reason


def write_whole(path: Path, content: str | bytes) -> None:
    """Replace a file at one stroke: whoever reads it sees the old content or the new one."""
    draft = path.with_name(path.name + ".tmp")
    with draft.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def read_json(path: Path, kind: type[RNNError] = RunError) -> Any:
    """What a JSON file holds: the one way to read one, whatever has become of it.

    Raises:
        RunError: it cannot be read, or is no JSON; or another `kind` of error.
    """
    try:
        return _parse(path.read_bytes())
    except OSError as error:
        raise kind(f"cannot read {path}: {reason(error)}") from error
    except ValueError as error:
        raise kind(f"{path} is damaged: {error}") from error


def _parse(content: bytes) -> Any:
    """Raises ValueError for all that is no JSON."""
    try:
        return json.loads(content.decode())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


class Kept(NamedTuple):
    """What is left of a file of lines for a checkpoint to go on with."""

    content: bytes
    whole: bool
    """Whether it is all that the checkpoint saw."""


class JsonLines:
    """A file of JSON objects, one a line, that only grows, but for `keep`.

    Args:
        path: where it lies.
        sound: whether what a line holds is a record of this file; with its "step", in any case.
        writes: whether this process is the one that does; others may read.
    """

    def __init__(
        self, path: Path, sound: Callable[[Any], bool] = lambda _: True, writes: bool = True
    ) -> None:
        self.path = path
        self._sound = sound
        self._writes = writes

    def append(self, record: dict[str, Any]) -> None:
        """Add a line; a killed process leaves all of it behind, or a part that `keep` removes."""
        if not self._writes:
            return
        with self.path.open("ab") as file:
            file.write((json.dumps(record) + "\n").encode())

    def sync(self) -> int:
        """Wait until the lines are on the disk; the size of the file in bytes."""
        if not self._writes:
            return 0
        with self.path.open("ab") as file:
            os.fsync(file.fileno())
            return file.tell()

    def read(self) -> list[dict[str, Any]]:
        """The records, first to last; none if there is no file.

        Raises:
            RunError: it cannot be read, or a line is damaged.
        """
        records = [self._record(line) for line in self._content().splitlines()]
        if None in records:
            raise RunError(f"{self.path} is damaged at line {records.index(None) + 1}")
        return [record for record in records if record is not None]

    def last_step(self) -> int:
        """The largest step of a line that is sound, 0 without one.

        Raises:
            RunError: the file cannot be read.
        """
        records = map(self._record, self._content().splitlines())
        return max((record["step"] for record in records if record is not None), default=0)

    def left(self, size: int, step: int) -> Kept:
        """What is left for a checkpoint of `step` that saw `size` bytes; changes nothing.

        The first `size` bytes, if they are sound. Or else all lines that are, up to that step.

        Raises:
            RunError: the file cannot be read.
        """
        content = self._content()

        def good(line: bytes) -> bool:
            record = self._record(line)
            return record is not None and record["step"] <= step

        seen = content[:size]
        whole = len(seen) == size and seen[-1:] in (b"\n", b"")
        if whole and all(map(good, seen.splitlines())):
            return Kept(seen, whole=True)
        lines = filter(good, content.splitlines())
        return Kept(b"".join(line + b"\n" for line in lines), whole=False)

    def keep(self, kept: Kept) -> str | None:
        """Drop all but what `left` found, at one stroke.

        Returns:
            A sentence, if it was not all that was to be there. What is dropped then stays beside
            the file, in a copy of it.
        """
        if not self._writes:
            return None
        if kept.whole:
            with self.path.open("ab") as file:
                file.truncate(len(kept.content))
            return None
        content, lines = self._content(), len(kept.content.splitlines())
        said = f"{self.path} is damaged: of the lines that the checkpoint saw, {lines} are left"
        if content != kept.content:
            copy = self._spare()
            write_whole(copy, content)
            said += f"; as it was, it is {copy} now"
        write_whole(self.path, kept.content)
        return said

    def _content(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise RunError(
                f"cannot read {self.path}: {reason(error)}; move it away to go on without it"
            ) from error

    def _record(self, line: bytes) -> dict[str, Any] | None:
        try:
            record = _parse(line)
        except ValueError:
            return None
        fits = isinstance(record, dict) and type(record.get("step")) is int
        return record if fits and self._sound(record) else None

    def _spare(self) -> Path:
        names = (self.path.with_name(f"{self.path.name}.damaged-{n}") for n in itertools.count(1))
        return next(path for path in names if not path.exists())
