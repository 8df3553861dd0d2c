"""Chunks of the Wall Street Journal: `python -m benchmarks.published.conll2000 DATA`.

DATA holds `train.txt.gz`, and for the settings that name them a file of word vectors, and the runs
of a forward and a backward language model.
"""

import contextlib
import functools
import gzip
import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import rnn_jax as rnn
from benchmarks.published.harness import Problem, main
from benchmarks.published.tagging import Sentence, problem
from benchmarks.published.texts import heard, spelled
from rnn_jax.language.commands import embed_runs
from rnn_jax.language.errors import InputError
from rnn_jax.language.run import Run
from rnn_jax.language.text import END_OF_LINE

Row = tuple[str, str, str]
"""A word, its part of speech, its chunk."""


def shape(word: str) -> str:
    """Where its capitals, letters, digits and signs are.

    >>> [shape(word) for word in ("September", "1,000", "near-record", "U.S.")]
    ['Aa', '0.0', 'a-a', 'A.A.']
    """
    kinds = [
        "A" if c.isupper() else "a" if c.isalpha() else "0" if c.isdigit() else c for c in word
    ]
    marks = [kind if kind in "Aa0-" else "." for kind in kinds]
    return "".join(mark for n, mark in enumerate(marks) if n == 0 or mark != marks[n - 1])


COLUMNS: dict[str, Callable[[str, str], str]] = {
    "word": lambda word, _: "".join("0" if c.isdigit() else c for c in word.lower()),
    "last 1": lambda word, _: word[-1:].lower(),
    "last 2": lambda word, _: word[-2:].lower(),
    "last 3": lambda word, _: word[-3:].lower(),
    "first 2": lambda word, _: word[:2].lower(),
    "first 3": lambda word, _: word[:3].lower(),
    "shape": lambda word, _: shape(word),
    "part of speech": lambda _, part: part,
}


def rows(path: Path) -> list[list[Row]]:
    """The sentences of a file, compressed or not: three things a line, an empty one in between."""
    opened = gzip.open if path.suffix == ".gz" else open
    found: list[list[Row]] = [[]]
    with opened(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            match line.split():
                case []:
                    found.append([])
                case [word, part, chunk]:
                    found[-1].append((word, part, chunk))
                case _:
                    raise InputError(
                        f"{path}, line {number} must be a word, its part of speech and its chunk, "
                        f"got {line.strip()!r}"
                    )
    return [own for own in found if own]


def word_vectors(path: Path, texts: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """Of each sentence `(n, F)`, out of a file; zeros for a word that it lacks."""
    wanted = {word for text in texts for word in map(heard, text) if word is not None}
    found = rnn.words.read_vectors(path, wanted)
    row = {word: index for index, word in enumerate(found.words)}
    table = np.concatenate([found.vectors, np.zeros_like(found.vectors[:1])]).astype(np.float16)
    return [table[[row.get(heard(word) or "", -1) for word in text]] for text in texts]


def contextual_vectors(folders: list[Path], texts: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """Of each sentence `(n, F)`: all layers of the models, side by side; zeros for punctuation.

    The models read one sentence after the other, as in training.
    """
    known = Run.open(str(folders[0])).vocabulary().ids
    read = [[heard(word) for word in text] for text in texts]
    with tempfile.TemporaryDirectory() as folder:
        text, out = Path(folder) / "text.txt", Path(folder) / "vectors.npz"
        with text.open("w", encoding="utf-8") as file:
            for own in read:
                print(*(spelled(word, known) for word in own if word is not None), file=file)
        with contextlib.redirect_stdout(io.StringIO()):
            embed_runs([str(path) for path in folders], str(text), str(out))
        with np.load(out) as found:
            layers = [found[name] for name in sorted(found) if name.startswith("layer_")]
            ends = found["ids"] == list(found["tokens"]).index(END_OF_LINE)
        vectors = np.concatenate(layers, axis=-1, dtype=np.float16, casting="same_kind")[~ends]
    rows = np.full(sum(map(len, read)), -1)
    there = [word is not None for own in read for word in own]
    rows[there] = np.arange(sum(there))
    vectors = np.concatenate([vectors, np.zeros_like(vectors[:1])])
    return [vectors[own] for own in np.split(rows, np.cumsum([*map(len, read)])[:-1])]


def read(data: Path, settings: dict, file: Path) -> list[Sentence]:
    """The sentences of a file with the columns and the vectors that the settings name."""
    found = rows(file)
    texts = [[word for word, _, _ in own] for own in found]
    sources = [word_vectors(data / name, texts) for name in settings["word vectors"]]
    if settings["language models"]:
        folders = [data / name for name in settings["language models"]]
        sources.append(contextual_vectors(folders, texts))
    sentences = []
    for index, own in enumerate(found):
        columns = [
            tuple(COLUMNS[c](word, part) for c in settings["columns"]) for word, part, _ in own
        ]
        vectors = [source[index] for source in sources]
        joined = np.concatenate(vectors, axis=-1) if vectors else None
        sentences.append(Sentence(columns, [chunk for _, _, chunk in own], joined))
    return sentences


def build(data: Path, settings: dict, seed: int) -> Problem:
    """Learn the chunks of `train.txt.gz`; every 8th sentence is for development.

    Of the others a share has labels, every so manyth.
    """
    found = read(data, settings, data / "train.txt.gz")
    learned = [own for n, own in enumerate(found) if (n + 1) % 8]
    every = round(1 / settings["labelled"])
    reader = functools.partial(read, data, settings)
    return problem(learned[::every], found[7::8], reader, settings, seed)


if __name__ == "__main__":
    main(build, __doc__)
