"""Chunks of the Wall Street Journal: `python -m benchmarks.published.conll2000 DATA`.

DATA holds `train.txt.gz`, and for the settings that name them a file of word vectors, and the runs
of a forward and a backward language model.
"""

import functools
import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import rnn_jax as rnn
from benchmarks.published.harness import Problem, main
from benchmarks.published.tagging import Sentence, problem
from benchmarks.published.texts import heard, spelled
from rnn_jax import batching
from rnn_jax.language.errors import InputError
from rnn_jax.language.learner import Learner, load_params
from rnn_jax.language.model import reader
from rnn_jax.language.run import Run
from rnn_jax.language.text import END_OF_LINE

Row = tuple[str, str, str]
"""A word, its part of speech, its chunk."""


TOGETHER = 16
"""Sentences that a language model reads in one go."""


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


def contextual_vectors(folder: Path, texts: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """Of each sentence `(n, F)`: all layers of a language model, side by side; zeros for signs.

    The model reads several sentences in one go, as in training.
    """
    run = Run.open(str(folder))
    config, vocabulary = run.config(), run.vocabulary()
    learner = Learner(config, len(vocabulary))
    stack, params = reader(learner.model, load_params(run, learner, None).params)

    @jax.jit
    def vectors(ids: jax.Array, lengths: jax.Array) -> jax.Array:
        _, layers = rnn.words.contextual_vectors(
            stack, params, ids, lengths=lengths, reverse=config.backward
        )
        return jnp.concatenate(layers, axis=-1).astype(jnp.float16)

    read = [[heard(word) for word in text] for text in texts]
    said = [[spelled(word, vocabulary.ids) for word in own if word is not None] for own in read]
    groups = [said[first : first + TOGETHER] for first in range(0, len(said), TOGETHER)]
    ids = [
        vocabulary.encode([END_OF_LINE, *(word for own in group for word in (*own, END_OF_LINE))])
        for group in groups
    ]
    parts = {}
    for batch in batching.bucket(ids, 4, 16):
        parts |= batch.split(vectors(batch.xs, batch.lengths))
    rows = iter(
        row
        for index in range(len(groups))
        for row in parts[index][ids[index] != vocabulary.ids[END_OF_LINE]]
    )
    nothing = np.zeros(parts[0].shape[-1], parts[0].dtype)
    return [np.stack([nothing if word is None else next(rows) for word in own]) for own in read]


def read(data: Path, settings: dict, file: Path) -> list[Sentence]:
    """The sentences of a file with the columns and the vectors that the settings name."""
    found = rows(file)
    texts = [[word for word, _, _ in own] for own in found]
    sources = [word_vectors(data / name, texts) for name in settings["word vectors"]]
    sources += [contextual_vectors(data / name, texts) for name in settings["language models"]]
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
