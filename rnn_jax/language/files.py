"""Files that are whole or absent, and files of lines that can be cut back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rnn_jax.language.errors import RunError


def write_whole(path: Path, text: str) -> None:
    """Replace a file at one stroke: whoever reads it sees the old text or the new one."""
    draft = path.with_name(path.name + ".tmp")
    with draft.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


class JsonLines:
    """A file of JSON objects, one a line, that only grows, but for `cut`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: dict[str, Any]) -> None:
        """Add a line; a killed process leaves all of it behind, or a part that `cut` removes."""
        with self.path.open("ab") as file:
            file.write((json.dumps(record) + "\n").encode())

    def sync(self) -> int:
        """Wait until the lines are on the disk; the size of the file in bytes."""
        with self.path.open("ab") as file:
            os.fsync(file.fileno())
            return file.tell()

    def cut(self, size: int) -> None:
        """Drop all but the first `size` bytes, at one stroke.

        Raises:
            RunError: the file is shorter, so that lines are missing.
        """
        with self.path.open("ab") as file:
            if file.tell() < size:
                raise RunError(
                    f"{self.path} is damaged: {file.tell()} bytes, where the checkpoint saw {size}"
                )
            file.truncate(size)

    def read(self) -> Iterator[dict[str, Any]]:
        """The records, first to last.

        Raises:
            RunError: a line is damaged.
        """
        if not self.path.exists():
            return
        with self.path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise RunError(f"{self.path} is damaged at line {number}") from error
