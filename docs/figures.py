"""Draw the picture of the README: `make figures`."""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import rnn_jax as rnn

STEPS, HIDDEN, SEEDS = 200, 128, 16
CELLS = {
    "Elman (tanh, orthogonal)": rnn.Elman,
    "IRNN (ReLU, identity)": rnn.IRNN,
    "GRU": rnn.GRU,
    "LSTM (forget bias 1)": rnn.LSTM,
}


def gradient_by_lag(cell: rnn.Cell) -> jax.Array:
    """Gradient norms of fresh networks reading noise, `(SEEDS, STEPS)`, over that at lag 0."""

    def fresh(key: jax.Array) -> jax.Array:
        k_params, k_xs = jax.random.split(key)
        params = cell.init(k_params, jnp.float64)
        xs = jax.random.normal(k_xs, (STEPS, 8, cell.input_size), jnp.float64)
        norms = rnn.analysis.gradient_by_lag(cell, params, xs, loss=lambda ys, _: ys.sum(-1))
        return norms / norms[0]

    # Not vmap: batched float64 matmuls of this size can wait forever in jaxlib 0.10.2 on 2 cores.
    return jax.lax.map(fresh, jax.random.split(jax.random.key(0), SEEDS))


def main() -> None:
    """One line a cell: the median over fresh networks, with the quartiles as a band."""
    jax.config.update("jax_enable_x64", True)
    plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for name, kind in CELLS.items():
        norms = gradient_by_lag(kind(16, HIDDEN))
        low, middle, high = jnp.quantile(norms, jnp.array([0.25, 0.5, 0.75]), axis=0)
        (line,) = axes.semilogy(middle, label=name)
        axes.fill_between(range(STEPS), low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set_xlabel("lag, steps back from the loss")
    axes.set_ylabel("gradient norm, relative to lag 0")
    axes.set_title(f"How far back the gradient reaches before training ({HIDDEN} hidden units)")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(Path(__file__).parent / "gradient_by_lag.png", dpi=120)


if __name__ == "__main__":
    main()
