"""The commands: from the words of a command line to what they ask for."""

from __future__ import annotations

import contextlib
import functools
import json
import math
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from rnn_jax.language import plots
from rnn_jax.language.baselines import Baselines, baselines
from rnn_jax.language.comparison import compare
from rnn_jax.language.config import Config
from rnn_jax.language.corpus import Corpus, load_test, read
from rnn_jax.language.embed import Reader, embed
from rnn_jax.language.errors import InputError, RunError, reason
from rnn_jax.language.evaluate import Evaluation, evaluate_adapting, token_losses
from rnn_jax.language.files import write_whole
from rnn_jax.language.generate import filters_of, one_text, write
from rnn_jax.language.learner import Learner, load_params
from rnn_jax.language.mesh import Split, meet
from rnn_jax.language.model import count, reader
from rnn_jax.language.neural_cache import LARGEST, cached, recall
from rnn_jax.language.processes import from_first, is_first, mourned, same, together
from rnn_jax.language.report import report
from rnn_jax.language.run import Run
from rnn_jax.language.share import share
from rnn_jax.language.spectrum import pictures as pictures_of
from rnn_jax.language.spectrum import words
from rnn_jax.language.spectrum.measure import measure
from rnn_jax.language.train import Best, out_of_memory, train
from rnn_jax.language.vectors import first_table
from rnn_jax.language.workers import Workers


def start_run(config: Config, folder: str | None, workers: Workers) -> None:
    """Train a new run, in a folder of its own."""
    mesh = meet(workers)
    with mourned("start all of them again"):
        same("settings", config.without_places().to_json())
        corpora: list[Corpus] = []

        def create() -> str:
            run, corpus = _create(config, folder, mesh)
            corpora.append(corpus)
            return str(run.folder)

        created = from_first(create)
    _train(created, config, corpora, None, mesh)


def resume_run(folder: str, from_step: int | None, given: dict[str, Any], workers: Workers) -> None:
    """Go on with a run by its own config, but for the settings that are `given` anew."""
    mesh = meet(workers)
    with mourned(Run(Path(folder)).again):
        config = together(lambda: Run.open(folder).config().resumed(**given))
        same("settings", config.without_places().to_json())
    _train(folder, config, [], from_step, mesh)


def _create(config: Config, folder: str | None, mesh: Mesh) -> tuple[Run, Corpus]:
    texts = read(config)
    vocabulary = texts.vocabulary()
    learner = Learner(config, len(vocabulary))
    learner.check_memory()
    Split(learner, mesh)  # which says what does not divide
    table = None
    if config.vectors is not None:
        table, known = first_table(config, vocabulary)
        print(f"{config.vectors} has {known:,} of the {len(table):,} tokens", flush=True)
    run = Run.create(folder, config, texts.digest, vocabulary, table)
    return run, texts.corpus(vocabulary, run.room)


def sample_run(
    folder: str,
    step: int | None,
    prompt: str,
    length: int,
    seed: int,
    samples: int,
    choice: dict[str, Any],
) -> None:
    """Print what a run's model writes; `choice` says how each token is chosen."""
    chosen = filters_of(**choice)
    run = Run.open(folder)
    config, vocabulary = run.config(), run.vocabulary()
    learner = Learner(config, len(vocabulary))
    params = load_params(run, learner, step).params
    texts = write(learner.model, params, vocabulary, config, prompt, length, chosen, seed, samples)
    print(one_text(texts))


