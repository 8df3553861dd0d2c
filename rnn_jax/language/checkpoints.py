"""Checkpoints of a run: whole or absent, by orbax; and known to be sound, by a digest.

Orbax writes into a temporary folder and renames it when all of it is there, so a process killed
at any moment leaves whole checkpoints only. What a disk does to them later, the digest tells.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from rnn_jax.language.errors import RunError, reason
from rnn_jax.language.processes import of_the_others

_KEPT = 3


class Progress(NamedTuple):
    """Where a run stands, beside its arrays. Everything else follows from the step."""

    step: int = 0
    """Updates done."""
    metrics_size: int = 0
    """Bytes of metrics.jsonl written by then."""
    recent: tuple[tuple[float, float], ...] = ()
    """(loss, gradient norm) of the updates since the last line of training metrics."""
    best_step: int | None = None
    """When validation was best."""
    best_loss: float | None = None
    """What it was then."""
    stalled: int = 0
    """Validations since then."""


class Checkpoints:
    """The last few checkpoints of a run, by step.

    Args:
        folder: where they lie; made when the first one is saved.
        read_only: for looking only: leaves alone what a running training is writing.
    """

    def __init__(self, folder: Path, read_only: bool = False) -> None:
        _hush()
        self.folder = folder
        options = ocp.CheckpointManagerOptions(
            preservation_policy=ocp.checkpoint_managers.LatestN(_KEPT),
            # Exactness is cheap here: a save takes as long as one or two updates.
            enable_async_checkpointing=False,
            cleanup_tmp_directories=not read_only,
            read_only=read_only,
        )
        if folder.exists() and not folder.is_dir():  # orbax would see it only when it saves
            raise RunError(f"cannot use {folder}: it is no folder")
        try:
            self._manager = ocp.CheckpointManager(
                folder.absolute(), options=options, item_names=("state", "progress")
            )
        except Exception as error:
            raise RunError(f"cannot use {folder}: {reason(error)}") from error

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # It would wait for the other processes, who know nothing of an error here.
        if kind is None or jax.process_count() == 1:
            self._manager.close()

    def steps(self) -> list[int]:
        """The steps that have a checkpoint, oldest first."""
        return sorted(self._manager.all_steps())

    def kept(self) -> str:
        """What is safe, in words, for the message of an error."""
        steps = self.steps()
        return (
            f"the checkpoint of step {steps[-1]} is kept" if steps else "there is no checkpoint yet"
        )

    def save(self, state: Any, progress: Progress) -> None:
        """Save a pytree of arrays and where the run stands; returns when it is on the disk.

        Raises:
            RunError: it could not be written; those before it are kept.
        """
        record = {**progress._asdict(), "digest": _digest(state, progress)}
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state), progress=ocp.args.JsonSave(record)
        )
        try:
            self._manager.save(progress.step, args=items)
            self._manager.wait_until_finished()
        except Exception as error:  # tensorstore, orbax and the system each have their own
            if of_the_others(error):
                raise
            raise RunError(
                f"cannot save the checkpoint of step {progress.step} in {self.folder}: "
                f"{reason(error)}; {self.kept()}; mend that, then go on by train --resume"
            ) from error

    def differences(self, step: int, like: Any) -> str | None:
        """How the arrays of a checkpoint differ in shape from those of `like`, in words.

        None if they do not, or if the checkpoint is too damaged to tell.
        """
        folder = self.folder.absolute() / str(step) / "state"
        try:
            found = _shapes(ocp.StandardCheckpointHandler().metadata(folder).tree)
        except Exception:  # damage has as many faces as there are files
            return None
        wanted = _shapes(like)
        for name in sorted(found.keys() | wanted.keys()):
            there, here = found.get(name, "none"), wanted.get(name, "none")
            if there != here:
                return f"the shape of {name} is {there} where {here} is expected"
        return None

    def restore(self, step: int, like: Any) -> tuple[Any, Progress]:
        """A checkpoint, checked to be what was saved.

        Args:
            step: one of `steps`.
            like: a pytree of the shapes and dtypes of the state.

        Raises:
            RunError: it is damaged, or of another model.
        """
        items = ocp.args.Composite(
            state=ocp.args.StandardRestore(like), progress=ocp.args.JsonRestore()
        )
        try:
            found = self._manager.restore(step, args=items)
            record = dict(found.progress)
            digest = record.pop("digest")
            recent = tuple((loss, norm) for loss, norm in record.pop("recent"))
            progress = Progress(**record, recent=recent)
            sound = digest == _digest(found.state, progress)
        except Exception as error:  # damage has as many faces as there are files
            if of_the_others(error):
                raise
            raise RunError(
                f"the checkpoint of step {step} in {self.folder} is damaged, or was written by "
                "another version"
            ) from error
        if not sound:
            raise RunError(f"the checkpoint of step {step} in {self.folder} is damaged")
        return found.state, progress

    def last_good(self, like: Any) -> int | None:
        """The latest step whose checkpoint is sound, if there is one."""
        for step in reversed(self.steps()):
            try:
                self.restore(step, like)
            except RunError:
                continue
            return step
        return None

    def forget_after(self, step: int) -> None:
        """Delete the checkpoints of later steps, which the run is about to write again."""
        for later in self.steps():
            if later > step:
                self._manager.delete(later)


def _hush() -> None:
    """Leave it to the exception to say that a save failed, once and in one line.

    Orbax logs it as well, and then drops its event loop with tasks in it and with tensorstore's
    threads still reporting to it: asyncio, Python and the threads each complain of that.
    """
    for name in ("absl", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    sys.unraisablehook = _unraisable


def _unraisable(what: sys.UnraisableHookArgs) -> None:
    # A coroutine of orbax that nobody waits for any more: it has raised already, or its loop ended.
    code = getattr(what.object, "cr_code", None)
    left = code is not None and "orbax" in code.co_filename
    if not left and str(what.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(what)


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """The shape of each array, by its place in the state."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): tuple(leaf.shape)
        for path, leaf in jax.tree.leaves_with_path(tree)
        if getattr(leaf, "shape", None) is not None
    }


def _digest(state: Any, progress: Progress) -> str:
    """The same however the arrays are split over devices and processes."""
    sums = np.array([_weighed(leaf) for leaf in jax.tree.leaves(state)], np.uint64)
    if jax.process_count() > 1:
        # As bytes, for JAX has no integers of 64 bits unless it is told.
        every = multihost_utils.process_allgather(sums.view(np.uint8))
        sums = np.asarray(every).view(np.uint64).sum(0, dtype=np.uint64)
    digest = hashlib.sha256(json.dumps(progress).encode())
    digest.update(sums.tobytes())
    return digest.hexdigest()


def _weighed(x: jax.Array) -> int:
    """A sum of the bits of each number times its odd weight, modulo 2**64.

    Of what lies on this process's devices, each part counted once. No single number can change
    without it.
    """
    total = 0
    for part in jnp.asarray(x).addressable_shards:
        if part.replica_id:
            continue
        data = np.ascontiguousarray(part.data)
        bits = data.reshape(-1).view(f"u{data.itemsize}").astype(np.uint64)
        place = np.zeros((), np.uint64)
        for size, axis in zip(x.shape, part.index, strict=True):
            at = np.arange(*axis.indices(size), dtype=np.uint64)
            place = place[..., None] * np.uint64(size) + at
        # Not the place itself: two equal changes a fixed distance apart must not cancel.
        weights = (place.reshape(-1) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        weights ^= weights >> np.uint64(32)
        total += int((bits * (weights | np.uint64(1))).sum(dtype=np.uint64))
    return total % 2**64
