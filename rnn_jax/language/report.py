"""What is left when a run is through: numbers, a sample, two pictures."""

from __future__ import annotations

import json
import textwrap
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import rnn_jax as rnn
from rnn_jax.language import plots
from rnn_jax.language.baselines import COUNTED
from rnn_jax.language.comparison import compare
from rnn_jax.language.corpus import Corpus
from rnn_jax.language.evaluate import token_losses
from rnn_jax.language.files import write_whole
from rnn_jax.language.generate import filters_of, write
from rnn_jax.language.learner import Learner
from rnn_jax.language.measures import bits, perplexity
from rnn_jax.language.model import count, cross_entropy
from rnn_jax.language.run import Run
from rnn_jax.language.train import Best

_SAMPLE_LENGTH = {"char": 1000, "word": 200}
_TEMPERATURE = 0.7
_SAMPLE_LINES = 8
_SAMPLE_WIDTH = 78


def report(run: Run, corpus: Corpus, best: Best) -> str:
    """Write report.json, sample.txt and the pictures; what to tell the user, in a few lines.

    It is about what validation found `best`.
    """
    params = best.params
    config = run.config()
    learner = Learner(config, len(corpus.vocabulary))
    pairs = corpus.split("validation")
    beside = compare(corpus, pairs, token_losses(learner.model, params, *pairs))
    by_lag = gradient_by_lag(learner, params, corpus)
    (sample,) = write(
        learner.model,
        params,
        corpus.vocabulary,
        config,
        prompt="",
        length=_SAMPLE_LENGTH[config.level],
        filters=filters_of(_TEMPERATURE),
        seed=config.seed,
    )
    numbers: dict[str, Any] = {
        "step": best.step,
        "validation_perplexity": perplexity(best.loss),
        "mixture_perplexity": beside.mixed.perplexity,
        "mixture_weight": beside.mixed.weight,
        "kneser_ney_perplexity": beside.counts.kneser_ney,
        "bigram_perplexity": beside.counts.bigram,
        "unigram_perplexity": beside.counts.unigram,
        "validation_loss": best.loss,
        "validation_tokens": len(corpus.validation),
        "train_tokens": len(corpus.train),
        "counted_tokens": min(len(corpus.train), COUNTED),
        "vocabulary": len(corpus.vocabulary),
        "parameters": count(params),
        "gradient_norm_by_lag": by_lag,
    }
    write_whole(run.report, json.dumps(numbers, indent=2) + "\n")
    write_whole(run.sample, sample.rstrip("\n") + "\n")
    pictures = plots.draw(run, run.metrics.read(), beside.counts, by_lag)
    names = {
        f"{config.cell} {config.hidden}": f"{perplexity(best.loss):8.2f}"
        + (f"   {bits(best.loss):.2f} bits per character" if config.level == "char" else ""),
        **{name: f"{value:8.2f}" for name, value in beside.rows().items()},
    }
    width = max(map(len, names))
    rows = "\n".join(f"  {name:<{width}} {value}" for name, value in names.items())
    excerpt = "\n".join(f"  {line}" for line in wrapped(sample.strip("\n"))[:_SAMPLE_LINES])
    return (
        f"validation perplexity over {len(corpus.validation)} tokens, the best at step "
        f"{best.step}\n{rows}\n"
        f"sample\n{excerpt}\n{pictures}\nall of it: {run.folder}"
    )


def wrapped(text: str) -> list[str]:
    """The lines of a text, the longer ones in pieces that a terminal of 80 columns shows."""
    # All that is in a line stays in it: its indentation and its runs of spaces are of the model.
    wrapper = textwrap.TextWrapper(
        _SAMPLE_WIDTH, expand_tabs=False, replace_whitespace=False, drop_whitespace=False
    )
    return [piece for line in text.splitlines() for piece in wrapper.wrap(line) or [""]]


def gradient_by_lag(learner: Learner, params: rnn.Params, corpus: Corpus) -> list[float]:
    """The gradient norm at lags 0, 1, ... up to twice the window, where the text is that long."""
    parts = corpus.split("train")[0], corpus.split("validation")[1]
    config = learner.config
    length = min(2 * config.window, (sum(map(len, parts)) - 1) // config.batch)
    # The end of the text: the validation part, where there is enough of it.
    tokens = length * config.batch + 1
    ids = np.concatenate([part[-tokens:] for part in parts])[-tokens:]
    xs, targets = (
        jnp.asarray(part.reshape(config.batch, length).T, jnp.int32) for part in (ids[:-1], ids[1:])
    )
    norms = jax.jit(
        lambda params, xs, targets: rnn.analysis.gradient_by_lag(
            learner.model, params, xs, loss=cross_entropy, targets=targets
        )
    )(params, xs, targets)
    return [float(norm) for norm in norms]
