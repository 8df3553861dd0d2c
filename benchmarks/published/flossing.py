"""Gradient flossing on delayed tasks: `python -m benchmarks.published.flossing`.

Engelken (NeurIPS 2023): a vanilla RNN learns to say the bit of d steps ago, or whether those of d
and d / 2 steps ago differ, from random weights or from those that flossing made of them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from tqdm import tqdm

import rnn_jax as rnn
from benchmarks.published.measured import Measured, main

TASKS: dict[str, Callable[[int], tuple[int, ...]]] = {
    "delayed copy": lambda d: (d,),
    "delayed XOR": lambda d: (d // 2, d),
}
"""The delays of the task whose longest is d."""
COLOURS = "#000000", "#0072b2", "#d55e00"


class State(NamedTuple):
    """Of networks side by side: each leaf has them as its first axis."""

    params: rnn.Params
    opt_state: optax.OptState


Loss = Callable[[rnn.Params, jax.Array], jax.Array]
Descent = Callable[[State, jax.Array, int, int], State]


def network(settings: dict) -> rnn.Stack:
    """Bits -> a logit, by random weights whose gain is given."""
    hidden = settings["hidden"]
    gain = rnn.Normal(settings["gain"] / hidden**0.5)
    elman = rnn.Elman(1, hidden, input_init=rnn.Normal(1.0), recurrent_init=gain)
    return rnn.stack(elman, rnn.Dense(hidden, 1))


def flossing_of(settings: dict, cell: rnn.Cell) -> Loss:
    """How far the largest exponents are from zero while the network reads random bits."""
    options = settings["flossing"]

    def loss(params: rnn.Params, key: jax.Array) -> jax.Array:
        xs = jax.random.bernoulli(key, shape=(options["steps"], 1)).astype(jnp.float32)
        rest = {name: value for name, value in options.items() if name != "steps"}
        return rnn.analysis.flossing_loss(cell, params, xs, **rest)

    return loss


def answers(
    settings: dict, cell: rnn.Cell, params: rnn.Params, key: jax.Array, delays: tuple, batch: int
) -> tuple[jax.Array, jax.Array]:
    """Logits, and the bits that they should say."""
    length = settings["steps"] - max(delays)
    task = rnn.tasks.delayed_xor(key, length, batch, delays=delays)
    _, logits = rnn.unroll(cell, params, task.xs)
    return logits[-length:, :, 0], task.targets


def descent(loss: Loss, chain: optax.GradientTransformation) -> Descent:
    """`(state, keys, start, stop) -> state`: the updates of those numbers, of all networks."""

    def update(state: State, key: jax.Array, number: Any) -> State:
        gradient = jax.grad(loss)(state.params, jax.random.fold_in(key, number))
        updates, opt_state = chain.update(gradient, state.opt_state, state.params)
        return State(optax.apply_updates(state.params, updates), opt_state)

    @jax.jit
    def descend(state: State, keys: jax.Array, start: Any, stop: Any) -> State:
        all_of = jax.vmap(update, (0, 0, None))
        return lax.fori_loop(start, stop, lambda i, state: all_of(state, keys, i), state)

    return descend


def measure(settings: dict) -> Measured:
    """The accuracy of every task, delay and way to floss, of several networks."""
    cell = network(settings)
    draw, floss, learn, test = jax.random.split(jax.random.key(settings["seed"]), 4)
    many = settings["networks"]
    fresh = jax.vmap(cell.init)(jax.random.split(draw, many))
    adam = optax.adam(settings["learning_rate"])
    clipped = optax.chain(optax.clip_by_global_norm(settings["clip"]), adam)
    flossing = descent(flossing_of(settings, cell), adam)
    flosses, lessons = jax.random.split(floss, many), jax.random.split(learn, many)

    def flossed(params: rnn.Params, start: int, count: int) -> rnn.Params:
        state = State(params, jax.vmap(adam.init)(params))
        return flossing(state, flosses, start, start + count).params

    def accuracy(params: rnn.Params, key: jax.Array, delays: tuple) -> jax.Array:
        logits, targets = answers(settings, cell, params, key, delays, settings["tested"])
        return jnp.mean((logits > 0) == (targets == 1), dtype=jnp.float32)

    cases = [(task, delay) for task in TASKS for delay in settings["delays"]]
    bar = tqdm(total=len(cases) * len(settings["ways"]), unit="case")
    rows = {(task, way): {} for task in TASKS for way in settings["ways"]}
    beginnings = {
        way: flossed(fresh, 0, plan.get("0", 0)) for way, plan in settings["ways"].items()
    }
    for task, delay in cases:
        delays = TASKS[task](delay)

        def loss(params: rnn.Params, key: jax.Array, delays: tuple = delays) -> jax.Array:
            logits, targets = answers(settings, cell, params, key, delays, settings["batch"])
            return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, targets))

        learning = descent(loss, clipped)
        tested = jax.jit(jax.vmap(lambda params, key, d=delays: accuracy(params, key, d)))
        for way, plan in settings["ways"].items():
            state = State(beginnings[way], jax.vmap(clipped.init)(fresh))
            done, before = 0, plan.get("0", 0)
            for number, count in sorted(
                (int(at), count) for at, count in plan.items() if at != "0"
            ):
                state = learning(state, lessons, done, number)
                state = state._replace(params=flossed(state.params, before, count))
                done, before = number, before + count
            state = learning(state, lessons, done, settings["updates"])
            found = 100 * np.asarray(tested(state.params, jax.random.split(test, many)), float)
            rows[task, way][f"d = {delay}"] = found.round(2).tolist()
            bar.write(f"{task}, {delay}, {way}: {found.round(1)}")
            bar.update()
    bar.close()
    named = [
        {"by": f"{task}, {way}", "on": "new sequences", **figures}
        for (task, way), figures in rows.items()
    ]
    return Measured(named, [])


def draw(figure: Any, result: dict) -> None:
    """A panel a task: accuracy against delay, a line a way, a point a network."""
    settings = result["settings"]
    figure.set_size_inches(9, 4)
    panels = figure.subplots(1, len(TASKS), sharey=True)
    for axes, task in zip(panels, TASKS, strict=True):
        for i, (way, colour) in enumerate(zip(settings["ways"], COLOURS, strict=False)):
            (row,) = [row for row in result["rows"] if row["by"] == f"{task}, {way}"]
            values = np.array([row[f"d = {delay}"] for delay in settings["delays"]])
            moved = np.array(settings["delays"]) + 0.6 * (i - 1)
            axes.plot(moved, np.median(values, 1), color=colour, label=way)
            axes.plot(moved, values, "o", color=colour, ms=4, alpha=0.6, mew=0)
        axes.axhline(50, color="grey", lw=1, ls=":")
        axes.set(title=task, xlabel="delay d, steps")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("accuracy in percent")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)


if __name__ == "__main__":
    main(measure, draw, __doc__)
