"""What the published tables share: settings out of a file, a training loop, results with a machine.

A table is a module with a function `(data, settings, seed) -> Problem`, which calls `main` with it,
and a JSON file beside it, or several, with what is measured and how:

    task       the heading of its section in docs/published.md, shared by files of one task
    about      what the data and the figures are, in a sentence or two
    published  rows of others, {"by": who, figure: value, ...}, and "on": what, if not test
    name       the name of our row
    tried      what did not work, a sentence each
    settings   what the module itself asks for
    training   of the settings of `python -m rnn_jax train` those of the optimiser and its length
"""

import argparse
import dataclasses
import json
import math
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

import rnn_jax as rnn
from benchmarks.report import RESULTS, with_machine
from rnn_jax.errors import RNNError
from rnn_jax.language.checkpoints import Checkpoints, Progress
from rnn_jax.language.config import RESUMABLE, Config
from rnn_jax.language.errors import InputError, RunError
from rnn_jax.language.files import JsonLines, read_json, write_whole
from rnn_jax.language.optimizer import optimizer

HERE = Path(__file__).parent
RUNS = Path("runs") / "published"

CLOCKS = {"minutes": time.monotonic, "processor minutes": time.process_time}
"""What a run takes: with other work beside it, and what the processors did for it."""


class Problem(NamedTuple):
    """What is learned, and what is asked of it afterwards."""

    params: rnn.Params
    """Before the first update."""
    loss: Callable[[rnn.Params, Any, jax.Array], jax.Array]
    """`(params, batch, key)` -> what an update makes smaller; compiled once a shape of batch."""
    batches: Callable[[np.random.Generator], Iterable[Any]]
    """An epoch, in an order of the generator's; always of as many batches, in few shapes."""
    cost: Callable[[rnn.Params], float]
    """After each epoch, on development: the params of the lowest are kept."""
    score: Callable[[rnn.Params, Path | None], dict[str, float]]
    """The figures of a file; of development without one."""


class State(NamedTuple):
    """The arrays of a run."""

    params: rnn.Params
    opt_state: optax.OptState
    best: rnn.Params
    """The params of the lowest cost so far, or their average over updates."""


class Trained(NamedTuple):
    """What came out of a run."""

    params: rnn.Params
    """Those of the lowest cost."""
    record: dict[str, Any]
    """How it went."""


def main(
    build: Callable[[Any, dict, int], Problem],
    says: str | None,
    words: list[str] | None = None,
    *,
    data: str | None = "the folder of the data",
) -> dict:
    """The command of a table: train with each seed, score, write the result down.

    `data` says what the command is to be given; None for a table that draws its own.
    """
    command = Path(sys.modules[build.__module__].__file__ or "").stem
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.published.{command}", description=says
    )
    if data is not None:
        parser.add_argument("data", type=Path, help=data)
    parser.add_argument("--test", type=Path, help="a file to score besides development")
    parser.add_argument("--config", type=Path, default=HERE / f"{command}.json")
    parser.add_argument("--seeds", type=int, default=1, help="how many runs: seeds 0, 1, ...")
    parser.add_argument("--minutes", type=float, default=math.inf, help="of training, a run")
    parser.add_argument("--runs", type=Path, default=RUNS, help="where checkpoints are kept")
    parser.add_argument("--output", type=Path, default=RESULTS / "published")
    parser.add_argument("--note", default="", help="about the machine, for whoever reads its times")
    options = parser.parse_args(words)
    name = options.config.stem
    try:
        table = read_table(options.config)
        runs = []
        for seed in range(options.seeds):
            problem = build(getattr(options, "data", None), table["settings"], seed)
            config = Config(**table["training"], seed=seed)
            folder = options.runs / name / f"seed-{seed}"
            trained = train(problem, config, folder, table["settings"], options.minutes)
            figures = {"development": problem.score(trained.params, None)}
            if options.test is not None:
                figures["test"] = problem.score(trained.params, options.test)
            tqdm.write(f"{name}, seed {seed}: {figures}")
            runs.append(figures | trained.record)
    except (RNNError, OSError) as error:
        parser.exit(1, f"error: {error}\n")
    config_of = "" if name == command else f" --config benchmarks/published/{options.config.name}"
    where = "" if data is None else " DATA"
    said = f"python -m benchmarks.published.{command}{where}{config_of} --seeds {options.seeds}"
    chosen = {key: table[key] for key in ("settings", "training")}
    result = with_machine(note=options.note, command=said, **chosen, runs=runs)
    return write_result(options.output, name, result)


def write_result(output: Path, name: str, result: dict) -> dict:
    """Write down what a table came to, and hand it on."""
    output.mkdir(parents=True, exist_ok=True)
    write_whole(output / f"{name}.json", json.dumps(result, indent=1) + "\n")
    return result


