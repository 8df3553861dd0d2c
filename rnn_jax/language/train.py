"""The loop. All that happens at a step follows from the step, the config and the text."""

from __future__ import annotations

import math
import time

import jax

import rnn_jax as rnn
from rnn_jax.language.baselines import Baselines
from rnn_jax.language.checkpoints import Checkpoints, Progress, reason
from rnn_jax.language.config import Config
from rnn_jax.language.corpus import Corpus, streams
from rnn_jax.language.display import Display
from rnn_jax.language.errors import Interrupted, RunError
from rnn_jax.language.evaluate import evaluate
from rnn_jax.language.learner import Learner, choose_step
from rnn_jax.language.measures import describe, perplexity
from rnn_jax.language.run import Run


def train(run: Run, corpus: Corpus, baselines: Baselines, from_step: int | None) -> rnn.TrainState:
    """Train a run to its end: from its last checkpoint, or from the start if it has none.

    A run that was killed and goes on writes the same metrics, byte for byte, as one that was not.

    Args:
        run: a run that was created with the text of `corpus`.
        corpus: the text.
        baselines: what to compare with.
        from_step: the checkpoint to go on from, instead of the last.

    Returns:
        The state after the last update.

    Raises:
        InputError: there is no checkpoint of `from_step`.
        RunError: the folder cannot be written, a checkpoint is damaged, the loss is not finite,
            or memory is short. The message says what is kept and how to go on.
        Interrupted: by ctrl-C.
    """
    with run.locked(), Checkpoints(run.checkpoints) as checkpoints:
        try:
            return _Training(run, corpus, baselines, checkpoints, from_step).to_the_end()
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
        corpus: Corpus,
        baselines: Baselines,
        checkpoints: Checkpoints,
        from_step: int | None,
    ) -> None:
        self.run, self.config, self.checkpoints = run, run.config(), checkpoints
        self.baselines = baselines
        self.learner = Learner(self.config, len(corpus.vocabulary))
        self.validation = corpus.split("validation")
        self.inputs, self.targets = streams(corpus.train, self.config.batch)
        self.updates_per_epoch = updates_per_epoch(self.config, len(self.inputs))
        self.total = self.config.steps or self.config.epochs * self.updates_per_epoch
        self.state, progress = self._begin(from_step)
        self.step = progress.step
        self.recent = list(progress.recent)
        self.since = time.monotonic()

    def _begin(self, from_step: int | None) -> tuple[rnn.TrainState, Progress]:
        steps = self.checkpoints.steps()
        if not steps and from_step is None:
            self.run.metrics.cut(0)
            return self.learner.start(), Progress()
        step, like = choose_step(steps, from_step, self.run), self.learner.like()
        try:
            state, progress = self.checkpoints.restore(step, like)
        except RunError as error:
            good = self.checkpoints.last_good(like)
            command = f"{self.run.resume_command} --from-step {good}"
            way = f"go on from the last good one by `{command}`"
            if good is None:
                way = "no other is sound: start a new run"
            raise RunError(f"{error}; {way}") from error
        self.checkpoints.forget_after(step)
        self.run.metrics.cut(progress.metrics_size)
        return state, progress

    def to_the_end(self) -> rnn.TrainState:
        trainer = self.learner.trainer
        # The old state is given away, so that an update needs no second copy of the params.
        update = jax.jit(trainer.update, donate_argnums=0)
        window, stride = self.config.window, self.config.effective_stride
        unread: rnn.Metrics | None = None
        with Display(
            self.total, self.step, stride * self.config.batch, self.config.level
        ) as self.display:
            while self.step < self.total:
                at = self.step % self.updates_per_epoch * stride
                if at == 0:
                    self.state = trainer.restart(self.state)
                self.state, metrics = update(
                    self.state, self.inputs[at : at + window], self.targets[at : at + window]
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
        return self.state

    def _stops(self) -> bool:
        config = self.config
        every = (config.log_every, config.eval_every, config.checkpoint_every)
        return self.step == self.total or any(self.step % n == 0 for n in every)

    def _stop(self) -> None:
        """What is due after this many updates, in an order that is always the same."""
        config, last = self.config, self.step == self.total
        if last or self.step % config.log_every == 0:
            self._log()
        if last or self.step % config.eval_every == 0:
            self._validate()
        if last or self.step % config.checkpoint_every == 0:
            size = self.run.metrics.sync()
            self.checkpoints.save(self.state, Progress(self.step, size, tuple(self.recent)))

    def _read(self, metrics: rnn.Metrics, step: int) -> None:
        loss, norm = float(metrics.loss), float(metrics.grad_norm)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient is {norm}"
            raise RunError(
                f"{what} at step {step}; {self.checkpoints.kept()}; try a smaller --learning-rate "
                f"(now {self.config.learning_rate}) or --clip (now {self.config.clip})"
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
        self.run.timings.append(
            {"step": self.step, "tokens_per_second": tokens / (now - self.since)}
        )
        self.since = now
        self.recent.clear()

    def _validate(self) -> None:
        start = time.monotonic()
        found = evaluate(self.learner.model, self.state.params, *self.validation)
        if not math.isfinite(found.loss):
            raise RunError(
                f"the validation loss is {found.loss} at step {self.step}; "
                f"{self.checkpoints.kept()}; try a smaller --learning-rate or --clip"
            )
        self.run.metrics.append(
            self._where("validation")
            | describe(found.loss, self.config.level)
            | {"tokens": found.tokens}
        )
        self.display.line(
            f"step {self.step}/{self.total}: validation perplexity {perplexity(found.loss):.2f} "
            f"(bigram counts {self.baselines.bigram:.2f})"
        )
        self.since += time.monotonic() - start

    def _where(self, split: str) -> dict[str, int | float | str]:
        return {"step": self.step, "epoch": self.step / self.updates_per_epoch, "split": split}


def updates_per_epoch(config: Config, length: int) -> int:
    """How many windows streams of `length` steps hold."""
    return (length - config.window) // config.effective_stride + 1
