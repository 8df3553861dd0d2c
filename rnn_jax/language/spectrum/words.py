"""What the analyses found, as numbers for programs and in sentences for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnn_jax.analysis import entropy_rate, kaplan_yorke_dimension
from rnn_jax.language.config import Config
from rnn_jax.language.spectrum.measure import Findings
from rnn_jax.language.spectrum.names import TOKENS, matrix_name


def numbers(found: Findings, step: int) -> dict[str, Any]:
    """All results; a logarithm of zero is None, for JSON has no infinity."""
    exponents = found.lyapunov.exponents
    return {
        "step": step,
        "streams": found.reading.xs.shape[1],
        "length": found.reading.xs.shape[0],
        "carry_size": found.numbers,
        "horizon": found.horizon,
        "log_gradient_norm_by_lag": _finite(found.map.by_lag),
        "lags": found.spectrum.lags.tolist(),
        "log_singular_values": [_finite(values) for values in found.spectrum.log_values],
        "lyapunov_exponents": _finite(exponents),
        "lyapunov_steps": int(found.lyapunov.steps[-1]),
        "kaplan_yorke_dimension": float(kaplan_yorke_dimension(exponents)),
        "entropy_rate": float(entropy_rate(exponents)),
        "saturated_share": _finite(found.saturated),
        "recurrent_matrices": {
            name: {
                "spectral_radius": float(w.spectral_radius),
                "spectral_norm": float(w.spectral_norm),
                "departure_from_normality": float(w.departure),
            }
            for name, w in found.matrices.items()
        },
    }


def report(found: Findings, config: Config, step: int, pictures: dict[str, Path]) -> str:
    """The report, in Markdown."""
    token = TOKENS[config.level]
    length, streams = found.reading.xs.shape

    def section(title: str, text: str, *shown: str) -> str:
        links = [f"![{title}]({pictures[name].name})" for name in shown if name in pictures]
        return "\n\n".join([f"## {title}", text, *links])

    parts = [
        f"# What gradients do in this {config.cell}",
        f"{config.layers} x {config.hidden} units after {step} updates, reading {streams} pieces "
        f"of {length} {token}s of the validation text, each with a memory of the text before it. "
        f"That memory, the carry, is {found.numbers} numbers. Logarithms are natural; "
        "`spectrum.json` has all numbers.",
        section("How far back gradients reach", _reach(found, config), "gradient_by_lag"),
        section("Every loss and every step", _MAP, "gradient_map"),
        section("How changes are stretched", _stretch(found, token), "singular_values"),
        section("In the long run", _long_run(found, token), "lyapunov"),
        section("Saturation", _saturation(found)),
    ]
    if found.matrices:
        title = "The recurrent matrices"
        parts.append(section(title, _matrices(found, config.cell), "eigenvalues"))
    return "\n\n".join(parts) + "\n"


def summary(found: Findings, config: Config) -> str:
    """The two things to know, a line each."""
    reach = (
        f"95% of the gradient reaches back {_count(found.horizon, TOKENS[config.level])} or less"
    )
    if np.isneginf(found.map.by_lag).all():
        reach = "no loss has a gradient by the memory"
    return (
        f"{reach}\n"
        f"largest Lyapunov exponent {float(found.lyapunov.exponents[0]):.4f} nats per "
        f"{TOKENS[config.level]}"
    )


_MAP = (
    "A row is the loss at step t, a column the memory at step k; the mean over the pieces. A step "
    "up along a row is a moment at which older memory lost its hold; a row that is dark all along "
    "is a token that was foreseen, whose loss has little gradient at all."
)


def _reach(found: Findings, config: Config) -> str:
    token, by_lag = TOKENS[config.level], np.asarray(found.map.by_lag, np.float64)
    length = by_lag.size
    if np.isneginf(by_lag).all():
        return "No loss has a gradient by the memory: whatever it holds, the losses are the same."
    # The sum at a lag has as many terms as there are losses with so much text before them.
    mean = by_lag - np.log(length - np.arange(length))
    text = (
        f"Of the gradient of all losses by the memory, 95% goes back "
        f"{_count(found.horizon, token)} or less."
    )
    if np.isfinite(mean[0]):
        text += (
            f" The memory {_count(length - 1, token)} before a loss moves it "
            f"{_factor(mean[-1] - mean[0])} times as much as the memory just before it does, on "
            "the average."
        )
    if config.window < length:
        beyond = np.exp(by_lag[config.window :] - np.logaddexp.reduce(by_lag)).sum()
        text += (
            f" Training cuts the gradient after {_count(config.window, token)}, and "
            f"{beyond:.2g} of the whole lies beyond that."
        )
    return text


def _stretch(found: Findings, token: str) -> str:
    last, lag = np.asarray(found.spectrum.log_values[-1], np.float64), found.spectrum.lags[-1]
    most = f"the {last.size} largest" if last.size < found.numbers else f"all {last.size}"
    largest, median = last[0], np.quantile(last, 0.5, method="nearest")
    return (
        f"The singular values of the product of the Jacobians say how a small change of the memory "
        f"is stretched. Over {_count(int(lag), token)} the direction that is kept best comes out "
        f"{_factor(largest)} times as long, and the median of {most} {_factor(median)} times. "
        "Gradients on their way back are stretched by the same numbers."
    )


def _long_run(found: Findings, token: str) -> str:
    running = np.asarray(found.lyapunov.running, np.float64)[:, 0]
    exponents = np.asarray(found.lyapunov.exponents, np.float64)
    largest, wavering = running[-1], abs(running[-1] - running[len(running) // 2])
    text = (
        f"The largest Lyapunov exponent is {largest:.4f} nats per {token}, from "
        f"{_count(int(found.lyapunov.steps[-1]), token)}; their second half changed it by "
        f"{wavering:.4f}. "
    )
    if abs(largest) <= wavering:
        text += (
            "So it cannot be told from zero: small changes of the memory neither grow nor die out."
        )
    elif largest < 0:
        text += (
            f"Small changes of the memory die out, the slowest by a factor of e every "
            f"{_count(round(-1 / largest), token)}: two copies of the network that read the same "
            "text forget how they began."
        )
    else:
        text += (
            f"Small changes of the memory grow, by a factor of e every "
            f"{_count(round(1 / largest), token)}: the network is chaotic, and gradients over long "
            "lags explode."
        )
    dimension = kaplan_yorke_dimension(found.lyapunov.exponents)
    entropy = entropy_rate(found.lyapunov.exponents)
    partial = "at least " if dimension == exponents.size < found.numbers else ""
    return text + (
        f" The Kaplan-Yorke dimension of its attractor is {partial}{float(dimension):.2f}, its "
        f"entropy rate {float(entropy):.4f} nats per {token}, from the {exponents.size} largest "
        f"exponents of {found.numbers}."
    )


def _saturation(found: Findings) -> str:
    shares = found.saturated
    text = (
        f"{shares.mean():.1%} of the units are saturated at a time: the slope of their "
        "nonlinearity is less than a tenth of its steepest, and little gradient passes."
    )
    if shares.size > 1:
        each = ", ".join(f"{share:.1%}" for share in shares)
        text += f" By nonlinearity, in the order in which a step evaluates them: {each}."
    return text


def _matrices(found: Findings, cell: str) -> str:
    rows = [
        f"| {matrix_name(name, cell)} | {float(w.spectral_radius):.3f} | "
        f"{float(w.spectral_norm):.3f} | {float(w.departure):.3f} |"
        for name, w in found.matrices.items()
    ]
    text = (
        "The spectral radius is how powers of a matrix grow in the end, the spectral norm how much "
        "one step can stretch, and Henrici's departure is zero where the two are one. "
    )
    if any("," in matrix_name(name, cell) for name in found.matrices):
        text += "In a gated cell these act inside the gates, so they bound nothing by themselves. "
    header = ["| matrix | spectral radius | spectral norm | departure |", "|---|---|---|---|"]
    return text.strip() + "\n\n" + "\n".join(header + rows)


def _count(n: int, token: str) -> str:
    return f"{n} {token}" + ("" if n == 1 else "s")


def _factor(log: float) -> str:
    if log == -math.inf:
        return "0"
    return f"{math.exp(log):.2g}" if abs(log) < 10 else f"e^{log:.0f}"


def _finite(values: Any) -> list[float | None]:
    flat: Sequence[float] = np.asarray(values, np.float64).ravel().tolist()
    return [value if math.isfinite(value) else None for value in flat]
