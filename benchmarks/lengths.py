"""`python -m benchmarks.lengths`: what padding, bucketing and packing cost on real sentences."""

import argparse
import collections
import itertools
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

import rnn_jax as rnn
from benchmarks.report import RESULTS, about, spread, with_machine, write
from benchmarks.report import table as as_table
from benchmarks.timing import interleaved, quartiles
from rnn_jax import batching
from rnn_jax.language.text import END_OF_LINE, read_text
from rnn_jax.language.vocabulary import Vocabulary

Sentence = tuple[np.ndarray, np.ndarray]
"""Tokens and the tokens that follow them, both `(n,)`."""


def main() -> None:
    """Time the three ways, print the table, write both."""
    options = _options()
    found, classes = sentences(read_text(options.text), options.classes)
    if options.quick:
        found, options.hidden, options.repetitions = found[:500], 32, 3
    name = options.name or (options.text and Path(options.text).stem)
    name = name or f"the language reference of Python {platform.python_version()}"
    result = with_machine(
        text=f"{name}, {len(found):,} sentences",
        batch=options.batch,
        hidden=options.hidden,
        classes=classes,
        rows=measure(found, classes, options),
    )
    print(write(options.output, result, table))


def sentences(text: str, limit: int) -> tuple[list[Sentence], int]:
    """Each line that holds a word, as inputs and targets, and how many tokens there are."""
    lines = [[*line.split(), END_OF_LINE] for line in text.splitlines() if line.strip()]
    words = [END_OF_LINE, *itertools.chain(*lines)]
    vocabulary = Vocabulary.of(words, limit)
    ids = vocabulary.encode(words)
    ends = np.cumsum([len(line) for line in lines])[:-1]
    pairs = zip(np.split(ids[:-1], ends), np.split(ids[1:], ends), strict=True)
    return list(pairs), len(vocabulary)


def ways(
    found: list[Sentence], batch: int, buckets: int
) -> dict[str, Callable[[], Iterator[batching.Padded] | Iterator[batching.Packed]]]:
    """Each way to make the batches of an epoch. The first is what the others are compared with."""
    longest = max(len(inputs) for inputs, _ in found)
    rng = np.random.default_rng(0)
    return {
        "padding": lambda: batching.bucket(found, [longest], batch, rng),
        f"{buckets} buckets": lambda: batching.bucket(found, buckets, batch, rng),
        "packing": lambda: batching.pack(found, longest, batch, rng),
    }


def training_step(classes: int, hidden: int) -> tuple[Callable, rnn.Params]:
    """Value and gradient of a language model's loss, for a batch of any kind; and params."""
    model = rnn.stack(
        rnn.Embedding(classes, hidden // 2),
        rnn.LSTM(hidden // 2, hidden),
        rnn.Dense(hidden, classes),
    )

    def loss(params: rnn.Params, batch: batching.Padded | batching.Packed) -> jax.Array:
        inputs, targets = batch.xs
        _, ys = rnn.unroll(model, params, inputs, **batch.marks)
        losses = optax.softmax_cross_entropy_with_integer_labels(ys, targets)
        return jnp.sum(losses, where=batch.mask)

    return jax.value_and_grad(loss), model.init(jax.random.key(0))


def measure(found: list[Sentence], classes: int, options: argparse.Namespace) -> list[dict]:
    """A row for each way. An epoch takes the time of each shape times its number of batches."""
    f, params = training_step(classes, options.hidden)
    tokens = sum(len(inputs) for inputs, _ in found)
    rows, calls, counts = [], {}, {}
    for way, make in (bar := tqdm(ways(found, options.batch, options.buckets).items())):
        bar.set_description(f"{way}: batches and compilations")
        start = time.perf_counter()
        batches = list(make())
        made = time.perf_counter() - start
        by_length = collections.defaultdict(list)
        for batch in batches:
            by_length[len(batch.xs[0])].append(batch)
        step = batching.jit_at_most(f, len(by_length))
        start = time.perf_counter()
        for length, own in by_length.items():
            call = _call(step, params, itertools.cycle(own))
            call()
            calls[way, length], counts[way, length] = call, len(own)
        rows.append(
            {
                "way": way,
                "lengths": sorted(by_length),
                "batches": len(batches),
                "tokens a batch": tokens / len(batches),
                "wasted": 1 - tokens / sum(batch.xs[0].size for batch in batches),
                "compilations": step._cache_size(),
                "seconds of first calls": time.perf_counter() - start,
                "seconds of the host": made,
            }
        )
    seconds = interleaved(calls, options.repetitions)
    epochs = [
        sum(counts[key] * seconds[key] for key in calls if key[0] == row["way"]) for row in rows
    ]
    for row, epoch in zip(rows, epochs, strict=True):
        row["tokens/s"] = quartiles(tokens / epoch)
        row["ratio"] = quartiles(epochs[0] / epoch)
    return rows


def _call(step: Callable, params: rnn.Params, batches: Iterator) -> Callable[[], None]:
    return lambda: jax.block_until_ready(step(params, next(batches)))


def table(result: dict) -> str:
    """The result in Markdown."""
    network = ", ".join(f"{key} {result[key]}" for key in ("batch", "hidden", "classes"))
    head = ["batches by", "T", "wasted steps", "tokens a batch", "tokens/s", "faster"]
    head += ["compilations", "first calls, s", "host, s an epoch"]
    lines = [
        f"A training step (value and gradient) of Embedding, LSTM and Dense on {result['text']};",
        f"float32, {network}; {about(result)}.",
        "",
        "Tokens are those of sentences, each with the one that ends it; no padding is counted. An",
        "epoch takes the time of each shape, in turn with the others after a warm-up, times its",
        "number of batches: medians, with quartiles. First calls compile.",
        "",
    ]
    rows = []
    for row in result["rows"]:
        low, middle, high = row["tokens/s"]
        cells = [row["way"], ", ".join(map(str, row["lengths"])), f"{100 * row['wasted']:.1f}%"]
        cells += [f"{row['tokens a batch']:.0f}", f"{middle:,.0f} ({low:,.0f} to {high:,.0f})"]
        cells += [spread(row["ratio"], unit="x"), row["compilations"]]
        cells += [f"{row['seconds of first calls']:.1f}", f"{row['seconds of the host']:.1f}"]
        rows.append(cells)
    return "\n".join([*lines, *as_table(head, rows)]) + "\n"


def _options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lengths", description=__doc__)
    parser.add_argument("--text", help="one sentence a line; without one, a text of Python's own")
    parser.add_argument(
        "--name", help="what the results call the text; the file's name if left out"
    )
    parser.add_argument("--classes", type=int, default=512, help="rarer tokens are one")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--buckets", type=int, default=4)
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="500 sentences, a small network")
    parser.add_argument("--output", type=Path, default=RESULTS / "lengths")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
