"""Grapheme to phoneme on CMUdict: how words are spoken, from how they are written.

The folder has one file with `train` in its name, of lines WORD<tab>PHONES; a word may have several
lines, a file may be gzipped. A file for --test is of that form.
"""

import gzip
from pathlib import Path

import jax

import rnn_jax as rnn
from benchmarks.published.harness import Problem, main
from benchmarks.published.scores import error_rates
from benchmarks.published.translation import epochs, translator
from rnn_jax.language.errors import InputError

Spoken = dict[str, list[list[str]]]
"""Each word with its pronunciations."""


def build(data: Path, settings: dict, seed: int) -> Problem:
    """Every n-th word, by the order of the file, is for development, with all that it has."""
    words = read(training_file(data))
    every = settings["development, every"]
    held_out = dict(list(words.items())[every - 1 :: every])
    pairs = [(word, said) for word, own in words.items() if word not in held_out for said in own]
    model = translator(pairs, settings)

    def score(params: rnn.Params, asked: Spoken, width: int) -> dict[str, float]:
        said = model.translate(
            params,
            list(asked),
            settings["longest"],
            width=width,
            length_penalty=settings["length penalty"],
        )
        return error_rates(said, list(asked.values()))

    return Problem(
        model.model.init(jax.random.key(seed)),
        model.loss,
        epochs(model, pairs, settings["batch"], settings["buckets"]),
        lambda params: score(params, held_out, 1)["WER"],
        lambda params, file: score(params, read(file) if file else held_out, settings["beam"]),
    )


def training_file(folder: Path) -> Path:
    """The one file that has `train` in its name."""
    found = sorted(folder.glob("*train*"))
    if len(found) != 1:
        raise InputError(f"{folder} must have one file with train in its name, has {len(found)}")
    return found[0]


def read(path: Path) -> Spoken:
    """The words of a file, in its order, each with what is said for it."""
    words: Spoken = {}
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            word, tab, phones = line.rstrip("\n").partition("\t")
            if not tab or not phones.split():
                raise InputError(f"{path}, line {number}: expected WORD<tab>PHONES, got {line!r}")
            words.setdefault(word, []).append(phones.split())
    return words


if __name__ == "__main__":
    main(build, __doc__)
