"""Several processes that train one run: how they meet, agree, and end together.

Each process runs the same program on its own devices, and reads its own rows of each batch. The
first one alone writes; what it finds there, or cannot do, the others are told.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from rnn_jax.errors import RNNError
from rnn_jax.language.errors import Lost, RunError, reason
from rnn_jax.language.workers import FROM_CLUSTER, Workers
from rnn_jax.process.aborts import say_when_aborted

_UNHEARD = 20
"""Seconds after which a process that says nothing counts as lost."""
_MEETING = 300
"""Seconds that the first to come wait for the others."""
_LONGEST = 4096
"""Bytes of what processes tell each other."""
_SIGNS = ("Gloo", "NCCL", "oordination", "distributed service", "DEADLINE_EXCEEDED", "UNAVAILABLE")
"""What errors of the runtime have in their text when another process does not answer."""


def join(workers: Workers) -> None:
    """Wait for the other processes; from here on all of them work on one run.

    Must come before anything asks JAX for its devices.

    Raises:
        RunError: they do not come, or cannot be reached.
    """
    if workers.coordinator is None:
        return
    missed = (
        f"the processes of this run did not meet at {workers.coordinator} within {_MEETING} "
        "seconds; start each of them with the same --coordinator and --processes, and with a "
        "--process-id of its own"
    )
    say_when_aborted(f"error: {missed}")
    place = workers.coordinator if workers.coordinator != FROM_CLUSTER else None
    try:
        jax.distributed.initialize(
            place,
            workers.processes,
            workers.process_id,
            initialization_timeout=_MEETING,
            heartbeat_timeout_seconds=_UNHEARD,
            shutdown_timeout_seconds=_UNHEARD,
        )
    except (RuntimeError, ValueError) as error:
        raise RunError(f"{missed} ({reason(error)})") from error
    if not is_first():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 -- for good


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return jax.process_index() == 0


def together(f: Callable[[], Any]) -> Any:
    """What `f` returns, which every process runs; where one of them fails, all do.

    Raises:
        RNNError: that of this process, or what another one said.
    """
    if jax.process_count() == 1:
        return f()
    found, failed = None, None
    try:
        found = f()
    except (RNNError, OSError) as error:
        failed = error
    said = _exchanged("" if failed is None else str(failed))
    if failed is not None:
        raise failed
    for number, sentence in enumerate(said):
        if sentence:
            raise RunError(f"process {number} of {len(said)}: {sentence}")
    return found


def from_first(f: Callable[[], Any]) -> Any:
    """What `f` returns in the first process, which alone runs it, as JSON has it.

    Raises:
        RNNError: what the first process raised, in words.
    """
    if jax.process_count() == 1:
        return f()
    answer = together(lambda: json.dumps(f()) if is_first() else "")
    return json.loads(_exchanged(answer)[0])


def same(what: str, value: str) -> None:
    """Make sure that all processes have the same of something.

    Raises:
        RunError: they do not.
    """
    if jax.process_count() == 1:
        return
    values = _exchanged(value)
    other = [number for number, one in enumerate(values) if one != values[0]]
    if other:
        raise RunError(
            f"process {other[0]} has other {what} than the first one; all processes must be "
            "started with the same options, and read the same text"
        )


@contextlib.contextmanager
def mourned(again: str) -> Iterator[None]:
    """Turn what the runtime does when another process is gone into a sentence.

    Args:
        again: how to go on, in words.

    Raises:
        Lost: another process ended.
    """
    if jax.distributed.is_initialized():
        say_when_aborted(f"error: {_lost(again)}")
    try:
        yield
    except Exception as error:  # the runtime and orbax each have their own
        if not of_the_others(error):
            raise
        raise Lost(_lost(again)) from error


def of_the_others(error: Exception) -> bool:
    """Whether an error says that another process does not answer."""
    ours = isinstance(error, RNNError)
    return not ours and jax.process_count() > 1 and any(sign in str(error) for sign in _SIGNS)


def _lost(again: str) -> str:
    return (
        "another process of this run ended or cannot be reached, and no process can go on alone; "
        f"{again}"
    )


def _exchanged(text: str) -> list[str]:
    """What each process says, the first one's first."""
    content = text.encode()[:_LONGEST]
    own = np.zeros(_LONGEST, np.uint8)
    own[: len(content)] = np.frombuffer(content, np.uint8)
    rows = multihost_utils.process_allgather(own)
    return [bytes(row).rstrip(b"\0").decode(errors="replace") for row in np.asarray(rows)]
