"""Checks of the arguments that all tasks share."""

from typing import Any

import jax

from rnn_jax.arguments.arrays import one_key
from rnn_jax.arguments.settings import Rule, floating, positive


def check_settings(
    caller: str, key: Any, length: Any, batch_size: Any, dtype: Any, long_enough: Rule = positive
) -> tuple[jax.Array, int, int, Any]:
    """The checked key, length, batch size and dtype."""
    return (
        one_key(f"{caller}: key", key),
        long_enough(f"{caller}: length", length),
        positive(f"{caller}: batch_size", batch_size),
        floating(f"{caller}: dtype", dtype),
    )
