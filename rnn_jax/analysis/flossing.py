"""Gradient flossing: Lyapunov exponents as a loss."""

from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.analysis.arguments import Marks, sequences
from rnn_jax.analysis.flatten import flat_sequences
from rnn_jax.analysis.lyapunov import TANGENT, measure
from rnn_jax.cell import Carry, Cell, Params


def flossing_loss(
    cell: Cell,
    params: Params,
    xs: Any,
    carry: Carry | None = None,
    *,
    k: int,
    warmup: int = 0,
    warmup_q: int = 0,
    every: int = 1,
    key: jax.Array | None = None,
    lengths: Any = None,
    mask: Any = None,
) -> jax.Array:
    """The mean square of the k largest finite-time Lyapunov exponents, to be brought to zero.

    `L = 1/k sum_i l_i^2`, with `l_i = 1/T sum_t log |R_t[i, i]|` as in `lyapunov_spectrum`, and
    its mean over the batch. At zero, k directions of the gradient neither vanish nor explode
    over the length of xs. Minimise it before training, at times during it, or as a term of the
    loss.

    The derivative is exact, also through the state and through Q, except where a direction dies.
    Where a step makes it dependent on the others up to rounding (`eps^(3/4)` of the longest), QR's
    own derivative is noise or NaN, and that step counts as constant; where a step maps it to
    exactly zero, its exponent is -inf and it is left out of the mean. So every finite run has a
    finite loss and a finite gradient.

    Shapes: xs `(T, *batch, ...)`; a scalar. Cost: `lyapunov_spectrum`'s, and about three times
    that for the gradient; memory `O(T (N + N k / every))`. Source: Engelken, NeurIPS 2023,
    arXiv:2312.17306.

    Arguments and errors are those of `lyapunov_spectrum`.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Elman(1, 8)
    >>> params, xs = cell.init(jax.random.key(0)), jnp.zeros((30, 1))
    >>> params = params._replace(w_hh=0.5 * params.w_hh)
    >>> loss = jax.jit(lambda params: rnn.analysis.flossing_loss(cell, params, xs, k=3))
    >>> gradient = jax.jit(jax.grad(loss))
    >>> before = loss(params)
    >>> for _ in range(20):
    ...     grads = gradient(params)
    ...     params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
    >>> bool(loss(params) < 0.1 * before)
    True
    """
    caller = "flossing_loss"
    marks = Marks(lengths, mask)
    given = flat_sequences(cell, sequences(caller, cell, params, xs, carry, marks))
    rates = measure(caller, TANGENT, cell, given, k, warmup, warmup_q, every, key).exponents
    alive = rates != -jnp.inf
    squares = jnp.square(jnp.where(alive, rates, 0))
    return jnp.sum(squares) / jnp.maximum(jnp.sum(alive), 1).astype(squares.dtype)
