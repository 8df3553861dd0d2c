"""Lyapunov spectra of random networks beside theory: `python -m benchmarks.published.lyapunov`.

`h' = (1 - s) h + s tanh(h J)` with `J_ij ~ N(0, g^2 / N)`: for a step s of 1 the vanilla RNN in
discrete time, for a small one Euler's steps of the rate network `dh/dt = -h + tanh(h J)`, whose
exponents are those of `dx/dt = -x + tanh(x) J`, for x = h J. `--config FILE` names another step.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

import rnn_jax as rnn
from benchmarks.published import rate_theory
from benchmarks.published.measured import Measured, main

PARTS = 100
"""In which the exponents of the picture are: the mean of each hundredth."""
COLOURS = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
MARKS = "os^D"


def spectrum(gain: float, size: int, network: int, settings: dict) -> np.ndarray:
    """All exponents of one network, in nats a unit of time, which is 1 / s steps."""
    step, key = settings["step"], jax.random.key(settings["seed"])
    weights, start = jax.random.split(jax.random.fold_in(jax.random.fold_in(key, size), network))
    cell = rnn.leaky(rnn.Elman(1, size), 1 - step)
    J = gain / size**0.5 * jax.random.normal(weights, (size, size), float)
    params = rnn.ElmanParams(jnp.zeros((1, size)), J, jnp.zeros(size))
    carry = rnn.ElmanCarry(jax.random.normal(start, (size,), float))
    warmup, warmup_q, counted = (
        round(settings[name] / step) for name in ("warmup", "warmup_q", "counted")
    )
    xs = jnp.zeros((warmup + warmup_q + counted, 1))
    found = rnn.analysis.lyapunov_spectrum(
        cell, params, xs, carry, warmup=warmup, warmup_q=warmup_q, every=settings["every"]
    )
    return np.asarray(found.exponents) / step


def figures(exponents: Any, size: int) -> dict[str, float]:
    """What a spectrum says, a unit of the network."""
    return {
        "largest": float(exponents[0]),
        "mean": float(np.mean(exponents)),
        "dimension / N": float(rnn.analysis.kaplan_yorke_dimension(exponents)) / size,
        "entropy rate / N": float(rnn.analysis.entropy_rate(exponents)) / size,
    }


def theory(gain: float, step: float) -> tuple[dict[str, float], np.ndarray | None]:
    """The figures of an infinite network and, where known, the exponents of each hundredth."""
    mean = {"mean": rate_theory.mean_exponent(gain, step)}
    if step < 1:
        return {"largest": rate_theory.largest_exponent(gain, step)} | mean, None
    fine = 100 * PARTS
    found = rnn.analysis.mean_field_lyapunov(gain, k=fine)
    known = figures(found.exponents, fine) | {"largest": float(found.largest)} | mean
    return known, np.asarray(found.exponents).reshape(PARTS, -1).mean(1)


def measure(settings: dict) -> Measured:
    """A row for the theory of each gain, and for each size; float64."""
    rows, curves = [], []
    networks = {int(size): many for size, many in settings["networks"].items()}
    bar = tqdm(total=len(settings["gains"]) * sum(networks.values()), unit="network")
    with jax.enable_x64(True):
        for gain in settings["gains"]:
            known, curve = theory(gain, settings["step"])
            rows.append({"by": f"g = {gain}, theory", "on": "infinite N"} | known)
            if curve is not None:
                curves.append({"gain": gain, "size": None, "exponents": _short(curve)})
            for size, many in networks.items():
                exponents = []
                for network in range(many):
                    exponents.append(spectrum(gain, size, network, settings))
                    bar.update()
                each = [figures(jnp.asarray(one), size) for one in exponents]
                together = {name: [one[name] for one in each] for name in each[0]}
                what = f"{many} networks" if many > 1 else "one network"
                rows.append({"by": f"g = {gain}, N = {size}", "on": what} | together)
                mean = np.mean(exponents, 0).reshape(PARTS, -1).mean(1)
                curves.append({"gain": gain, "size": size, "exponents": _short(mean)})
                bar.write(f"{rows[-1]}")
    bar.close()
    return Measured(rows, curves)


def _short(values: np.ndarray) -> list[float]:
    return [float(f"{value:.5g}") for value in values]


def draw(figure: Any, result: dict) -> None:
    """Exponents against i / N, a colour a gain, a mark a size, theory as lines; and their top."""
    gains, sizes = result["settings"]["gains"], list(result["settings"]["networks"])
    figure.set_size_inches(10, 4.5)
    panels = figure.subplots(1, 2)
    fractions = (np.arange(PARTS) + 0.5) / PARTS
    for axes, apart in zip(panels, (4, len(sizes)), strict=True):
        for curve in result["curves"]:
            colour = COLOURS[gains.index(curve["gain"])]
            if curve["size"] is None:
                axes.plot(fractions, curve["exponents"], color=colour, lw=1)
                continue
            at = sizes.index(str(curve["size"]))
            some = slice(at, None, apart)
            mark = {"marker": MARKS[at], "ms": 4, "ls": "", "mfc": "none", "mec": colour}
            axes.plot(fractions[some], curve["exponents"][some], **mark)
        axes.axhline(0, color="black", lw=0.8)
        axes.set(xlabel="i / N")
        axes.grid(alpha=0.3)
    for gain, colour in zip(gains, COLOURS, strict=False):
        panels[0].plot([], [], color=colour, label=f"g = {gain}")
    for size, mark in zip(sizes, MARKS, strict=False):
        panels[0].plot([], [], marker=mark, ls="", mfc="none", mec="black", label=f"N = {size}")
    if any(curve["size"] is None for curve in result["curves"]):
        panels[0].plot([], [], color="grey", lw=1, label="theory, infinite N")
    panels[0].set_ylabel("exponent, nats a unit of time")
    panels[0].legend(frameon=False, ncols=2)
    highest = max(curve["exponents"][0] for curve in result["curves"])
    panels[1].set(xlim=(0, 0.4), ylim=(-1.5 * highest, 1.1 * highest))


if __name__ == "__main__":
    main(measure, draw, __doc__)