def evaluate_run(
    folder: str,
    split: str,
    step: int | None,
    adapt: float | None,
    cache: int | None,
    given: dict[str, Any],
) -> None:
    """Print the perplexity of a run's model.

    With `adapt` as well that of one that learns while it reads, with `cache` that of one that
    looks up what followed so many of its last states. `given` says where the text lies now, if it
    was moved.
    """
    if adapt is not None and not 0 < adapt < math.inf:
        raise InputError(f"--adapt must be a positive number, got {adapt}")
    if cache is not None and not 0 < cache <= LARGEST:
        raise InputError(f"--cache must be from 1 to {LARGEST:,} states, got {cache}")
    run = Run.open(folder)
    config = run.config().resumed(**given)
    corpus = run.corpus(config)
    if split == "test":
        pairs = load_test(config, corpus.vocabulary, run.room)
    else:
        pairs = corpus.split(split)
    learner = Learner(config, len(corpus.vocabulary))
    loaded = load_params(run, learner, step)
    losses = token_losses(learner.model, loaded.params, *pairs)
    found = Evaluation.of(losses)
    if not math.isfinite(found.loss):
        raise RunError(
            f"the {split} loss is {found.loss}, from token {np.isfinite(losses).argmin()} on: the "
            f"model of step {loaded.step} has left what float32 can hold; an earlier one, by "
            "--step, may be sound"
        )
    print(
        f"{split} perplexity {found.perplexity:.4f} over {found.tokens} tokens, "
        f"step {loaded.step}{loaded.chosen}"
    )
    print(f"loss {found.loss:.6f} nats, {found.bits:.6f} bits per token")
    if adapt is not None:
        found = evaluate_adapting(
            learner.model, loaded.params, *pairs, config.window, adapt, config.clip
        )
        if not math.isfinite(found.loss):
            raise RunError(f"with --adapt {adapt} the loss is {found.loss}: try a smaller one")
        print(
            f"with dynamic evaluation, --adapt {adapt}: {split} perplexity {found.perplexity:.4f} "
            f"over the same {found.tokens} tokens, loss {found.loss:.6f} nats"
        )
    tuned = None
    if split == "test":
        validation = corpus.split("validation")
        tuned = validation, token_losses(learner.model, loaded.params, *validation)
    if cache is not None:
        look_up = functools.partial(recall, learner.model, loaded.params, size=cache)
        both = cached(
            np.exp(-losses), look_up(*pairs), tuned and (np.exp(-tuned[1]), look_up(*tuned[0]))
        )
        print(
            f"with a cache, --cache {cache}: {split} perplexity {both.perplexity:.4f} over the "
            f"same {len(losses)} tokens, {both.weight:.2f} network + "
            f"{1 - both.weight:.2f} cache of sharpness {both.sharpness:g}"
        )
    if split == "train":  # counts know their own text by heart
        return
    for name, value in compare(corpus, pairs, losses, tuned).rows().items():
        print(f"{name}: perplexity {value:.4f}")


def embed_runs(folders: list[str], text: str, out: str) -> None:
    """Write the vectors that one run, or a forward and a backward one, have of each token."""
    runs = [Run.open(folder) for folder in folders]
    configs = [run.config() for run in runs]
    vocabulary = runs[0].vocabulary()
    _check_both(runs, configs)
    readers = []
    for run, config in sorted(zip(runs, configs, strict=True), key=lambda pair: pair[1].backward):
        learner = Learner(config, len(vocabulary))
        stack, params = reader(learner.model, load_params(run, learner, None).params)
        readers.append(Reader(stack, params, config.backward))
    path = Path(out)
    try:
        tokens, *widths = embed(readers, vocabulary, configs[0].level, text, path)
    except OSError as error:
        raise RunError(f"cannot write {out}: {reason(error)}") from error
    shapes = ", ".join(f"layer_{n} {tokens} x {width}" for n, width in enumerate(widths))
    print(f"{out}: {shapes}")


def _check_both(runs: list[Run], configs: list[Config]) -> None:
    """Raise where these are not one run, or two that read one text from either end."""
    if len(runs) == 1:
        return
    if len(runs) > 2 or configs[0].backward == configs[1].backward:
        ways = ", ".join("backward" if config.backward else "forward" for config in configs)
        raise InputError(
            f"embed takes one run, or a forward and a backward one (train --backward), got {ways}"
        )
    one, two = (run.folder for run in runs)
    if runs[0].vocabulary() != runs[1].vocabulary() or configs[0].level != configs[1].level:
        raise InputError(
            f"{one} and {two} have not the same tokens; train both on the same text, with the same "
            "--level and --max-words"
        )
    if configs[0].layers != configs[1].layers:
        raise InputError(
            f"{one} has --layers {configs[0].layers}, and {two} {configs[1].layers}; both must "
            "have the same, for their vectors stand side by side"
        )


