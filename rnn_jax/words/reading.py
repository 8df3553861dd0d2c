"""Files of word vectors, as word2vec, GloVe, fastText and gensim write them."""

import dataclasses
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from rnn_jax.arguments.settings import short
from rnn_jax.errors import ArgumentError

_GZIP = b"\x1f\x8b"
_BLOCK = 2**20
_LOOK = 2**12  # bytes that tell text from numbers
_WIDEST = 2**16  # numbers a word; more, and the header is none
_CONTROL = bytes({*range(32), 127} - set(b"\t\n\r"))
# The rows of a file: a word and its numbers, as text or as bytes, and where they stand.
_Rows = Iterator[tuple[bytes, bytes, str]]


@dataclasses.dataclass(frozen=True, eq=False)
class WordVectors:
    """Words and a vector for each.

    Raises `ArgumentError` where there is not one row of numbers a word.
    """

    words: tuple[str, ...]
    """In the order of the file, which for most is that of how often they occur."""
    vectors: np.ndarray
    """`(N, features)` float32: a row a word."""

    def __post_init__(self) -> None:
        """Refuse rows that are not those of the words."""
        shape: tuple[int, ...] = getattr(self.vectors, "shape", ())
        if len(shape) != 2 or shape[0] != len(self.words):
            raise ArgumentError(
                f"WordVectors: vectors must be an array of a row for each of the {len(self.words)} "
                f"words, got {short(self.vectors)}."
            )


def read_vectors(path: str | Path, words: Iterable[str] | None = None) -> WordVectors:
    r"""Read a file of word vectors; of which kind it is, its first bytes say.

    =============== ==================================================== =======================
    kind            first line                                           then, for each word
    =============== ==================================================== =======================
    word2vec text   how many words, how many numbers each                `word 0.1 -2.3 ...`
    word2vec binary the same                                             the word, a space, then
                                                                         float32s, little-endian
    GloVe text      that of the first word                               `word 0.1 -2.3 ...`
    =============== ==================================================== =======================

    Each may be compressed by gzip. fastText's `.vec` files are word2vec text; what
    `KeyedVectors.save_word2vec_format` of gensim writes is one of the first two. A word of GloVe
    may have spaces in it. Of a word that the file has twice, the first vector counts. UTF-8; what
    is not, in a word that is not asked for by name, is read as U+FFFD.

    Sources: Mikolov et al., Efficient estimation of word representations in vector space, 2013,
    and its code; Pennington, Socher & Manning, GloVe, EMNLP 2014, and its code.

    Args:
      path: The file.
      words: Which ones to keep; all if None. Read one after the other, so that of a file larger
        than memory what is kept must fit alone.

    Raises:
      ArgumentError: The file cannot be read, is broken, or holds no such vectors; the message says
        in which line or at which word.

    >>> import tempfile, rnn_jax as rnn
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     file.write(b"the 0.5 1.0\ncat -1.0 0.25\n")
    ...     file.flush()
    ...     found = rnn.words.read_vectors(file.name)
    26
    >>> found.words, found.vectors.tolist()
    (('the', 'cat'), [[0.5, 1.0], [-1.0, 0.25]])
    """
    if not isinstance(path, str | Path):
        raise ArgumentError(f"read_vectors: path must be that of a file, got {path!r}.")
    if isinstance(words, str):
        raise ArgumentError(
            f"read_vectors: words must be several words, got one text, {words!r}; split it first."
        )
    wanted = None if words is None else {word.encode(): word for word in words}
    found: dict[str, np.ndarray] = {}
    try:
        with open(path, "rb") as raw:
            zipped = raw.read(len(_GZIP)) == _GZIP
            raw.seek(0)
            file: Any = io.BufferedReader(gzip.GzipFile(fileobj=raw)) if zipped else raw
            width, parse, rows = _opened(path, file)
            for name, numbers, where in rows:
                word = name.decode(errors="replace") if wanted is None else wanted.get(name)
                if word is not None and word not in found:
                    found[word] = _vector(path, parse, numbers, width, where)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ArgumentError(f"{path} is broken: it cannot be unpacked, {error}.") from error
    except OSError as error:
        raise ArgumentError(f"cannot read {path}: {error.strerror or error}.") from error
    vectors = np.stack([*found.values()]) if found else np.zeros((0, width), np.float32)
    return WordVectors(tuple(found), vectors)


