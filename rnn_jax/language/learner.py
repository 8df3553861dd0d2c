"""What a config and the size of its vocabulary amount to: a network and how it learns."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import rnn_jax as rnn
from rnn_jax.language.checkpoints import Checkpoints, Progress
from rnn_jax.language.config import Config
from rnn_jax.language.errors import InputError, RunError
from rnn_jax.language.model import Scored, language_model, map_vectors, with_biases
from rnn_jax.language.optimizer import optimizer
from rnn_jax.language.run import Run

_NOISE = 2**32 - 1  # what is folded into the seed's key; the params are drawn from the key itself


class State(NamedTuple):
    """The arrays of a run."""

    train: rnn.TrainState
    """What the next update starts from."""
    best: rnn.Params
    """What validation has found best so far; before it has looked, the params at the start."""


@dataclasses.dataclass(frozen=True)
class Learner:
    """The network of a run and how it learns, without any numbers."""

    config: Config
    vocabulary_size: int
    updates: int = 1
    """In all. Only the schedule of the step size asks for it."""

    @property
    def model(self) -> rnn.Cell:
        """Token ids -> logits, without noise."""
        return language_model(self.config, self.vocabulary_size).deterministic()  # type: ignore[return-value]

    @property
    def trainer(self) -> rnn.TruncatedBPTT:
        """Truncated BPTT as the config has it."""
        config = self.config
        return rnn.truncated_bptt(
            Scored(language_model(config, self.vocabulary_size), config.freeze_vectors),
            lambda losses, _: losses,
            optimizer(config, self.updates),
            window=config.window,
            stride=config.effective_stride,
            parts=config.accumulate,
        )

    def update(
        self, state: rnn.TrainState, xs: jax.Array, targets: jax.Array, step: jax.Array
    ) -> tuple[rnn.TrainState, rnn.Metrics]:
        """Learn from one window. Its noise follows from the seed and the number of the update."""
        noise = jax.random.fold_in(jax.random.key(self.config.seed), _NOISE)
        pairs = jnp.stack([xs, targets], -1)
        return self.trainer.update(state, pairs, targets, key=noise, number=step)

    def evaluated(self, state: rnn.TrainState) -> rnn.Params:
        """The params that are validated: those of the state, or their average."""
        if self.config.average:
            return rnn.training.averaged_params(state.opt_state)
        return state.params

    def start(
        self,
        biases: np.ndarray | None = None,
        table: np.ndarray | None = None,
        shardings: Any = None,
    ) -> State:
        """The state before the first update.

        Args:
            biases: (V,) of the output, 0 if None.
            table: (V, E) of the embedding, drawn if None.
            shardings: where each of its arrays lies; on the first device, if None.
        """
        # One compilation instead of one for every operation.
        return jax.jit(self._start, out_shardings=shardings)(biases, table)

    def like(self) -> Any:
        """The shapes and dtypes of a state."""
        return jax.eval_shape(self._start)

    def check_memory(self) -> None:
        """Make sure that the machine can hold the state at all, before anything is made.

        Raises:
            InputError: it cannot.
        """
        needed = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(self.like()))
        if not hasattr(os, "sysconf"):  # Windows
            return
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if needed > there:
            raise InputError(
                f"the network and its optimiser need {needed / 2**30:,.0f} GiB, and this machine "
                f"has {there / 2**30:,.0f}; make --hidden, --embedding or --layers smaller"
            )

    def _start(self, biases: jax.Array | None = None, table: jax.Array | None = None) -> State:
        params = self.model.init(jax.random.key(self.config.seed))
        if table is not None:
            params = map_vectors(lambda _: rnn.EmbeddingParams(table), params)
        if biases is not None:
            params = with_biases(params, biases)
        return State(self.trainer.init(params, (self.config.batch,)), params)


class Loaded(NamedTuple):
    """Params from a checkpoint."""

    params: rnn.Params
    step: int
    """After how many updates."""
    chosen: str
    """Why these, in words: what to say behind the step."""


def load_params(run: Run, learner: Learner, step: int | None) -> Loaded:
    """The params of a run: the best on validation, or those of the checkpoint of a `step`.

    Raises:
        InputError: there is no such checkpoint.
        RunError: it is damaged.
    """
    with Checkpoints(run.checkpoints, read_only=True) as checkpoints:
        steps = checkpoints.steps()
        if not steps:
            raise InputError(f"{run.folder} has no checkpoint yet; `{run.resume_command}` goes on")
        state, progress = restore(checkpoints, step, learner.like(), run, "--step")
    if step is None and progress.best_step is not None:
        return Loaded(state.best, progress.best_step, ", the best on validation")
    return Loaded(learner.evaluated(state.train), progress.step, "")


def restore(
    checkpoints: Checkpoints, asked: int | None, like: Any, run: Run, option: str
) -> tuple[State, Progress]:
    """The checkpoint of the step that was `asked` for, or the last; `option` is what asks for one.

    Raises:
        InputError: there is none of that step.
        RunError: it is damaged, or of another network. The message says what to do.
    """
    step = choose_step(checkpoints.steps(), asked, run)
    differences = checkpoints.differences(step, like)
    if differences is not None:
        raise RunError(
            f"the checkpoint of step {step} in {checkpoints.folder} is not of the network that "
            f"{run.config_file} describes: {differences}; restore what was edited"
        )
    try:
        return checkpoints.restore(step, like)
    except RunError as error:
        good = checkpoints.last_good(like)
        way = f"the last good one is had by `{option} {good}`"
        if good is None:
            way = "no other is sound: start a new run"
        raise RunError(f"{error}; {way}") from error


def choose_step(steps: list[int], asked: int | None, run: Run) -> int:
    """The step to restore, out of those that there are.

    Raises:
        InputError: the one that was asked for is not among them.
    """
    if asked is None:
        return steps[-1]
    if asked not in steps:
        there = ", ".join(map(str, steps)) or "none"
        raise InputError(f"{run.folder} has no checkpoint of step {asked}; there are: {there}")
    return asked
