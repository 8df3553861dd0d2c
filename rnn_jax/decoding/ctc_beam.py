"""Labels out of a network trained by CTC, each by all of its paths: prefix search in a beam."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax.arguments.ctc import ctc_logits
from rnn_jax.arguments.settings import positive
from rnn_jax.arithmetic import widened
from rnn_jax.decoding.beam import settled
from rnn_jax.decoding.ranking import best, join, pick
from rnn_jax.decoding.sequences import NBest
from rnn_jax.errors import ArgumentError
from rnn_jax.recurrence.steps import select


def ctc_beam(
    logits: Any, width: int, *, n_best: int = 1, lengths: Any = None, blank: int = 0
) -> NBest:
    """Search the most probable labels, each with the sum over its paths that the beam has kept.

    After each step there are K = `width` sequences of labels, with the log-probability of the paths
    that end with a blank, and of those that end with the last label: only after a blank is the same
    label said once more. At the next step each stays, by a blank or its last label, or goes on by
    one label; where two become the same, their probabilities are added. The K most probable are
    kept. If K is no less than the number of sequences of at most T labels, the scores are the
    log-probabilities of the labels, minus `ctc_loss`; else they are at most that.

    Pure; compiled once for a width, `n_best`, blank and shapes. Cost: a loop of T steps of K V
    candidates, and K^2 comparisons of T labels each. Sources:
    prefix search: Graves et al., ICML 2006; in a beam: Hannun, Maas, Jurafsky & Ng, First-pass
    large vocabulary continuous speech recognition using bi-directional recurrent DNNs,
    arXiv:1408.2873, 2014 (here without a language model).

    Args:
      logits: `(T, *batch, V)`, floating, T at least 1: of all labels and the blank.
      width: K.
      n_best: How many sequences are returned, at most K.
      lengths: `(*batch)` of integers from 0 to T, how many steps each sequence has; all T if None.
        What logits hold after that does not matter.
      blank: The class that stands for no label.

    Returns:
      `NBest(tokens (T, n_best, *batch), lengths, scores (n_best, *batch))`: labels, and blanks
      after them, the most probable first; a score of -inf where there are no more. Where the logits
      of a step are NaN, infinite or all -inf, or a length is out of range under jit, nothing is
      known: a label is -1, with a length of 1 and a score of NaN.

    Raises:
      ArgumentError: width, n_best, blank or a length out of range.
      ShapeError, DtypeError, StructureError: logits or lengths are not such.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> logits = jnp.log(jnp.array([[0.6, 0.4], [0.6, 0.4]]))  # a blank is the likeliest twice
    >>> found = rnn.decoding.ctc_beam(logits, width=3, n_best=2)
    >>> found.lengths.tolist(), [round(float(p), 2) for p in jnp.exp(found.scores)]
    ([1, 0], [0.64, 0.36])
    """
    logits, lengths, blank = ctc_logits("ctc_beam", logits, lengths, blank)
    width, n_best = positive("ctc_beam: width", width), positive("ctc_beam: n_best", n_best)
    if n_best > width:
        raise ArgumentError(f"ctc_beam: n_best must be at most width, {width}, got {n_best}.")
    return _ctc_beam(width, n_best, blank, logits, lengths)


class _Prefixes(NamedTuple):
    """What may have been said so far, `(K, *batch)` each, the most probable first."""

    labels: jax.Array
    """`(K, *batch, T)`, blanks after the end."""
    length: jax.Array
    last: jax.Array
    """The last label; the blank where there is none yet."""
    by_blank: jax.Array
    """The log-probability of the paths that end with a blank."""
    by_label: jax.Array
    """That of the paths that end with the last label."""

    @property
    def log_p(self) -> jax.Array:
        return jnp.logaddexp(self.by_blank, self.by_label)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _ctc_beam(width: int, n_best: int, blank: int, logits: jax.Array, lengths: jax.Array) -> NBest:
    steps, *batch, classes = logits.shape
    happens = jax.lax.broadcasted_iota(jnp.int32, (steps, *batch), 0) < lengths[None]
    sound = jnp.isfinite(logits.max(-1))
    lost = (happens & ~sound).any(0) | (lengths < 0)
    happens &= sound
    log_p = jax.nn.log_softmax(widened(select(happens, logits, jnp.zeros_like(logits))))

    def advance(now: _Prefixes, step: Any) -> tuple[_Prefixes, None]:
        happens, log_p = step
        stays = now._replace(
            by_blank=now.log_p + log_p[None, ..., blank],
            by_label=now.by_label + pick(jnp.moveaxis(log_p, -1, 0), now.last),
        )
        again = every == now.last[..., None]
        goes_on = jnp.where(again, now.by_blank[..., None], now.log_p[..., None]) + log_p[None]
        goes_on = jnp.where(every == blank, -jnp.inf, goes_on)
        # A prefix and one label more may be another prefix: the probability goes to that one.
        before = jnp.where(place == now.length[..., None] - 1, blank, now.labels)
        after_it = (before[:, None] == now.labels[None]).all(-1) & (now.length > 0)[:, None]
        after_it &= (now.log_p > -jnp.inf)[:, None]
        joins = after_it[..., None] & again[:, None]  # (after, before, *batch, V)
        gained = jnp.where(joins, goes_on[None], -jnp.inf).max((1, -1))
        stays = stays._replace(by_label=jnp.logaddexp(stays.by_label, gained))
        goes_on = jnp.where(joins.any(0), -jnp.inf, goes_on)
        goes_on = jnp.moveaxis(goes_on, -1, 1).reshape(-1, *batch)
        # The best of all: of the K that stay, and behind them the K V that go on.
        _, places = best(join(stays.log_p, goes_on), width)
        more, places_on = places >= width, jnp.maximum(places - width, 0)
        label = (places_on % classes).astype(jnp.int32)
        kept = pick(stays, jnp.where(more, places_on // classes, places))
        new = more[..., None] & (place == kept.length[..., None])
        after = _Prefixes(
            labels=jnp.where(new, label[..., None], kept.labels),
            length=jnp.where(more, kept.length + 1, kept.length),
            last=jnp.where(more, label, kept.last),
            by_blank=jnp.where(more, -jnp.inf, kept.by_blank),
            by_label=jnp.where(more, pick(goes_on, places_on), kept.by_label),
        )
        return select(jnp.broadcast_to(happens[None], places.shape), after, now), None

    every = jax.lax.broadcasted_iota(jnp.int32, (width, *batch, classes), 1 + len(batch))
    place = jax.lax.broadcasted_iota(jnp.int32, (width, *batch, steps), 1 + len(batch))
    none = jnp.full((width, *batch), -jnp.inf, log_p.dtype)
    start = _Prefixes(
        labels=jnp.full((width, *batch, steps), blank, jnp.int32),
        length=jnp.zeros((width, *batch), jnp.int32),
        last=jnp.full((width, *batch), blank, jnp.int32),
        by_blank=none.at[0].set(0.0),
        by_label=none,
    )
    found, _ = jax.lax.scan(advance, start, (happens, log_p))
    several = NBest(found.labels, found.length, found.log_p)
    return settled(jax.tree.map(lambda x: x[:n_best], several), lost, blank)
