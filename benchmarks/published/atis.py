"""Slots of questions about flights: `python -m benchmarks.published.atis DATA`."""

from pathlib import Path

from benchmarks.published.harness import Problem, main
from benchmarks.published.tagging import Sentence, problem
from rnn_jax.language.errors import InputError


def read(questions: Path) -> list[Sentence]:
    """The questions of `NAME.in`, a line each, with the slots of `NAME.out` beside it."""
    slots = questions.with_suffix(".out")
    words, tags = (
        [line.split() for line in path.read_text().splitlines()] for path in (questions, slots)
    )
    if [*map(len, words)] != [*map(len, tags)]:
        raise InputError(f"{questions} and {slots} must have as many words as slots in every line")
    return [
        Sentence([(word,) for word in own], said) for own, said in zip(words, tags, strict=True)
    ]


def build(data: Path, settings: dict, seed: int) -> Problem:
    """Learn the slots of a folder's `train.seq.in`; `valid.seq.in` is for development."""
    train, development = read(data / "train.seq.in"), read(data / "valid.seq.in")
    return problem(train, development, read, settings, seed)


if __name__ == "__main__":
    main(build, __doc__)
