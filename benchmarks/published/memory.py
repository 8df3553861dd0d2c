"""Tasks of a long memory: `python -m benchmarks.published.memory --config FILE`.

Their data are drawn anew for every update. A batch is padded to the longest length there is, so
that one program learns from all of them, and says which steps have a loss: the last alone, where
the answer is due at the end, or every one.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import rnn_jax as rnn
from benchmarks.published.harness import Problem, main
from rnn_jax import analysis, tasks

FRESH = 2**31
"""Seeds from here on are those of sequences that no training sees."""
ROWS = 1000
"""Sequences that are scored side by side."""


class Task(NamedTuple):
    """What is read and said, and how an answer is judged."""

    draw: Callable[[jax.Array, int, int], Any]
    """`(key, length, batch_size)` -> a batch of `rnn_jax.tasks`."""
    reads: int
    says: int
    cost: Callable[[jax.Array, jax.Array], jax.Array]
    """`(ys, targets)` -> what each step costs, `(T, B)`."""
    wrong: Callable[[jax.Array, jax.Array], jax.Array]
    """The same, and 1 where the answer of a step is wrong."""
    at_the_end: bool
    """Whether the last step alone is asked for an answer."""
    figure: str
    """What the cost is called."""


class Batch(NamedTuple):
    """Some sequences of one length, behind which there is padding."""

    xs: jax.Array
    """`(T, B, D)`."""
    targets: jax.Array
    """`(T, B)`."""
    length: jax.Array
    """`()`: how many of the T steps are there."""


def squared(ys: jax.Array, targets: jax.Array) -> jax.Array:
    """Of one number a step."""
    return jnp.square(ys[..., 0] - targets)


def mistaken(ys: jax.Array, targets: jax.Array) -> jax.Array:
    """Whether another symbol than the right one is the likeliest."""
    return (ys.argmax(-1) != targets).astype(ys.dtype)


cross_entropy = optax.softmax_cross_entropy_with_integer_labels

# A sum is wrong, for Pascanu as for Hochreiter, where it is off by 0.04 or more.
TASKS = {
    "adding": Task(
        tasks.adding, 2, 1, squared, lambda ys, t: 1.0 * (squared(ys, t) > 0.04**2), True, "MSE"
    ),
    "temporal order": Task(
        tasks.temporal_order, 6, 4, cross_entropy, mistaken, True, "cross-entropy"
    ),
    "copy": Task(tasks.copy_memory, 10, 10, cross_entropy, mistaken, False, "cross-entropy"),
    "five bits": Task(
        functools.partial(tasks.copy_memory, symbols=2, copied=5),
        4,
        4,
        cross_entropy,
        mistaken,
        False,
        "cross-entropy",
    ),
}


def same(a: jax.Array) -> jax.Array:
    """The activation of a linear network."""
    return a


# (what a layer reads, its units, the longest sequence) -> the layer
CELLS: dict[str, Callable[[int, int, int], rnn.Cell]] = {
    "dense": lambda reads, hidden, _: rnn.Dense(reads, hidden),
    "rectifier": lambda reads, hidden, _: rnn.Dense(reads, hidden, jax.nn.relu),
    "Elman": lambda reads, hidden, _: rnn.Elman(reads, hidden, input_init=rnn.Normal(0.1)),
    "ReLU Elman": lambda reads, hidden, _: rnn.Elman(reads, hidden, jax.nn.relu),
    "linear Elman": lambda reads, hidden, _: rnn.Elman(reads, hidden, same),
    "chain": lambda reads, hidden, _: rnn.Elman(
        reads,
        hidden,
        jax.nn.relu,
        input_init=rnn.initializers.identity,
        recurrent_init=rnn.Chain(0.99, feedback=0.04),
    ),
    "IRNN": lambda reads, hidden, _: rnn.IRNN(reads, hidden),
    "IndRNN": lambda reads, hidden, _: rnn.IndRNN(reads, hidden),
    "IndRNN that keeps": lambda reads, hidden, longest: rnn.IndRNN(
        reads,
        hidden,
        input_init=rnn.Normal(0.001),
        recurrent_init=rnn.Uniform(0.5 ** (1 / longest), 1.0),
    ),
    "GRU": lambda reads, hidden, _: rnn.GRU(reads, hidden),
    "LSTM": lambda reads, hidden, _: rnn.LSTM(reads, hidden),
    "chrono LSTM": lambda reads, hidden, longest: rnn.LSTM(
        reads, hidden, memory_bias=rnn.Chrono(longest)
    ),
    "minGRU": lambda reads, hidden, longest: rnn.MinGRU(
        reads, hidden, memory_bias=rnn.Chrono(longest)
    ),
    "LRU": lambda reads, hidden, longest: rnn.LRU(
        reads, hidden, r_min=0.5 ** (1 / longest), r_max=1.0
    ),
}


def network(settings: dict) -> rnn.Stack:
    """Layers one behind the other, and an answer at every step."""
    task, hidden = TASKS[settings["task"]], settings["hidden"]
    sizes = [task.reads] + [hidden] * (len(settings["layers"]) - 1)
    layers = [
        CELLS[name](reads, hidden, max(settings["lengths"]))
        for name, reads in zip(settings["layers"], sizes, strict=True)
    ]
    return rnn.stack(*layers, rnn.Dense(hidden, task.says))


def build(data: None, settings: dict, seed: int) -> Problem:
    """Learn from sequences of some lengths, to be scored at all lengths between two."""
    del data
    task, model = TASKS[settings["task"]], network(settings)
    lengths = settings["lengths"]
    objective = functools.partial(cost, task, model, settings["omega"])

    def batches(rng: np.random.Generator) -> Iterable[Batch]:
        for _ in range(settings["updates an epoch"]):
            length, key = int(rng.choice(lengths)), jax.random.key(rng.integers(FRESH))
            yield padded(task, length, settings["batch"], key, max(lengths))

    judge = functools.partial(score, task, model, settings)
    return Problem(
        started(model, settings, seed),
        lambda params, batch, key: objective(params, batch),
        batches,
        lambda params: judge(params, lengths, FRESH, ROWS)[task.figure],
        lambda params, _: judge(
            params, range(*settings["scored lengths"]), FRESH + 1, settings["sequences"]
        ),
    )


def cost(task: Task, model: rnn.Stack, omega: float, params: rnn.Params, batch: Batch) -> jax.Array:
    """What the answers cost, and Pascanu's regulariser `omega` times."""

    def losses(ys: jax.Array, targets: jax.Array) -> jax.Array:
        return weights(task, batch) * task.cost(ys, targets)

    params = bounded(params, len(batch.xs))
    _, ys = rnn.unroll(model, params, batch.xs)
    value = losses(ys, batch.targets).sum(0).mean()
    if omega:
        found = analysis.omega(model, params, batch.xs, loss=losses, targets=batch.targets)
        # The sum over the steps, where the paper's code takes their mean.
        value += omega * found / (batch.length - 1)
    return value


