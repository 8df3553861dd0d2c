"""Sampling: the network is fed what it has just said."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.arguments.arrays import one_key
from rnn_jax.arguments.settings import at_least, optional, positive
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.decoding.choosing import Filter, as_pytrees, draw
from rnn_jax.decoding.reading import checked, read, say
from rnn_jax.decoding.sequences import Sequences


def sample(
    cell: Cell,
    params: Params,
    prompt: Any,
    length: int,
    key: jax.Array,
    *filters: Filter,
    end: int | None = None,
    lengths: Any = None,
    carry: Carry | None = None,
) -> Sequences:
    """Draw tokens after a prompt, each from what the cell says of all before it.

    The cell reads the prompt; then `x_{t+1} ~ softmax(f(logits_t))` is drawn, and read as the next
    token. f is the chain of all `filters`, from the first to the last; without any, these are
    samples of the model's own distribution of sequences. Their order matters: `Temperature(0.7),
    TopP(0.9)` leaves no more tokens than `TopP(0.9), Temperature(0.7)`, and often fewer. `TopK(1)`
    alone is greedy decoding; `beam` with a width of 1 is that too, without a key.

    Pure, and can be compiled with a static `length`; by itself it is compiled once for a cell, a
    length, filters and shapes; other numbers in `Temperature`, `TopP` and `MinP` are no other
    program. Cost: `unroll` over the prompt, then a loop of `length` steps, fewer if all sequences
    have ended. Sources: Sutskever, Martens & Hinton, Generating text with recurrent neural
    networks, ICML 2011; drawn by the largest of logits with Gumbel noise: Gumbel, 1954.

    Args:
      cell: Token ids `(*batch)` -> logits `(*batch, V)` of the next token, without noise: such as
        `stack(Embedding(V, D), GRU(D, H), Dense(H, V))`.
      params: Its params.
      prompt: `(T, *batch)` of integers, T at least 1: what was said before.
      length: How many tokens are drawn at most.
      key: Decides what is drawn. Sequences of a batch are drawn independently of one another.
      *filters: `Temperature`, `TopK`, `TopP`, `MinP`, or a function of your own, `logits (*batch,
        V) -> logits (*batch, V)`.
      end: The token with which a sequence ends; None if it goes on to `length`.
      lengths: `(*batch)` of integers from 1 to T, how long each prompt is; all T if None.
      carry: Where the cell starts to read the prompt, such as the state of an encoder;
        `cell.initial_carry` if None.

    Returns:
      `Sequences(tokens (length, *batch), lengths (*batch))`: what comes after the prompt. A
      sequence ends with the token `end`; or with -1 where the logits are NaN, infinite or all
      -inf, as after a token that is outside the vocabulary; or it is cut off at `length`. Its
      last token counts in its length, and is repeated after it.

    Raises:
      ArgumentError: length, end or lengths out of range, what is no filter, or the cell is noisy.
      ShapeError: The prompt has no step, or the cell or a filter reads or emits something else.
      StructureError, DtypeError: As `unroll`.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> model = rnn.stack(rnn.Embedding(9, 4), rnn.GRU(4, 5), rnn.Dense(5, 9))
    >>> params = model.init(jax.random.key(0))
    >>> prompt, key = jnp.zeros((3, 2), int), jax.random.key(1)
    >>> cold = rnn.decoding.Temperature(0.7)
    >>> said = rnn.decoding.sample(model, params, prompt, 7, key, cold, rnn.decoding.TopK(4))
    >>> said.tokens.shape, said.lengths.tolist()
    ((7, 2), [7, 7])
    """
    params, prompt, lengths = checked("sample", cell, params, prompt, lengths)
    length = positive("sample: length", length)
    key = one_key("sample: key", key)
    end = optional(at_least(0))("sample: end", end)
    chosen = as_pytrees("sample", filters)
    return _sample(cell, length, end, params, prompt, lengths, carry, chosen, key)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _sample(
    cell: Cell,
    length: int,
    end: int | None,
    params: Params,
    prompt: jax.Array,
    lengths: jax.Array | None,
    carry: Carry | None,
    filters: tuple[Filter, ...],
    key: jax.Array,
) -> Sequences:
    keys = jax.random.split(key, length)

    def going_on(state: Any) -> jax.Array:
        t, _, _, ended, _, _ = state
        return (t < length) & ~ended.all()

    def advance(state: Any) -> Any:
        t, carry, token, ended, lengths, tokens = state
        carry, logits = say("sample", cell, params, token, carry, end)
        token = jnp.where(ended, token, draw(filters, logits, keys[t]))
        lengths = jnp.where(ended, lengths, t + 1)
        ended |= token < 0
        if end is not None:
            ended |= token == end
        return t + 1, carry, token, ended, lengths, tokens.at[t].set(token)

    carry, token = read(cell, params, prompt, lengths, carry)
    none = jnp.zeros_like(token)
    tokens = jnp.zeros((length, *token.shape), jnp.int32)
    state = (jnp.int32(0), carry, token, none > 0, none, tokens)
    t, _, token, _, lengths, tokens = jax.lax.while_loop(going_on, advance, state)
    drawn = jax.lax.broadcasted_iota(jnp.int32, tokens.shape, 0) < t
    return Sequences(jnp.where(drawn, tokens, token[None]), lengths)
