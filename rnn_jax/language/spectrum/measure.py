"""The analyses of a run, at sizes that take an LSTM of 256 units about a minute on two cores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from tqdm import tqdm

import rnn_jax as rnn
from rnn_jax.language.corpus import Corpus
from rnn_jax.language.learner import Learner
from rnn_jax.language.model import cross_entropy
from rnn_jax.language.spectrum.names import by_layer
from rnn_jax.language.spectrum.reading import Reading, read

ALL = 256
"""The largest carry of which all singular values are found: some ten seconds, and eight times as
many for twice the size."""
DIRECTIONS = 64
"""How many of them are found of a larger carry, and how many exponents of any."""
TOLERANCE = 1e-3
"""The largest singular values are right to about a thousandth, finer than a picture shows: with
neighbours as near as those of short lags, every digit costs as much again."""
LONGER = 4
"""The Lyapunov exponents are an average over time, so they read so many times more text."""
EVERY = 4
"""Steps between two QRs: exact as long as the directions stay apart within so few steps."""


class Findings(NamedTuple):
    """What the analyses found."""

    reading: Reading
    numbers: int
    """In the carry of one sequence."""
    map: rnn.analysis.GradientMap
    horizon: int
    spectrum: rnn.analysis.GradientSpectrum | rnn.analysis.LeadingSpectrum
    lyapunov: rnn.analysis.LyapunovSpectrum
    saturated: np.ndarray
    """`(nonlinearities,)`: the share of saturated units, the mean over steps."""
    matrices: dict[str, rnn.analysis.Normality]


def measure(
    learner: Learner, params: rnn.Params, corpus: Corpus, streams: int, length: int
) -> Findings:
    """Run all analyses, with a bar on a terminal that says which.

    Args:
        learner: the network, without its numbers.
        params: its params.
        corpus: the text; its validation part is read.
        streams: how many pieces of it are read side by side.
        length: how many tokens a piece has.
    """
    model = learner.model
    available = len(corpus.validation)
    reading = read(model, params, corpus, streams, length)
    # One stream: each would cost as much again.
    long = read(model, params, corpus, 1, min(LONGER * length, available))
    first = _stream(reading, 0)
    size = rnn.analysis.flatten_carry(model, params, first.carry).shape[-1]
    count = min(size, DIRECTIONS)

    def spectrum() -> Any:
        lags = sorted({*(2**n for n in range(length.bit_length()) if 2**n <= length), length})
        if size <= ALL:
            return rnn.analysis.gradient_spectrum(model, params, first.xs, first.carry, lags=lags)
        return rnn.analysis.leading_gradient_spectrum(
            model, params, first.xs, first.carry, k=count, lags=lags, tolerance=TOLERANCE
        )

    def lyapunov() -> Any:
        one = _stream(long, 0)
        return rnn.analysis.lyapunov_spectrum(
            model,
            params,
            one.xs,
            one.carry,
            k=count,
            warmup_q=len(one.xs) // 8,
            every=EVERY,
        )

    def gradients() -> Any:
        analysis = jax.jit(
            lambda params, xs, targets, carry: rnn.analysis.gradient_map(
                model, params, xs, carry, loss=cross_entropy, targets=targets
            )
        )
        return analysis(params, reading.xs, reading.targets, reading.carry)

    def saturated() -> Any:
        share = jax.jit(lambda *given: rnn.analysis.saturated_share(model, *given))
        return share(params, reading.xs, reading.carry).mean(-1)

    def matrices() -> Any:
        found = rnn.analysis.recurrent_matrices(model, params)
        names = by_layer(found)
        return {names[name]: rnn.analysis.normality(w) for name, w in found.items()}

    stages: dict[str, Callable[[], Any]] = {
        "gradient map": gradients,
        "singular values": spectrum,
        "Lyapunov exponents": lyapunov,
        "saturation": saturated,
        "eigenvalues": matrices,
    }
    found = {}
    with tqdm(
        total=len(stages),
        bar_format="{percentage:3.0f}%|{bar}| {desc} [{elapsed}]",
        dynamic_ncols=True,
        disable=None,
    ) as bar:
        for name, stage in stages.items():
            bar.set_description_str(name)
            found[name] = jax.block_until_ready(stage())
            bar.update()
    return Findings(
        reading,
        size,
        found["gradient map"],
        int(rnn.analysis.memory_horizon(found["gradient map"].by_lag)),
        found["singular values"],
        found["Lyapunov exponents"],
        np.asarray(found["saturation"]),
        found["eigenvalues"],
    )


def _stream(reading: Reading, number: int) -> Reading:
    return Reading(
        reading.xs[:, number],
        reading.targets[:, number],
        jax.tree.map(lambda leaf: leaf[number], reading.carry),
    )
