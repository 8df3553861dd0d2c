"""Which runs succeed, against the length: `python -m benchmarks.published.success --config FILE`.

In the manner of figure 7 of Pascanu, Mikolov & Bengio (2013): the same network learns the temporal
order of sequences of one length, from several seeds, in one program a length; and that for several
lengths. A run succeeds when it is right about all of some fresh sequences, and ends there.
"""

import argparse
import functools
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from tqdm import tqdm

from benchmarks.plots import MARKS
from benchmarks.published import memory
from benchmarks.published.harness import CLOCKS, read_table, write_result
from benchmarks.report import RESULTS, with_machine
from rnn_jax.errors import RNNError
from rnn_jax.language.config import Config
from rnn_jax.language.optimizer import optimizer

PICTURE = "success"
"""The file that all results of this command share."""


def main(words: list[str] | None = None) -> dict:
    """Train at every length, write what succeeded, draw all that is there."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.published.success", description=__doc__
    )
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS / "published")
    parser.add_argument("--note", default="", help="about the machine, for whoever reads its times")
    options = parser.parse_args(words)
    try:
        table = read_table(options.config)
    except (RNNError, OSError) as error:
        parser.exit(1, f"error: {error}\n")
    before = {name: clock() for name, clock in CLOCKS.items()}
    runs: list[dict[str, Any]] = [{"seed": seed, "updates": {}} for seed in range(options.seeds)]
    for length in table["settings"]["lengths"]:
        needed = updates_to_success(table, length, options.seeds)
        tqdm.write(f"T = {length}: {needed}")
        for run, updates in zip(runs, needed, strict=True):
            run["updates"][length] = updates
    spent = {name: (clock() - before[name]) / 60 for name, clock in CLOCKS.items()}
    result = with_machine(
        name=table["name"],
        note=options.note,
        command=f"python -m benchmarks.published.success --config "
        f"benchmarks/published/{options.config.name} --seeds {options.seeds}",
        settings=table["settings"],
        training=table["training"],
        picture=f"{PICTURE}.png",
        runs=[finished(run, table, spent, options.seeds) for run in runs],
    )
    write_result(options.output, options.config.stem, result)
    draw(options.output)
    return result


def finished(run: dict, table: dict, spent: dict[str, float], seeds: int) -> dict[str, Any]:
    """A run in the form of the other tables: 1 where it succeeded, 0 where it did not."""
    network = memory.network(_of(table, 10))
    params = jax.eval_shape(network.init, jax.random.key(0))
    most = table["training"]["steps"]
    return {
        "development": {
            f"T = {length}": float(updates is not None)
            for length, updates in run["updates"].items()
        },
        "seed": run["seed"],
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        **{name: value / seeds for name, value in spent.items()},
        "history": [{"step": sum(each or most for each in run["updates"].values())}],
        "updates": run["updates"],
    }


def _of(table: dict, length: int) -> dict:
    return table["settings"] | {"lengths": [length]}


def updates_to_success(table: dict, length: int, seeds: int) -> list[int | None]:
    """After how many updates each seed succeeded, as far as it did."""
    settings, config = table["settings"], Config(**table["training"])
    task, model = memory.TASKS[settings["task"]], memory.network(_of(table, length))
    total = config.steps or 1
    chain = optimizer(config, total)
    loss = functools.partial(memory.cost, task, model, settings["omega"])

    def start(key: jax.Array) -> tuple:
        params = model.init(key)
        return params, chain.init(params)

    def update(state: tuple, key: jax.Array) -> tuple[tuple, None]:
        params, opt_state = state
        batch = memory.fresh(task, length, settings["batch"], key)
        changes, opt_state = chain.update(jax.grad(loss)(params, batch), opt_state, params)
        return (optax.apply_updates(params, changes), opt_state), None

    def some(state: tuple, key: jax.Array) -> tuple[tuple, jax.Array]:
        """Updates between two checks, and the part that is wrong then; a NaN is wrong."""
        keys = jax.random.split(key, settings["every"] + 1)
        state, _ = jax.lax.scan(update, state, keys[1:])
        fresh = memory.fresh(task, length, settings["sequences"], keys[0])
        _, wrong = memory.scored(task, model, state[0], fresh)
        return state, wrong

    run = jax.jit(jax.vmap(some), donate_argnums=0)
    state = jax.vmap(start)(jax.random.split(jax.random.key(0), seeds))
    found: list[int | None] = [None] * seeds
    for step in tqdm(range(settings["every"], total + 1, settings["every"]), desc=f"T = {length}"):
        state, wrong = run(state, jax.random.split(jax.random.key(step), seeds))
        for seed in np.nonzero(np.asarray(wrong) <= settings["wrong at most"])[0]:
            found[seed] = found[seed] or step
        if None not in found:
            break
    return found


def draw(folder: Path) -> None:
    """A line a result of the folder: the part of the runs that succeeded, against the length."""
    from matplotlib.figure import Figure

    results = [json.loads(path.read_text()) for path in folder.glob(f"{PICTURE}*.json")]
    results.sort(
        key=lambda result: (result["settings"]["omega"], result["training"].get("clip", 0))
    )
    figure = Figure(figsize=(7, 3.8), layout="constrained")
    axes = figure.add_subplot()
    for i, (result, mark) in enumerate(zip(results, MARKS, strict=False)):
        colour, marker = mark.split()
        lengths = result["settings"]["lengths"]
        share = [
            np.mean([run["development"][f"T = {length}"] for run in result["runs"]])
            for length in lengths
        ]
        # Lines that lie on each other are all to be seen: each is thinner than the one before.
        size = len(results) - i
        style = {"marker": marker, "ms": 4 + 2 * size, "lw": 1.5 * size, "color": colour}
        axes.plot(lengths, share, label=result["name"], clip_on=False, **style)
    axes.set(ylim=(0, 1), xlabel="steps T", ylabel="runs that succeed")
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.grid(color="#e4e4e4")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, loc="outside upper center", ncols=len(results))
    for kind in ("png", "svg"):
        figure.savefig(folder / f"{PICTURE}.{kind}", dpi=120)


if __name__ == "__main__":
    main()