def read_table(path: Path) -> dict[str, Any]:
    """What a file of settings says.

    Raises `InputError` where it cannot be read or lacks something.
    """
    table = read_json(path, InputError)
    wanted = {"task", "about", "published", "name", "tried", "settings", "training"}
    if not isinstance(table, dict) or set(table) != wanted:
        raise InputError(f"{path} must be a JSON object of {', '.join(sorted(wanted))}")
    unknown = set(table["training"]) - {field.name for field in dataclasses.fields(Config)}
    if unknown:
        raise InputError(f"{path}: training has no settings {', '.join(sorted(unknown))}")
    return table


def train(
    problem: Problem, config: Config, folder: Path, settings: Any = None, minutes: float = math.inf
) -> Trained:
    """Train to the end of the config, by its patience or by the minutes, from where a run stopped.

    The schedule of the step size is that of the config, whether the minutes suffice or not. A
    checkpoint is written after each epoch: one that was killed and goes on computes what it would
    have, and with more epochs a run becomes longer. What validation chooses, as in the main job, is
    the average of the weights, if the config has one.

    Raises:
      InputError: The folder holds a run of other settings.
      RunError: The loss is not finite, or the folder is damaged or cannot be written.
    """
    per_epoch = sum(1 for _ in problem.batches(np.random.default_rng(config.seed)))
    total = config.steps or config.epochs * per_epoch
    chain = optimizer(config, total)
    noise = jax.random.key(config.seed)

    @jax.jit
    def start(params: rnn.Params) -> State:
        copies = [jax.tree.map(jnp.copy, params) for _ in range(2)]
        return State(copies[0], chain.init(params), copies[1])

    # The key is an argument: as a constant it would be another program for each seed.
    def update(state: State, batch: Any, noise: jax.Array, number: int) -> tuple[State, jax.Array]:
        key = jax.random.fold_in(noise, number)
        value, gradient = jax.value_and_grad(problem.loss)(state.params, batch, key)
        updates, opt_state = chain.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        return State(params, opt_state, state.best), value

    update = jax.jit(update, donate_argnums=0)
    history = JsonLines(folder / "history.jsonl")
    _own(folder, settings, config)
    with Checkpoints(folder / "checkpoints") as checkpoints:
        state, progress = start(problem.params), Progress(best_loss=math.inf)
        if checkpoints.steps():
            like = jax.eval_shape(start, problem.params)
            state, progress = checkpoints.restore(checkpoints.steps()[-1], like)
        history.keep(history.left(progress.metrics_size, progress.step))
        before = (history.read() or [dict.fromkeys(CLOCKS, 0.0)])[-1]
        begun = {name: clock() / 60 - before[name] for name, clock in CLOCKS.items()}
        bar = tqdm(total=total, initial=progress.step, unit="update", smoothing=0.05)
        while progress.step < total and not 0 < config.patience <= progress.stalled:
            if time.monotonic() / 60 - begun["minutes"] >= minutes:
                break
            epoch, step, losses = progress.step // per_epoch, progress.step, []
            for batch in problem.batches(np.random.default_rng([config.seed, epoch])):
                if step == total:
                    break
                state, value = update(state, batch, noise, step)
                losses.append(value)
                if len(losses) > 1:  # reading a number waits for it, so read the one before
                    bar.set_postfix(loss=f"{losses[-2]:.3f}", refresh=False)
                bar.update()
                step += 1
            mean = float(np.mean(losses))
            if not math.isfinite(mean):
                raise RunError(f"the loss is {mean} in epoch {epoch + 1}: lower learning_rate")
            evaluated = state.params
            if config.average:
                evaluated = rnn.training.averaged_params(state.opt_state)
            cost = float(problem.cost(evaluated))
            stalled, best_step, best = progress.stalled + 1, progress.best_step, progress.best_loss
            if cost < best:
                state = state._replace(best=jax.tree.map(jnp.copy, evaluated))
                stalled, best_step, best = 0, step, cost
            spent = {name: clock() / 60 - begun[name] for name, clock in CLOCKS.items()}
            line = {"step": step, "loss": mean, "cost": cost, **spent}
            history.append(line)
            bar.write(", ".join(f"{what} {value:.5g}" for what, value in line.items()))
            progress = Progress(step, history.sync(), (), best_step, best, stalled)
            checkpoints.save(state, progress)
        bar.close()
    lines = history.read()
    record = {
        "seed": config.seed,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(problem.params)),
        **{name: lines[-1][name] if lines else 0.0 for name in CLOCKS},
        "best step": progress.best_step,
        "history": lines,
    }
    return Trained(state.best, record)


def _own(folder: Path, settings: Any, config: Config) -> None:
    """Write down whose folder it is; raise where it is another's."""
    file = folder / "settings.json"
    training, usual = (
        {name: value for name, value in dataclasses.asdict(one).items() if name not in RESUMABLE}
        for one in (config, Config())
    )
    ours = json.loads(json.dumps({"settings": settings, "training": training}))
    folder.mkdir(parents=True, exist_ok=True)
    theirs = read_json(file) if file.exists() else ours
    # A setting that is newer than the run had its default then.
    if theirs | {"training": usual | theirs["training"]} != ours:
        raise InputError(
            f"{folder} holds a run of other settings; delete it or name another by --runs"
        )
    write_whole(file, json.dumps(ours, indent=1) + "\n")
