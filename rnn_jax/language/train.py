"""The loop. All that happens at a step follows from the step, the config and the text."""

from __future__ import annotations

import functools
import math
import shlex
import sys
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

import rnn_jax as rnn
from rnn_jax.language.baselines import Baselines
from rnn_jax.language.checkpoints import Checkpoints, Progress
from rnn_jax.language.config import Config
from rnn_jax.language.corpus import Corpus, Streams, log_frequencies
from rnn_jax.language.display import Display
from rnn_jax.language.errors import InputError, Interrupted, RunError, reason
from rnn_jax.language.evaluate import evaluate
from rnn_jax.language.learner import Learner, State, restore
from rnn_jax.language.measures import describe, perplexity
from rnn_jax.language.mesh import Split
from rnn_jax.language.optimizer import ENDS_WITH_THE_RUN, schedule
from rnn_jax.language.processes import from_first, is_first
from rnn_jax.language.run import Run


class Best(NamedTuple):
    """What validation found best."""

    params: rnn.Params
    step: int
    loss: float


def train(
    run: Run,
    config: Config,
    corpus: Corpus,
    baselines: Baselines | None,
    from_step: int | None,
    mesh: Mesh,
) -> Best:
    """Train a run to its end: from its last checkpoint, or from the start if it has none.

    The end is the last update, or `patience` validations without a better one.

    A run that was killed and goes on writes the same metrics, byte for byte, as one that was not.
    One that is made longer was validated where it ended before, in addition.

    Args:
        run: a run that was created with the text of `corpus`, and is locked.
        config: its settings; written down, if they are others than before.
        corpus: the text.
        baselines: what to compare with; the process that writes has them.
        from_step: the checkpoint to go on from, instead of the last.
        mesh: the devices. It changes how long an update takes, and the order of its sums.

    Raises:
        InputError: there is no checkpoint of `from_step`, or it is beyond the end; or the batch
            does not divide over the mesh.
        RunError: the folder cannot be written, something in it is damaged, the loss is not
            finite, or memory is short. The message says what is kept and how to go on. Nothing is
            deleted before all that is needed was read.
        Interrupted: by ctrl-C.
    """
    with Checkpoints(run.checkpoints) as checkpoints:
        try:
            training = _Training(run, config, corpus, baselines, checkpoints, from_step, mesh)
            return training.to_the_end()
        except KeyboardInterrupt as error:
            raise Interrupted(f"interrupted; go on by `{run.resume_command}`") from error
        except OSError as error:
            raise RunError(
                f"cannot write to {run.folder}: {reason(error)}; {checkpoints.kept()}, "
                f"`{run.resume_command}` goes on from there"
            ) from error
        except jax.errors.JaxRuntimeError as error:
            if not out_of_memory(error):
                raise
            raise RunError(
                "not enough memory; make --hidden, --embedding, --batch or --window smaller"
            ) from error


def out_of_memory(error: jax.errors.JaxRuntimeError) -> bool:
    """Whether an error of the runtime is that the machine has no memory left."""
    return any(sign in str(error) for sign in ("RESOURCE_EXHAUSTED", "Out of memory"))


