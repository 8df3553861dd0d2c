"""What can go wrong in the main job, sorted by what the user can do about it."""

from __future__ import annotations

from rnn_jax.errors import RNNError


class InputError(RNNError, ValueError):
    """A setting or an input file that cannot be used. Mend the command and try again."""


class RunError(RNNError):
    """A run that cannot go on: its folder, a checkpoint, its numbers. Says what is kept."""


class Interrupted(RNNError):
    """The user pressed ctrl-C. The message says how to go on."""
