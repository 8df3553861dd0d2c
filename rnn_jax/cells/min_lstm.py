"""The minimal LSTM, whose gates read the input alone."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arithmetic import affine, sigmoid, split, widened
from rnn_jax.cells.gated import InputGatedCell
from rnn_jax.cells.linear import Coefficients, LinearCarry, LinearCell


class MinLSTMParams(NamedTuple):
    """`3 (D H + H)` numbers; gates on the last axis in the order i f n."""

    w_xh: jax.Array
    """`(input_size, 3 * hidden_size)`."""
    b_h: jax.Array
    """`(3 * hidden_size,)`."""


@dataclasses.dataclass(frozen=True)
class MinLSTM(LinearCell, InputGatedCell):
    """The minimal LSTM: two gates, which read the input alone and share 1 between them.

    `i, f, n = split(x_t @ w_xh + b_h)`, `i, f = sigmoid(i), sigmoid(f)`,
    `h_t = f / (f + i) h_{t-1} + i / (f + i) n`; h is emitted.

    Shapes: x `(*batch, D)`, h `(*batch, H)`. Parameters: `3 (D H + H)`. Cost of a step: `6 B D H`
    operations, none of them in the loop, and about `20 B H` in it, with six exponentials and
    logarithms a unit. Source: Feng et al., Were RNNs all we needed?, 2024, arXiv:2410.01201,
    section 3.2. `memory_bias` draws the biases of f, which remembers, and of i, which writes.

    As `MinGRU`, with one more gate: the two say apart how much to keep and how much to write, and
    only their ratio counts.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.MinLSTM(input_size=3, hidden_size=5)
    >>> carry, hs = rnn.unroll(cell, cell.init(jax.random.key(0)), jnp.ones((7, 2, 3)))
    >>> carry.h.shape, hs.shape
    ((2, 5), (7, 2, 5))

    Raises `ArgumentError` for a size that is not a positive integer.
    """

    gates = ("input gate", "forget gate", "candidate")

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> MinLSTMParams:
        """Draw the weights gate by gate."""
        remember, write = self.memory_biases(key, dtype)
        biases = jnp.concatenate([write, remember, jnp.zeros_like(write)])
        return MinLSTMParams(self.input_weights(key, dtype), biases)

    def initial_carry(
        self, params: MinLSTMParams, batch_shape: tuple[int, ...] = ()
    ) -> LinearCarry:
        """Zeros."""
        return LinearCarry(jnp.zeros((*batch_shape, self.hidden_size), params.w_xh.dtype))

    def project(self, params: MinLSTMParams, xs: jax.Array) -> tuple[jax.Array, ...]:
        """`split(x @ w_xh + b_h)`."""
        return split(affine(xs, params.w_xh, params.b_h), 3)

    def coefficients(self, params: MinLSTMParams, z: tuple[jax.Array, ...]) -> Coefficients:
        """What is kept of the old state, and what is written."""
        del params
        i, f, new = map(widened, z)
        # f / (f + i) = sigmoid(log f - log i): exact where both gates are nearly shut.
        odds = jax.nn.softplus(-i) - jax.nn.softplus(-f)
        return Coefficients(LinearCarry(sigmoid(odds)), LinearCarry(sigmoid(-odds) * new))
