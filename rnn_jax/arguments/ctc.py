"""What connectionist temporal classification reads: logits of every step, one class a blank."""

from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.arguments.arrays import array, count_of_steps
from rnn_jax.arguments.settings import at_least
from rnn_jax.errors import ArgumentError, DtypeError, ShapeError


def ctc_logits(
    caller: str, logits: Any, lengths: Any, blank: Any
) -> tuple[jax.Array, jax.Array, int]:
    """Logits `(T, *batch, V)`, lengths `(*batch)` int32, all T for None, and the blank."""
    logits = array(f"{caller}: logits", logits)
    if logits.ndim < 2 or 0 in (len(logits), logits.shape[-1]):
        raise ShapeError(
            f"{caller}: logits must have shape (T, *batch, V) and at least one step, got "
            f"{logits.shape}."
        )
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise DtypeError(
            f"{caller}: logits must be floating, got {logits.dtype}; logits.astype converts it."
        )
    steps, *batch, classes = logits.shape
    blank = at_least(0)(f"{caller}: blank", blank)
    if blank >= classes:
        raise ArgumentError(
            f"{caller}: blank must be a class, from 0 to {classes - 1}, got {blank}."
        )
    if lengths is None:
        return logits, jnp.full(batch, steps, jnp.int32), blank
    counted = count_of_steps(f"{caller}: lengths", lengths, tuple(batch), 0, steps, "logits")
    return logits, counted, blank
