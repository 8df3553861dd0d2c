"""Text in, tokens out.

A token is a character, or a word: what whitespace separates, with `END_OF_LINE` after each
line, so that the words of a file, line by line, can be had back from the tokens. A text that has
`END_OF_LINE` for a word of its own is refused: the two could not be told apart again.

A text may be larger than memory, and one line of it may be, so it comes in blocks. `pieces` are
blocks that end within no token.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from rnn_jax.language.errors import InputError

END_OF_LINE = "<eos>"
BLOCK = 2**20
"""How many bytes of a file are read at a time."""


def read_text(path: str | None) -> str:
    """The whole of a text; arguments and errors as for `blocks`."""
    return "".join(blocks(path))


def blocks(path: str | None, size: int = BLOCK) -> Iterator[str]:
    """A text, block by block, of which one is in memory at a time.

    Args:
        path: of a UTF-8 file; without one, it is the language reference that every Python carries.
        size: how many bytes a block is made of.

    Raises:
        InputError: the file is missing, a folder, a pipe, unreadable, empty, or not text; or this
            Python has no reference.
    """
    if path is None:
        yield _reference()
        return
    try:
        with Path(path).open("rb") as file:
            if not file.seekable():
                raise InputError(
                    f"{path} is a pipe, and a text is read more than once; write it to a file first"
                )
            yield from _decoded(path, file, size)
    except FileNotFoundError as error:
        raise InputError(f"no such text file: {path}") from error
    except IsADirectoryError as error:
        raise InputError(
            f"{path} is a folder; --text takes one file, --data a folder of splits"
        ) from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def _reference() -> str:
    try:
        from pydoc_data.topics import topics
    except ImportError as error:  # some systems take Python apart
        raise InputError(
            "this Python comes without its reference (pydoc_data); name a text by --text"
        ) from error
    return "\n\n".join(topics[name] for name in sorted(topics))


def _decoded(path: str, file: BinaryIO, size: int) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    mark = "\ufeff"  # of the bytes' order, which a file may begin with
    end, empty, more = 0, True, True
    while more:
        raw = file.read(size)
        if b"\0" in raw:
            at = end + raw.index(0)
            raise InputError(f"{path} is binary (a zero byte at {at}), where text is needed")
        end, empty, more = end + len(raw), empty and not raw.strip(), bool(raw)
        try:
            text = decoder.decode(raw, final=not more)
        except UnicodeDecodeError as error:
            # The decoder's object ends where the block does, and may begin in the one before.
            byte, at = error.object[error.start], end - len(error.object) + error.start
            raise InputError(
                f"{path} is not UTF-8 text (byte 0x{byte:02x} at {at}); convert it first"
            ) from error
        if text:
            yield text.removeprefix(mark)
            mark = ""
    if empty:
        raise InputError(f"{path} is empty")


class Piece(NamedTuple):
    """A part of a text that begins and ends within no token."""

    text: str
    line: int
    """The number of its first line, counted from 1."""


def pieces(level: str, text: Iterable[str]) -> Iterator[Piece]:
    """A text in blocks, cut so that the tokens of its pieces are the tokens of the text."""
    line = 1
    for whole in _WHOLE[level](text):
        yield Piece(whole, line)
        line += whole.count("\n")


def _whole_words(text: Iterable[str]) -> Iterator[str]:
    """The same text, where a word that goes on in the next block is left to that."""
    rest = ""
    for block in text:
        found = rest + block
        ends = not found or found[-1].isspace()
        rest = "" if ends else found.rsplit(maxsplit=1)[-1]
        yield found[: len(found) - len(rest)]
    yield rest


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


def split_chars(text: str, line: int = 1) -> str:
    """Text -> its characters, which is what a text is a sequence of."""
    return text


def join_chars(tokens: Iterable[str]) -> str:
    """The inverse of `split_chars`."""
    return "".join(tokens)


def split_words(text: str, line: int = 1) -> list[str]:
    """Text -> its words, with `END_OF_LINE` where a line ends; `line` is the number of its first.

    Raises:
        InputError: `END_OF_LINE` is one of the words.
    """
    if END_OF_LINE in text and (number := line_of(END_OF_LINE, text, "word")):
        raise InputError(
            f"line {line + number - 1} has the word {END_OF_LINE}, which stands for the end of a "
            "line, of which every line has one by itself; delete it there, or write it in another "
            "way"
        )
    return text.replace("\n", f" {END_OF_LINE} ").split()


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


SPLIT: dict[str, Callable[..., Sequence[str]]] = {"char": split_chars, "word": split_words}
JOIN = {"char": join_chars, "word": join_words}
_WHOLE: dict[str, Callable[[Iterable[str]], Iterable[str]]] = {"char": iter, "word": _whole_words}