def spectrum_run(
    folder: str, step: int | None, streams: int, length: int, given: dict[str, Any]
) -> None:
    """Analyse the gradients of a run's model; numbers, pictures and a report in its folder.

    `given` says where the text lies now, if it was moved.
    """
    for option, value, least in (("--batch", streams, 1), ("--length", length, 2)):
        if value < least:
            raise InputError(f"{option} must be at least {least}, got {value}")
    run = Run.open(folder)
    config = run.config().resumed(**given)
    corpus = run.corpus(config)
    learner = Learner(config, len(corpus.vocabulary))
    loaded = load_params(run, learner, step)
    try:
        found = measure(learner, loaded.params, corpus, streams, length)
    except jax.errors.JaxRuntimeError as error:
        if not out_of_memory(error):
            raise
        raise RunError("not enough memory; make --batch or --length smaller") from error
    try:
        run.spectrum.mkdir(exist_ok=True)
        pictures = pictures_of.draw(found, config.cell, run.spectrum)
        numbers = json.dumps(words.numbers(found, loaded.step), indent=2, allow_nan=False)
        write_whole(run.spectrum / "spectrum.json", numbers + "\n")
        write_whole(run.spectrum / "README.md", words.report(found, config, loaded.step, pictures))
    except OSError as error:
        raise RunError(f"cannot write to {run.spectrum}: {reason(error)}") from error
    print(words.summary(found, config))
    if not pictures:
        print(plots.MISSING)
    print(f"all of it: {run.spectrum}")


def share_run(folder: str, out: str, step: int | None) -> None:
    """Write a run's model into a folder that `rnn_jax.load` reads, with its vocabulary."""
    run = Run.open(folder)
    config, vocabulary = run.config(), run.vocabulary()
    learner = Learner(config, len(vocabulary))
    loaded = load_params(run, learner, step)
    files = share(learner.model, loaded.params, config, vocabulary, Path(out))
    print(f"{out}: {', '.join(files)}; the model of step {loaded.step}{loaded.chosen}")


def _train(
    folder: str, config: Config, corpora: list[Corpus], from_step: int | None, mesh: Mesh
) -> None:
    """Train a run that is there; `corpora` has its text, if this process has read it already."""
    run = Run.open(folder, writes=is_first())
    with mourned(run.again), contextlib.ExitStack() as lock:
        together(lambda: lock.enter_context(run.locked()))
        corpus = together(lambda: corpora[0] if corpora else run.corpus(config))
        learner = Learner(config, len(corpus.vocabulary))
        together(learner.check_memory)
        counted = _baselines(corpus) if is_first() else None
        print(
            f"{config.cell}, {config.layers} x {config.hidden} units, "
            f"{count(learner.like().best):,} parameters; {len(corpus.train):,} tokens to learn "
            f"from, {len(corpus.validation):,} for validation, {len(corpus.vocabulary):,} "
            f"different ones\n{_devices(mesh)}run folder: {run.folder}",
            flush=True,
        )
        best = train(run, config, corpus, counted, from_step, mesh)
        # All wait for it: JAX takes a process that has left for one that is lost.
        together(lambda: _report(run, corpus, best) if is_first() else None)


def _report(run: Run, corpus: Corpus, best: Best) -> None:
    try:
        print(report(run, corpus, best))
    except OSError as error:
        raise RunError(f"cannot write to {run.folder}: {reason(error)}") from error


def _devices(mesh: Mesh) -> str:
    """What to say of more than one device."""
    if mesh.size == 1:
        return ""
    shape = ", ".join(f"{name} {size}" for name, size in mesh.shape.items())
    return f"{mesh.size} devices ({shape}) of {jax.process_count()} processes\n"


def _baselines(corpus: Corpus) -> Baselines:
    return baselines(corpus.train, *corpus.split("validation"), len(corpus.vocabulary))
