"""What decoders of a model share: a cell that reads a token a step, and a prompt that it read."""

from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.arguments import integers
from rnn_jax.arguments.arrays import count_of_steps, taken, taken_tree
from rnn_jax.arguments.settings import Of
from rnn_jax.arithmetic import widened
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.checks import check_input, check_layer, check_params
from rnn_jax.errors import ArgumentError, ShapeError
from rnn_jax.unroll import step, unroll


def checked(
    caller: str, cell: Any, params: Params, prompt: Any, lengths: Any
) -> tuple[Params, jax.Array, jax.Array | None]:
    """Params, prompt and its lengths; raises where they are nothing to go on from."""
    check_layer(caller, cell, Cell)
    if cell.input.shape != () or not jnp.issubdtype(cell.input.kind, jnp.integer):
        raise ShapeError(
            f"{caller}: the cell must read one token a step, an integer, to be fed what it has "
            f"said; {cell!r} reads {cell.input.kind.__name__} of shape {cell.input.shape}. A stack "
            "that begins with an Embedding does."
        )
    if cell.deterministic() != cell:
        raise ArgumentError(
            f"{caller}: {cell!r} is random by itself; decode by cell.deterministic(), which takes "
            "the same params."
        )
    params, prompt = taken_tree(cell, "params", params), taken(Of(cell, "prompt"), prompt)
    batch = check_input(cell, "prompt", prompt, check_params(cell, params, prompt), axes=1)
    if len(prompt) == 0:
        raise ShapeError(
            f"{caller}: prompt must have at least one step, for the cell to say what comes next, "
            f"got shape {tuple(prompt.shape)}."
        )
    if lengths is not None:
        lengths = count_of_steps(f"{caller}: lengths", lengths, batch, 1, len(prompt), "prompt")
    return params, integers.as_jax(prompt), lengths


def read(
    cell: Cell, params: Params, prompt: jax.Array, lengths: jax.Array | None, carry: Carry | None
) -> tuple[Carry, jax.Array]:
    """The carry before the last token of each prompt, and that token: what the next step reads.

    So the logits of a prompt are not made, but for the last.
    """
    if lengths is None:
        before, last = None, prompt[-1]
    else:
        before = jnp.where(lengths > 0, lengths - 1, -1)  # -1 stays: then the carry is NaN
        last = jnp.take_along_axis(prompt, jnp.maximum(before, 0)[None], 0)[0]
    carry, _ = unroll(cell, params, prompt[:-1], carry, lengths=before)
    last = last.astype(jnp.int32)
    return carry, last if before is None else jnp.where(before < 0, -1, last)


def say(
    caller: str, cell: Cell, params: Params, token: jax.Array, carry: Carry, end: int | None
) -> tuple[Carry, jax.Array]:
    """A step: the next carry, and logits `(*batch, V)`, in float32 at least."""
    carry, logits = step(cell, params, token, carry)
    if logits.ndim != token.ndim + 1:
        raise ShapeError(
            f"{caller}: the cell must emit logits (*batch, V) of the next token; of tokens of "
            f"shape {token.shape} {cell!r} makes {logits.shape}."
        )
    if end is not None and end >= logits.shape[-1]:
        raise ArgumentError(
            f"{caller}: end must be a token, from 0 to {logits.shape[-1] - 1}, got {end}."
        )
    return carry, widened(logits)
