"""Sampling: the network is fed what it has just said."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.arguments import integers
from rnn_jax.arguments.arrays import one_key, reals, taken, taken_tree
from rnn_jax.arguments.settings import Of, not_negative, positive
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.checks import check_input, check_layer, check_params
from rnn_jax.errors import ArgumentError, ShapeError
from rnn_jax.unroll import step, unroll


def sample(
    cell: Cell, params: Params, prompt: Any, length: int, temperature: Any, key: jax.Array
) -> jax.Array:
    """Draw tokens after a prompt, each from what the cell says of all before it.

    The cell reads the prompt; then `x_{t+1} ~ softmax(logits_t / temperature)` is drawn, and read
    as the next token. With temperature 1 these are samples of the model's own distribution of
    sequences; with less, its likely tokens come more often; with 0 the likeliest is taken each
    time, the first of several.

    Pure, and can be compiled with a static `length`; by itself it is compiled once for a cell, a
    length and shapes. Cost: `unroll` over the prompt, then `length - 1` steps in one loop. Sources:
    Sutskever, Martens & Hinton, Generating text with recurrent neural networks, ICML 2011; drawn by
    the largest of logits with Gumbel noise: Gumbel, 1954.

    Args:
      cell: Token ids `(*batch)` -> logits `(*batch, V)` of the next token, without noise: such as
        `stack(Embedding(V, D), GRU(D, H), Dense(H, V))`.
      params: Its params.
      prompt: `(T, *batch)` of integers, T at least 1: what was said before.
      length: How many tokens are drawn.
      temperature: A scalar of 0 or more. Traced, it is not looked at.
      key: Decides what is drawn. Sequences of a batch are drawn independently of one another.

    Returns:
      `(length, *batch)` int32: what comes after the prompt; -1 where the cell says NaN, as after a
      token that is outside its vocabulary.

    Raises:
      ArgumentError: length or temperature out of range, or the cell is noisy.
      ShapeError: The prompt has no step, or the cell reads or emits something else.
      StructureError, DtypeError: As `unroll`.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> model = rnn.stack(rnn.Embedding(9, 4), rnn.GRU(4, 5), rnn.Dense(5, 9))
    >>> params = model.init(jax.random.key(0))
    >>> prompt = jnp.zeros((3, 2), int)
    >>> rnn.decoding.sample(model, params, prompt, 7, 1.0, jax.random.key(1)).shape
    (7, 2)
    """
    check_layer("sample", cell, Cell)
    if cell.input.shape != () or not jnp.issubdtype(cell.input.kind, jnp.integer):
        raise ShapeError(
            f"sample: the cell must read one token a step, an integer, to be fed what it has said; "
            f"{cell!r} reads {cell.input.kind.__name__} of shape {cell.input.shape}. A stack that "
            "begins with an Embedding does."
        )
    if cell.deterministic() != cell:
        raise ArgumentError(
            f"sample: {cell!r} is random by itself; sample from cell.deterministic(), which takes "
            "the same params."
        )
    params, prompt = taken_tree(cell, "params", params), taken(Of(cell, "prompt"), prompt)
    check_input(cell, "prompt", prompt, check_params(cell, params, prompt), axes=1)
    if len(prompt) == 0:
        raise ShapeError(
            f"sample: prompt must have at least one step, for the cell to say what comes next, got "
            f"shape {tuple(prompt.shape)}."
        )
    length = positive("sample: length", length)
    key = one_key("sample: key", key)
    if not isinstance(temperature, jax.core.Tracer):
        temperature = not_negative("sample: temperature", temperature)
    elif reals("sample: temperature", temperature).shape:
        raise ShapeError(f"sample: temperature must be a scalar, got shape {temperature.shape}.")
    return _sample(cell, params, integers.as_jax(prompt), length, temperature, key)


@functools.partial(jax.jit, static_argnums=(0, 3))
def _sample(
    cell: Cell, params: Params, prompt: jax.Array, length: int, temperature: Any, key: jax.Array
) -> jax.Array:
    carry, logits = unroll(cell, params, prompt)
    if logits.ndim != prompt.ndim + 1:
        raise ShapeError(
            f"sample: the cell must emit logits (*batch, V) of the next token; of a prompt of "
            f"shape {prompt.shape} {cell!r} makes {logits.shape}."
        )

    def choose(logits: jax.Array, key: jax.Array) -> jax.Array:
        # Gumbel's trick with the temperature on the noise: at 0 what is left is the argmax.
        noise = jax.random.gumbel(key, logits.shape, logits.dtype)
        warmth = jnp.asarray(temperature, logits.dtype)
        token = jnp.argmax(logits + warmth * noise, -1).astype(jnp.int32)
        # The largest of NaN would be token 0, a silent lie.
        return jnp.where(jnp.isnan(logits).any(-1), -1, token)

    def advance(
        state: tuple[Carry, jax.Array], key: jax.Array
    ) -> tuple[tuple[Carry, jax.Array], jax.Array]:
        carry, token = state
        carry, logits = step(cell, params, token, carry)
        token = choose(logits, key)
        return (carry, token), token

    first, *_ = keys = jax.random.split(key, length)
    token = choose(logits[-1], first)
    _, rest = jax.lax.scan(advance, (carry, token), keys[1:])
    return jnp.concatenate([token[None], rest])
