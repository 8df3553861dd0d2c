"""A picture a cell: how far back the gradient of one step's loss reaches before any training."""

import functools
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from matplotlib.figure import Figure

import rnn_jax

STEPS, BATCH, SEEDS = 64, 4, 8
ROOT = Path(__file__).parent.parent
KEPT = ROOT / "build" / "gradients"


def picture(cell: rnn_jax.Cell, beside: rnn_jax.Cell) -> bytes:
    """The PNG: as it was drawn, where neither the library nor this file has changed since."""
    KEPT.mkdir(parents=True, exist_ok=True)
    drawn = KEPT / f"{_digest(cell, beside)}.png"
    if not drawn.exists():
        drawn.write_bytes(draw(cell, beside))
    return drawn.read_bytes()


def draw(cell: rnn_jax.Cell, beside: rnn_jax.Cell) -> bytes:
    """The median over fresh networks, with the quartiles as a band; in grey that of another."""
    figure = Figure(figsize=(6, 2.6), layout="constrained")
    axes = figure.subplots()
    _, middle, _ = quartiles(beside)
    axes.semilogy(middle, color="0.6", label=type(beside).__name__)
    low, middle, high = quartiles(cell)
    (line,) = axes.semilogy(middle, label=type(cell).__name__)
    axes.fill_between(range(STEPS), low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set_xlabel("lag, steps back from the loss")
    axes.set_ylabel("gradient norm / at lag 0")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=120)
    return png.getvalue()


@functools.cache
def quartiles(cell: rnn_jax.Cell) -> np.ndarray:
    """Of the gradient's norm by the carry `lag` steps before, over that at lag 0: `(3, STEPS)`."""

    @jax.jit
    def fresh(key: jax.Array) -> jax.Array:
        k_params, k_xs = jax.random.split(key)
        xs = jax.random.normal(k_xs, (STEPS, BATCH, *cell.input.shape), jnp.float32)
        norms = rnn_jax.analysis.gradient_by_lag(
            cell, cell.init(k_params), xs, loss=lambda ys, _: ys.sum(-1)
        )
        return norms / norms[0]

    norms = [fresh(key) for key in jax.random.split(jax.random.key(0), SEEDS)]
    return np.quantile(jnp.stack(norms), [0.25, 0.5, 0.75], axis=0)


def _digest(*cells: Any) -> str:
    found = hashlib.sha256(f"{cells} {jax.__version__} {matplotlib.__version__}".encode())
    for path in _sources():
        found.update(path.read_bytes())
    return found.hexdigest()


def _sources() -> Iterator[Path]:
    yield Path(__file__)
    yield from sorted((ROOT / "rnn_jax").rglob("*.py"))
