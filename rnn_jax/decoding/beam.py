"""Beam search: the sequences of highest probability that a model can be found to say."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax.arguments.arrays import scalar
from rnn_jax.arguments.settings import at_least, finite, positive
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.decoding.ranking import best, join, pick
from rnn_jax.decoding.reading import checked, read, say
from rnn_jax.decoding.sequences import NBest
from rnn_jax.errors import ArgumentError


def beam(
    cell: Cell,
    params: Params,
    prompt: Any,
    length: int,
    width: int,
    end: int,
    *,
    n_best: int = 1,
    length_penalty: Any = 0.0,
    lengths: Any = None,
    carry: Carry | None = None,
) -> NBest:
    """Search the `n_best` sequences that score highest among all that can come after a prompt.

    The score of a sequence y of n tokens, the token `end` among them, is `log p(y | prompt) /
    ((5 + n) / 6)^length_penalty`. With a penalty of 0 that is its log-probability, which favours
    short ones; 0.6 to 1 is usual in translation.

    At each step there are K = `width` prefixes that have not ended. Of all their continuations by
    one token, the K most probable that do not end live on; those that end are complete, if they are
    among the K most probable of all. Complete ones are kept apart, the `n_best` of highest score.
    So K = 1 with no penalty is greedy decoding, and if K is no less than the number of
    continuations, `(V - 1)^(length - 1) V`, the search is exhaustive.

    It stops before `length` where no prefix can make a better sequence than the worst that is kept.
    That is known: log p never rises when a sequence goes on, for each token adds a log-probability,
    which is not above 0. So a prefix of t tokens with log-probability s <= 0 ends with at most s,
    after n tokens, t < n <= length; divided by the penalty that is at most s over the larger of the
    penalties of t + 1 and of `length` tokens, for the penalty is monotone in n.

    Pure, and can be compiled with static `length`, `width`, `end` and `n_best`; another
    `length_penalty` is no other program. Cost: `unroll` over the prompt, then a loop of at most
    `length` steps of a batch K times as large, in which carries and tokens are gathered.
    Sources: Lowerre, The Harpy speech recognition system, 1976; the penalty: Wu et al., Google's
    neural machine translation system, arXiv:1609.08144, 2016; that the end counts if it is among
    the first K: Ott et al., fairseq, NAACL 2019.

    Args:
      cell: Token ids `(*batch)` -> logits `(*batch, V)` of the next token, without noise. It is run
        on a batch of `(K, *batch)`.
      params: Its params.
      prompt: `(T, *batch)` of integers, T at least 1: what was said before, or the token with which
        a sequence begins.
      length: How many tokens a sequence has at most.
      width: K, how many prefixes are followed.
      end: The token with which a sequence ends.
      n_best: How many sequences are returned, at most K.
      length_penalty: A scalar. Traced, it is not looked at.
      lengths: `(*batch)` of integers from 1 to T, how long each prompt is; all T if None.
      carry: Where the cell starts to read the prompt, such as the state of an encoder;
        `cell.initial_carry` if None.

    Returns:
      `NBest(tokens (length, n_best, *batch), lengths, scores (n_best, *batch))`. First come the
      sequences that ended, the best first; only where there are fewer than `n_best` come prefixes
      that were cut off at `length`, the best first; only where there are fewer still, as with a
      width of more than there are sequences, a score of -inf and a length of 0. The end counts in
      the length, and is repeated after it. Where the logits of a prefix are NaN, infinite or all
      -inf, nothing is known of the rest: the token is -1, with a length of 1 and a score of NaN.

    Raises:
      ArgumentError: length, width, end, n_best or lengths out of range, or the cell is noisy.
      ShapeError: The prompt has no step, or the cell reads or emits something else.
      StructureError, DtypeError: As `unroll`.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> model = rnn.stack(rnn.Embedding(9, 4), rnn.GRU(4, 5), rnn.Dense(5, 9))
    >>> params = model.init(jax.random.key(0))
    >>> begin = jnp.zeros((1, 2), int)
    >>> found = rnn.decoding.beam(model, params, begin, 7, width=4, end=8, n_best=3)
    >>> found.tokens.shape, found.scores.shape, bool((jnp.diff(found.scores, axis=0) <= 0).all())
    ((7, 3, 2), (3, 2), True)
    """
    params, prompt, lengths = checked("beam", cell, params, prompt, lengths)
    length, width = positive("beam: length", length), positive("beam: width", width)
    end, n_best = at_least(0)("beam: end", end), positive("beam: n_best", n_best)
    if n_best > width:
        raise ArgumentError(f"beam: n_best must be at most width, {width}, got {n_best}.")
    power = scalar(finite)("beam: length_penalty", length_penalty)
    return _beam(cell, length, width, end, n_best, params, prompt, lengths, carry, power)


class _Live(NamedTuple):
    """The prefixes that have not ended, the most probable first."""

    tokens: jax.Array
    """`(K, *batch, length)`: the beam leads, so that all is gathered in one way."""
    last: jax.Array
    log_p: jax.Array
    """`(K, *batch)`; -inf where there are fewer prefixes."""
    carry: Carry


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3, 4))
def _beam(
    cell: Cell,
    length: int,
    width: int,
    end: int,
    n_best: int,
    params: Params,
    prompt: jax.Array,
    lengths: jax.Array | None,
    carry: Carry | None,
    power: Any,
) -> NBest:
    def penalty(n: Any, dtype: Any) -> jax.Array:
        return ((5 + jnp.asarray(n, dtype)) / 6) ** jnp.asarray(power, dtype)

    def going_on(state: Any) -> jax.Array:
        t, live, ended, lost = state
        largest = jnp.maximum(*(penalty(n, live.log_p.dtype) for n in (t + 1, length)))
        hopeful = live.log_p[0] / largest > ended.scores[-1]
        return (t < length) & (hopeful & ~lost).any()

    def advance(state: Any) -> Any:
        t, live, ended, lost = state
        carry, logits = say("beam", cell, params, live.last, live.carry, end)
        sound = jnp.isfinite(logits.max(-1))
        lost |= (~sound & (live.log_p > -jnp.inf)).any(0)
        log_p = live.log_p[..., None] + jax.nn.log_softmax(logits)
        log_p = jnp.where(sound[..., None], log_p, -jnp.inf)
        words = log_p.shape[-1]
        log_p = jnp.moveaxis(log_p, -1, 1).reshape(-1, *live.last.shape[1:])
        # At most K of them end, one a prefix: among 2K there are K that do not, if there are any.
        log_p, places = best(log_p, min(2 * width, len(log_p)))
        parents, tokens = places // words, (places % words).astype(jnp.int32)
        sequences = pick(live.tokens, parents).at[..., t].set(tokens)
        # Those that end, beside those that ended before; of equals the earlier one stays.
        ends = tokens == end
        rank = jax.lax.broadcasted_iota(jnp.int32, ends.shape, 0)
        scores = jnp.where(ends & (rank < width), log_p / penalty(t + 1, log_p.dtype), -jnp.inf)
        complete = join(ended, NBest(sequences, jnp.full_like(tokens, t + 1), scores))
        ended = pick(complete, best(complete.scores, n_best)[1])
        # Those that go on.
        log_p, places = best(jnp.where(ends, -jnp.inf, log_p), width)
        last, sequences, parents = pick((tokens, sequences, parents), places)
        return t + 1, _Live(sequences, last, log_p, pick(carry, parents)), ended, lost

    carry, token = read(cell, params, prompt, lengths, carry)

    def beams(x: jax.Array) -> jax.Array:
        return jnp.broadcast_to(x[None], (width, *x.shape))

    # In what the cell says logits in, or float32: found without running it.
    dtype = jax.eval_shape(lambda: say("beam", cell, params, token, carry, end)[1]).dtype
    carry, last = jax.tree.map(beams, (carry, token))
    nothing = NBest(
        tokens=jnp.full((*last.shape, length), end, jnp.int32),
        lengths=jnp.zeros_like(last),
        scores=jnp.full(last.shape, -jnp.inf, dtype),
    )
    live = _Live(nothing.tokens, last, nothing.scores.at[0].set(0.0), carry)
    ended = jax.tree.map(lambda x: x[:n_best], nothing)
    state = (jnp.int32(0), live, ended, jnp.zeros(token.shape, bool))
    t, live, ended, lost = jax.lax.while_loop(going_on, advance, state)

    cut = NBest(live.tokens, jnp.full_like(live.last, t), live.log_p / penalty(t, dtype))
    found = join(ended, cut)
    # Both are in order: what is none goes to the end, and nothing else is moved.
    found = pick(found, jnp.argsort(found.scores == -jnp.inf, axis=0, stable=True)[:n_best])
    return settled(found, lost, end)


def settled(found: NBest, lost: jax.Array, fill: int) -> NBest:
    """The result with time in front, and what is none or lost told as such."""
    none = found.scores == -jnp.inf
    tokens = jnp.where(none[..., None], fill, found.tokens)
    return NBest(
        tokens=jnp.moveaxis(jnp.where(lost[None, ..., None], -1, tokens), -1, 0),
        lengths=jnp.where(lost[None], 1, jnp.where(none, 0, found.lengths)),
        scores=jnp.where(lost[None], jnp.nan, found.scores),
    )