class _Training:
    """One run on its way."""

    def __init__(
        self,
        run: Run,
        config: Config,
        corpus: Corpus,
        baselines: Baselines | None,
        checkpoints: Checkpoints,
        from_step: int | None,
        mesh: Mesh,
    ) -> None:
        self.run, self.config, self.checkpoints = run, config, checkpoints
        self.baselines = baselines
        self.validation = corpus.split("validation")
        self.streams = Streams(corpus.train, config.batch)
        self.updates_per_epoch = updates_per_epoch(config, self.streams.length)
        self.biases = log_frequencies(corpus.train, len(corpus.vocabulary))
        self.total = config.steps or config.epochs * self.updates_per_epoch
        if self.total >= 2**31:
            raise InputError(f"{self.total} updates are more than can be counted: lower --epochs")
        self.learner = Learner(config, len(corpus.vocabulary), self.total)
        self.split = Split(self.learner, mesh)
        (self.state, self.best), progress = self._begin(from_step)
        self.step = progress.step
        self.recent = list(progress.recent)
        self.best_step, self.best_loss = progress.best_step, progress.best_loss
        self.stalled = progress.stalled
        self.since = time.monotonic()
        self.speed = 0.0

    def _begin(self, from_step: int | None) -> tuple[State, Progress]:
        run, step = self.run, 0
        state, progress = None, Progress()
        if self.checkpoints.steps() or from_step is not None:
            way = f"{run.resume_command} --from-step"
            like = self.split.like()
            state, progress = restore(self.checkpoints, from_step, like, run, way)
            step = progress.step
        self._check(step)
        kept = run.metrics.left(progress.metrics_size, step)
        # All that is needed has been read. Only from here on is anything changed.
        if run.config() != self.config:
            run.write_config(self.config)
        self.checkpoints.forget_after(step)
        said = run.metrics.keep(kept)
        if said is not None:
            print(f"warning: {said}", file=sys.stderr, flush=True)
        return state or self.split.start(self.biases, run.table(self.config)), progress

    def _check(self, step: int) -> None:
        """Make sure that the run can go on from a step; 0 if there is no checkpoint."""
        run = self.run
        if step > self.total:
            raise InputError(
                f"{run.folder} has done {step} updates, and is to end after {self.total}: ask for "
                "more --steps or --epochs, or go back to an earlier checkpoint by --from-step"
            )
        if step:
            return
        last = run.metrics.last_step()
        if last > min(self.config.checkpoint_every or self.updates_per_epoch, self.total):
            raise RunError(
                f"{run.checkpoints} has no checkpoint, and {run.metrics.path} goes to step {last}: "
                "put back what was there, or start a new run with the same settings by "
                f"`python -m rnn_jax train --config {shlex.quote(str(run.config_file))}`"
            )

    def _says(self) -> str:
        """Where it begins, for the user."""
        if not self._through():
            at = ""
            if self.step and self.config.schedule in ENDS_WITH_THE_RUN:
                rate = float(schedule(self.config, self.total)(self.step))
                at = f", at a step size of {rate:.2g} by its schedule"
            return f"training from step {self.step} to step {self.total}{at}"
        early = f", by --patience {self.config.patience}" if self.step < self.total else ""
        return (
            f"the end is reached at step {self.step} of {self.total}{early}: nothing to train; "
            "more --epochs or --steps beside --resume make a run longer"
        )

    def to_the_end(self) -> Best:
        print(self._says(), flush=True)
        update = self.split.update()
        config, window, stride = self.config, self.config.window, self.config.effective_stride
        tokens, epoch = stride * config.batch, self.updates_per_epoch
        unread: rnn.Metrics | None = None
        shown = Display(self.total, self.step, tokens, epoch, config.level, is_first())
        with shown as self.display:
            while not self._through():
                number = self.step % epoch
                if number == 0:
                    self.state = self.learner.trainer.restart(self.state)
                at = offset(config, self.step // epoch) + number * stride
                self.state, metrics = update(
                    self.state, *self.split.window(self.streams, at, window), self.step
                )
                # Reading a number waits for it. While the last update's is read, this one runs.
                if unread is not None:
                    self._read(unread, self.step)
                unread = metrics
                self.step += 1
                if self._stops():
                    self._read(unread, self.step)
                    unread = None
                    self._stop()
            if self.best_loss is None:  # made shorter, to a step where none was due
                self._validate()
        assert self.best_step is not None
        assert self.best_loss is not None
        return Best(self.split.whole_here(self.best), self.best_step, self.best_loss)

    def _through(self) -> bool:
        return self.step == self.total or 0 < self.config.patience <= self.stalled

    def _is_due(self, every: int) -> bool:
        """Every so many updates, or once an epoch; and at the end."""
        return self.step == self.total or self.step % (every or self.updates_per_epoch) == 0

    def _stops(self) -> bool:
        config = self.config
        return any(
            map(self._is_due, (config.log_every, config.eval_every, config.checkpoint_every))
        )

    def _stop(self) -> None:
        """What is due after this many updates, in an order that is always the same."""
        if self._is_due(self.config.log_every):
            self._log()
        if self._is_due(self.config.eval_every):
            self._validate()
        if self._is_due(self.config.checkpoint_every) or self._through():
            progress = Progress(
                self.step,
                self.run.metrics.sync(),
                tuple(self.recent),
                self.best_step,
                self.best_loss,
                self.stalled,
            )
            self.checkpoints.save(State(self.state, self.best), progress)

    def _read(self, metrics: rnn.Metrics, step: int) -> None:
        loss, norm = float(metrics.loss), float(metrics.grad_norm)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient is {norm}"
            raise RunError(
                f"{what} at step {step}; {self.checkpoints.kept()}; try a smaller --learning-rate "
                f"(now {self.config.learning_rate}) or --clip (now {self.config.clip or 'off'})"
            )
        self.recent.append((loss, norm))
        self.display.update(loss, norm)

    def _log(self) -> None:
        losses, norms = zip(*self.recent, strict=True)
        mean = math.fsum(losses) / len(losses)
        self.run.metrics.append(
            self._where("train")
            | describe(mean, self.config.level)
            | {"gradient_norm": math.fsum(norms) / len(norms)}
        )
        now = time.monotonic()
        tokens = len(losses) * self.config.effective_stride * self.config.batch
        # How fast it went is no property of the run, so it goes elsewhere.
        self.speed = tokens / (now - self.since)
        self.run.timings.append({"step": self.step, "tokens_per_second": self.speed})
        self.since = now
        self.recent.clear()

    def _validate(self) -> None:
        start = time.monotonic()
        params = self.learner.evaluated(self.state)
        found = evaluate(self.learner.model, self.split.here(params), *self.validation)
        # What is decided by it must be decided alike by all.
        loss = from_first(lambda: found.loss)
        if not math.isfinite(loss):
            raise RunError(
                f"the validation loss is {loss} at step {self.step}; "
                f"{self.checkpoints.kept()}; try a smaller --learning-rate or --clip"
            )
        self.run.metrics.append(
            self._where("validation") | describe(loss, self.config.level) | {"tokens": found.tokens}
        )
        before = math.inf if self.best_loss is None else self.best_loss
        if self.config.schedule == "halving":
            opt_state = rnn.training.halve_on_stall(self.state.opt_state, loss, before)
            self.state = self.state._replace(opt_state=opt_state)
        if loss < before:
            self.best_step, self.best_loss, self.stalled = self.step, loss, 0
            self.best = jax.tree.map(jnp.copy, params)  # the next update takes the params away
        else:
            self.stalled += 1
        counted = f" (bigram counts {self.baselines.bigram:.2f})" if self.baselines else ""
        self.display.line(
            f"step {self.step}/{self.total}, epoch {self.step / self.updates_per_epoch:.1f}: "
            f"validation perplexity {perplexity(loss):.2f}{counted}, {self.speed:,.0f} tokens/s"
        )
        if self._through() and self.step < self.total:
            self.display.line(
                f"no better validation since step {self.best_step}: the end, by --patience "
                f"{self.config.patience}"
            )
        self.since += time.monotonic() - start

    def _where(self, split: str) -> dict[str, int | float | str]:
        return {"step": self.step, "epoch": self.step / self.updates_per_epoch, "split": split}


def updates_per_epoch(config: Config, length: int) -> int:
    """How many windows streams of `length` steps hold, wherever the first one begins."""
    return (length - config.largest_offset - config.window) // config.effective_stride + 1


@functools.lru_cache(maxsize=1)
def offset(config: Config, epoch: int) -> int:
    """Where the first window of an epoch begins: at 0, or with jitter anywhere within a stride.

    So the windows are cut at other places in every epoch, and are all of one length, for which
    one compiled update does. Drawn from the seed and the number of the epoch alone.
    """
    if not config.jitter:
        return 0
    key = jax.random.fold_in(jax.random.key(config.seed), epoch)
    return int(jax.random.randint(key, (), 0, config.largest_offset + 1))
