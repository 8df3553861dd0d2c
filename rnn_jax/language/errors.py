"""What can go wrong in the main job, sorted by what the user can do about it."""

from __future__ import annotations

from rnn_jax.errors import RNNError


class InputError(RNNError, ValueError):
    """A setting or an input file that cannot be used. Mend the command and try again."""


class RunError(RNNError):
    """A run that cannot go on: its folder, a checkpoint, its numbers. Says what is kept."""


class Lost(RunError):
    """Another process of the run is gone. The message says how to go on."""


class Interrupted(RNNError):
    """The user pressed ctrl-C. The message says how to go on."""


def reason(error: BaseException) -> str:
    """Why a file could not be read or written, in a few words."""
    text = str(error)
    if "No space left on device" in text or "ENOSPC" in text:
        return "no space left on the disk"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # Tensorstore's messages go from the general to the particular, and end in an error number.
    lines = text.strip().splitlines() or [type(error).__name__]
    return lines[0].split(" [")[0].rsplit(": ", 1)[-1]
