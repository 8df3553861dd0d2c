"""Text in, tokens out.

A token is a character, or a word: what whitespace separates, with `END_OF_LINE` after each
line, so that the words of a file, line by line, can be had back from the tokens. A text that has
`END_OF_LINE` for a word of its own is refused: the two could not be told apart again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from rnn_jax.language.errors import InputError

END_OF_LINE = "<eos>"


def read_text(path: str | None) -> str:
    """The text of a UTF-8 file; without one, the language reference that every Python carries.

    Raises:
        InputError: the file is missing, a folder, unreadable, empty, or not text; or this Python
            has no reference.
    """
    if path is None:
        try:
            from pydoc_data.topics import topics
        except ImportError as error:  # some systems take Python apart
            raise InputError(
                "this Python comes without its reference (pydoc_data); name a text by --text"
            ) from error
        return "\n\n".join(topics[name] for name in sorted(topics))
    return "".join(read_lines(path))


def read_lines(path: str) -> Iterator[str]:
    """The lines of a UTF-8 file, each with its end, of which one is in memory at a time.

    Raises:
        InputError: the file is missing, a folder, unreadable, empty, or not text.
    """
    start, empty = 0, True
    try:
        with Path(path).open("rb") as file:
            for raw in file:
                line = _decoded(path, raw, start)
                start, empty = start + len(raw), empty and not line.strip()
                yield line
    except FileNotFoundError as error:
        raise InputError(f"no such text file: {path}") from error
    except IsADirectoryError as error:
        raise InputError(
            f"{path} is a folder; --text takes one file, --data a folder of splits"
        ) from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if empty:
        raise InputError(f"{path} is empty")


def _decoded(path: str, raw: bytes, start: int) -> str:
    """The text of a line whose first byte is number `start` of its file."""
    if b"\0" in raw:
        at = start + raw.index(0)
        raise InputError(f"{path} is binary (a zero byte at {at}), where text is needed")
    try:
        return raw.decode("utf-8" if start else "utf-8-sig")
    except UnicodeDecodeError as error:
        # Of a file that begins with a mark of its bytes' order, they are counted behind that.
        byte, at = error.object[error.start], start + error.start
        raise InputError(
            f"{path} is not UTF-8 text (byte 0x{byte:02x} at {at}); convert it first"
        ) from error


def find_splits(folder: str) -> dict[str, str]:
    """The files of a text that is split already: `train`, `valid`, and `test` if there is one.

    Each is the one file of the folder that has that word in its name, in whatever case:
    `ptb.train.txt`, `Train.txt`.

    Raises:
        InputError: there is no such folder, not one training and one validation file in it, or a
            name that says two splits.
    """
    try:
        files = sorted(path for path in Path(folder).iterdir() if path.is_file())
    except OSError as error:
        raise InputError(f"cannot read --data {folder}: {error.strerror or error}") from error
    found: dict[str, str] = {}
    for split in ("train", "valid", "test"):
        paths = [path for path in files if split in path.name.casefold() and path.name[0] != "."]
        if len(paths) > 1:
            names = ", ".join(path.name for path in paths)
            raise InputError(f"{folder} has several files with {split} in their names: {names}")
        if not paths:
            if split != "test":
                raise InputError(f"{folder} has no file with {split} in its name")
            continue
        for other, path in found.items():
            if path == str(paths[0]):
                raise InputError(
                    f"{path} has both {other} and {split} in its name; rename it, so that it "
                    "says which of them it is"
                )
        found[split] = str(paths[0])
    return found


def split_chars(text: str) -> list[str]:
    """Text -> its characters."""
    return list(text)


def join_chars(tokens: Iterable[str]) -> str:
    """The inverse of `split_chars`."""
    return "".join(tokens)


def split_words(text: str) -> list[str]:
    """Text -> its words, with `END_OF_LINE` where a line ends.

    Raises:
        InputError: `END_OF_LINE` is one of the words.
    """
    lines = text.split("\n")
    if END_OF_LINE in text and (number := line_of(END_OF_LINE, text, "word")):
        raise InputError(
            f"line {number} has the word {END_OF_LINE}, which stands for the end of a line, of "
            "which every line has one by itself; delete it there, or write it in another way"
        )
    # The last piece ends the text, not a line: a prompt may stop in the middle of one.
    return [word for line in lines[:-1] for word in (*line.split(), END_OF_LINE)] + lines[
        -1
    ].split()


def join_words(tokens: Iterable[str]) -> str:
    """Words -> text, one space between words and a line break for each `END_OF_LINE`."""
    lines: list[list[str]] = [[]]
    for token in tokens:
        if token == END_OF_LINE:
            lines.append([])
        else:
            lines[-1].append(token)
    return "\n".join(" ".join(line) for line in lines)


def line_of(token: str, text: str, level: str) -> int:
    """The first line that has a token, counted from 1; 0 if none has."""
    if level == "word":
        lines = enumerate(text.split("\n"), start=1)
        return next((number for number, line in lines if token in line.split()), 0)
    return text.count("\n", 0, text.index(token)) + 1 if token in text else 0


SPLIT = {"char": split_chars, "word": split_words}
JOIN = {"char": join_chars, "word": join_words}
