"""Text in, tokens out.

A token is a character, or a word: what whitespace separates, with `END_OF_LINE` after each
line, so that the words of a file, line by line, can be had back from the tokens.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rnn_jax.language.errors import InputError

END_OF_LINE = "<eos>"


def read_text(path: str | None) -> str:
    """The text of a UTF-8 file; without one, the language reference that every Python carries.

    Raises:
        InputError: the file is missing, a folder, unreadable, empty, or not text.
    """
    if path is None:
        from pydoc_data.topics import topics

        return "\n\n".join(topics[name] for name in sorted(topics))
    try:
        raw = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"no such text file: {path}") from error
    except IsADirectoryError as error:
        raise InputError(
            f"{path} is a folder; --text takes one file, --data a folder of splits"
        ) from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if b"\0" in raw:
        raise InputError(f"{path} is binary (a zero byte at {raw.index(0)}), where text is needed")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text (byte 0x{raw[error.start]:02x} at {error.start}); "
            "convert it first"
        ) from error
    if not text.strip():
        raise InputError(f"{path} is empty")
    return text


def find_splits(folder: str) -> dict[str, str]:
    """The files of a text that is split already: `train`, `valid`, and `test` if there is one.

    Each is the one file of the folder that has that word in its name: `ptb.train.txt`.

    Raises:
        InputError: there is no such folder, or not one training and one validation file in it.
    """
    try:
        files = sorted(path for path in Path(folder).iterdir() if path.is_file())
    except OSError as error:
        raise InputError(f"cannot read --data {folder}: {error.strerror or error}") from error
    found = {}
    for split in ("train", "valid", "test"):
        paths = [path for path in files if split in path.name and not path.name.startswith(".")]
        if len(paths) > 1:
            names = ", ".join(path.name for path in paths)
            raise InputError(f"{folder} has several files with {split} in their names: {names}")
        if paths:
            found[split] = str(paths[0])
        elif split != "test":
            raise InputError(f"{folder} has no file with {split} in its name")
    return found


def split_chars(text: str) -> list[str]:
    """Text -> its characters."""
    return list(text)


def join_chars(tokens: Iterable[str]) -> str:
    """The inverse of `split_chars`."""
    return "".join(tokens)


def split_words(text: str) -> list[str]:
    """Text -> its words, with `END_OF_LINE` where a line ends."""
    lines = text.split("\n")
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


SPLIT = {"char": split_chars, "word": split_words}
JOIN = {"char": join_chars, "word": join_words}