def _opened(path: str | Path, file: IO[bytes]) -> tuple[int, Any, _Rows]:
    """How many numbers each word has, what makes them of bytes, and the rows."""
    first = file.readline(_BLOCK)
    header = first.split()
    if len(header) == 2 and all(part.isdigit() for part in header):
        count, width = map(int, header)
        if not 0 < width < _WIDEST:
            raise ArgumentError(
                f"{path}, line 1: a word must have from 1 to {_WIDEST - 1} numbers, got {width}."
            )
        look = file.read(_LOOK)
        rest = _Again(look, file)
        if _is_text(look) or _is_row(look.split(b"\n")[0], width):
            return width, _of_text, _lines(path, rest, width, 2, count)
        return width, _of_bytes, _records(path, rest, width, count)
    width = len(header) - 1
    if not _is_row(first, width):
        raise ArgumentError(
            f"{path} holds no word vectors: its first line is neither a header, as `3000 100`, nor "
            "a word and its numbers."
        )
    return width, _of_text, _lines(path, _Again(first, file), width, 1, None)


class _Again:
    """A file, with what was read of it in front again."""

    def __init__(self, seen: bytes, file: IO[bytes]) -> None:
        self._seen, self._file = seen, file

    def read(self, size: int) -> bytes:
        seen, self._seen = self._seen, b""
        return seen + self._file.read(size)

    def __iter__(self) -> Iterator[bytes]:
        """The lines, each with its end."""
        open_line = b""
        while block := self.read(_BLOCK):
            *lines, open_line = (open_line + block).split(b"\n")
            yield from (line + b"\n" for line in lines)
        if open_line:
            yield open_line


def _is_text(look: bytes) -> bool:
    """Whether bytes are text: UTF-8, but for a last character that is cut, without controls."""
    try:
        look.decode()
    except UnicodeDecodeError as error:
        if error.end < len(look) or error.reason != "unexpected end of data":
            return False
    return look.translate(None, _CONTROL) == look


def _is_row(line: bytes, width: int) -> bool:
    """Whether a line is a word and its numbers, in whatever encoding."""
    _, *numbers = _parts(line, width)
    try:
        return bool(numbers) and len(_of_text(b" ".join(numbers))) == width
    except ValueError:
        return False


def _parts(line: bytes, width: int) -> list[bytes]:
    """The word, which may have spaces, and its numbers; fewer where the line is none of a file."""
    return line.rstrip(b" \t\r\n").rsplit(b" ", width)


def _lines(path: str | Path, lines: Iterable[bytes], width: int, first: int, count: Any) -> _Rows:
    """The rows of a text, from line number `first` on; `count` of them, if that is known."""
    rows, blank = 0, None
    for number, line in enumerate(lines, first):
        name, *numbers = _parts(line, width)
        if not name and not numbers:
            blank = number
            continue
        where = f"{path}, line {number}"
        if len(numbers) != width or blank:
            at = f"{path}, line {blank}" if blank else where
            got = "none" if blank else f"{len(numbers)} numbers"
            raise ArgumentError(f"{at}: expected a word and {width} numbers, got {got}.")
        rows += 1
        yield name, b" ".join(numbers), where
    _check_count(path, rows, count)


def _records(path: str | Path, file: _Again, width: int, count: int) -> _Rows:
    """The rows of a binary file."""
    size, buffer, start = 4 * width, b"", 0
    for number in range(count):
        while True:
            end = buffer.find(b" ", start)
            if end >= 0 and end + 1 + size <= len(buffer):
                break
            more = file.read(_BLOCK) if end >= 0 or len(buffer) - start < _BLOCK else b""
            if not more:
                _check_count(path, number, count)
            buffer, start = buffer[start:] + more, 0
        # The original program ends a vector by a line break, and others do not.
        name = buffer[start:end].lstrip(b"\n")
        start = end + 1 + size
        yield name, buffer[end + 1 : start], f"{path}, word {number + 1}"


def _check_count(path: str | Path, rows: int, count: int | None) -> None:
    if count is not None and rows != count:
        raise ArgumentError(
            f"{path} is broken: its first line says that it has {count} words, and it has {rows}."
        )


def _of_text(numbers: bytes) -> np.ndarray:
    return np.array([float(number) for number in numbers.split(b" ")], np.float32)


def _of_bytes(numbers: bytes) -> np.ndarray:
    return np.frombuffer(numbers, "<f4").astype(np.float32)


def _vector(path: str | Path, parse: Any, numbers: bytes, width: int, where: str) -> np.ndarray:
    """The vector of a word; raises where a number is none, or not finite."""
    try:
        vector = parse(numbers)
    except ValueError:
        raise ArgumentError(
            f"{where}: expected a word and {width} numbers, got {numbers[:40]!r}."
        ) from None
    if not np.isfinite(vector).all():
        raise ArgumentError(f"{where}: the numbers of a word must be finite, and one is not.")
    return vector