def bounded(params: rnn.Params, steps: int) -> rnn.Params:
    """The same with recurrent weights of IndRNNs at most `2^(1/T)`, as in their paper."""
    largest = 2 ** (1 / steps)

    def bound(layer: Any) -> Any:
        if not isinstance(layer, rnn.IndRNNParams):
            return layer
        return layer._replace(w_h=jnp.clip(layer.w_h, -largest, largest))

    return jax.tree.map(bound, params, is_leaf=lambda node: isinstance(node, rnn.IndRNNParams))


def weights(task: Task, batch: Batch) -> jax.Array:
    """`(T, 1)`: how much a step counts; the sum is 1."""
    steps = jnp.arange(len(batch.xs))[:, None]
    if task.at_the_end:
        return 1.0 * (steps == batch.length - 1)
    return (steps < batch.length) / batch.length


def fresh(task: Task, length: int, rows: int, key: jax.Array) -> Batch:
    """Sequences of one length."""
    drawn = task.draw(key, length, rows)
    steps = len(drawn.xs)
    targets = jnp.broadcast_to(drawn.targets, drawn.xs.shape[:2])
    return Batch(drawn.xs, targets, jnp.int32(steps))


_fresh = jax.jit(fresh, static_argnums=(0, 1, 2))


def padded(task: Task, length: int, rows: int, key: jax.Array, longest: int) -> Batch:
    """The same with padding, up to the steps of the longest."""
    batch = _fresh(task, length, rows, key)
    padding = [(0, longest - length), (0, 0)]
    xs, targets = np.pad(batch.xs, [*padding, (0, 0)]), np.pad(batch.targets, padding)
    return Batch(jnp.asarray(xs), jnp.asarray(targets), batch.length)


def started(model: rnn.Stack, settings: dict, seed: int) -> rnn.Params:
    """Fresh params, with some Lyapunov exponents brought to 0 if the settings ask for it."""
    params = model.init(jax.random.key(seed))
    asked = settings["flossing"]
    return flossed(model, params, TASKS[settings["task"]], seed, **asked) if asked else params


def flossed(
    model: rnn.Stack,
    params: rnn.Params,
    task: Task,
    seed: int,
    *,
    exponents: int,
    steps: int,
    updates: int,
    rate: float,
) -> rnn.Params:
    """The params after gradient flossing on sequences of the task, `steps` of each."""
    chain = optax.adam(rate)

    def update(state: tuple, key: jax.Array) -> tuple[tuple, jax.Array]:
        params, opt_state = state
        xs = task.draw(key, steps, 4).xs
        value, gradient = jax.value_and_grad(
            lambda params: analysis.flossing_loss(model, params, xs, k=exponents)
        )(params)
        changes, opt_state = chain.update(gradient, opt_state, params)
        return (optax.apply_updates(params, changes), opt_state), value

    keys = jax.random.split(jax.random.key(seed), updates)
    (params, _), _ = jax.lax.scan(update, (params, chain.init(params)), keys)
    return params


def score(
    task: Task,
    model: rnn.Stack,
    settings: dict,
    params: rnn.Params,
    lengths: Iterable[int],
    seed: int,
    sequences: int,
) -> dict[str, float]:
    """What an answer costs and how many are wrong, of fresh sequences of each of some lengths."""
    found, parts = [], sequences // ROWS
    for length in lengths:
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), length), parts)
        batches = (padded(task, length, ROWS, key, max(settings["lengths"])) for key in keys)
        found.append(np.mean([scored(task, model, params, each) for each in batches], axis=0))
    mean, wrong = np.mean(found, axis=0)
    figures = {task.figure: float(mean), "wrong, %": float(100 * wrong)}
    if len(found) > 1:
        figures["wrong, % of the worst T"] = float(100 * np.max(found, axis=0)[1])
    return figures


@functools.partial(jax.jit, static_argnums=(0, 1))
def scored(task: Task, model: rnn.Stack, params: rnn.Params, batch: Batch) -> jax.Array:
    """What a sequence costs, and the share of those with a mistake where they are asked."""
    _, ys = rnn.unroll(model, bounded(params, len(batch.xs)), batch.xs)
    share = weights(task, batch)
    costs = jnp.sum(share * task.cost(ys, batch.targets), axis=0)
    wrong = jnp.max((share > 0) * task.wrong(ys, batch.targets), axis=0)
    return jnp.stack([costs.mean(), wrong.mean()])


if __name__ == "__main__":
    main(build, __doc__, data=None)
