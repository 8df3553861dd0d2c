"""SCAN: commands in a small English into the actions that they ask for (Lake & Baroni 2018).

The folder has a file of the name that the settings say, of lines `IN: command OUT: actions`, which
may be gzipped; so is a file for --test.
"""

import gzip
from pathlib import Path

import jax
import numpy as np

import rnn_jax as rnn
from benchmarks.published.harness import Problem, main
from benchmarks.published.translation import Pair, epochs, translator
from rnn_jax.language.errors import InputError

IN, OUT = "IN: ", " OUT: "


def build(data: Path, settings: dict, seed: int) -> Problem:
    """Development is a part at random, the same for all seeds, and whatever is longer."""
    pairs = read(data / settings["file"])
    short = [pair for pair in pairs if len(pair[1]) <= settings["most actions"]]
    longer = [pair for pair in pairs if len(pair[1]) > settings["most actions"]]
    order = np.random.default_rng(0).permutation(len(short))
    held = round(settings["development"] * len(short))
    development = [short[index] for index in order[:held]]
    training = [short[index] for index in order[held:]]
    model = translator(training, settings)

    def exact(params: rnn.Params, asked: list[Pair]) -> float:
        said = model.translate(
            params, [source for source, _ in asked], settings["longest"], width=1
        )
        right = [one == target for one, (_, target) in zip(said, asked, strict=True)]
        return 100 * sum(right) / len(right)

    def score(params: rnn.Params, file: Path | None) -> dict[str, float]:
        if file is not None:
            return {"exact match": exact(params, read(file))}
        found = {"exact match": exact(params, development)}
        return found | ({"exact match, longer": exact(params, longer)} if longer else {})

    return Problem(
        model.model.init(jax.random.key(seed)),
        model.loss,
        epochs(model, training, settings["batch"], settings["buckets"]),
        lambda params: 100 - exact(params, development),
        score,
    )


def read(path: Path) -> list[Pair]:
    """The commands of a file, each with its actions."""
    pairs = []
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            command, out, actions = line.removeprefix(IN).partition(OUT)
            if not line.startswith(IN) or not out:
                raise InputError(f"{path}, line {number}: expected IN: ... OUT: ..., got {line!r}")
            pairs.append((command.split(), actions.split()))
    return pairs


if __name__ == "__main__":
    main(build, __doc__)
