"""What a config and the size of its vocabulary amount to: a network and how it learns."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import jax

import rnn_jax as rnn
from rnn_jax.language.checkpoints import Checkpoints
from rnn_jax.language.config import Config
from rnn_jax.language.errors import InputError
from rnn_jax.language.model import cross_entropy, language_model, optimizer
from rnn_jax.language.run import Run


@dataclasses.dataclass(frozen=True)
class Learner:
    """The network of a run and its trainer, without any numbers."""

    config: Config
    vocabulary_size: int

    @property
    def model(self) -> rnn.Cell:
        """Token ids -> logits."""
        return language_model(self.config, self.vocabulary_size)

    @property
    def trainer(self) -> rnn.TruncatedBPTT:
        """Truncated BPTT as the config has it."""
        config = self.config
        return rnn.truncated_bptt(
            self.model,
            cross_entropy,
            optimizer(config),
            window=config.window,
            stride=config.effective_stride,
        )

    def start(self) -> rnn.TrainState:
        """The state before the first update."""
        # One compilation instead of one for every operation.
        return jax.jit(self._start)()

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

    def _start(self) -> rnn.TrainState:
        params = self.model.init(jax.random.key(self.config.seed))
        return self.trainer.init(params, (self.config.batch,))


def load_params(run: Run, learner: Learner, step: int | None) -> tuple[int, rnn.Params]:
    """(step, params) of a run's checkpoint: the latest if `step` is None.

    Raises:
        InputError: there is no such checkpoint.
        RunError: it is damaged.
    """
    with Checkpoints(run.checkpoints, read_only=True) as checkpoints:
        steps = checkpoints.steps()
        if not steps:
            raise InputError(f"{run.folder} has no checkpoint yet; `{run.resume_command}` goes on")
        step = choose_step(steps, step, run)
        state, _ = checkpoints.restore(step, learner.like())
    return step, state.params


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
