"""The minimal GRU, whose gates read the input alone."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arithmetic import affine, sigmoid, split, widened
from rnn_jax.cells.gated import InputGatedCell
from rnn_jax.cells.linear import Coefficients, LinearCarry, LinearCell


class MinGRUParams(NamedTuple):
    """`2 (D H + H)` numbers; on the last axis the gate z, then the candidate n."""

    w_xh: jax.Array
    """`(input_size, 2 * hidden_size)`."""
    b_h: jax.Array
    """`(2 * hidden_size,)`."""


@dataclasses.dataclass(frozen=True)
class MinGRU(LinearCell, InputGatedCell):
    """The minimal GRU: one gate, which reads the input alone, and a candidate without activation.

    `z, n = split(x_t @ w_xh + b_h)`, `h_t = (1 - sigmoid(z)) h_{t-1} + sigmoid(z) n`; h is emitted.

    Shapes: x `(*batch, D)`, h `(*batch, H)`. Parameters: `2 (D H + H)`. Cost of a step: `4 B D H`
    operations, none of them in the loop, and about `10 B H` in it, with two exponentials a unit.
    Source: Feng et al., Were RNNs all we needed?, 2024, arXiv:2410.01201, section 3.1.
    `memory_bias` draws what z starts with, with the sign turned, for z lets go of the old state.

    As no gate sees the state, it takes two layers or more to select by what came before.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.MinGRU(input_size=3, hidden_size=5)
    >>> carry, hs = rnn.unroll(cell, cell.init(jax.random.key(0)), jnp.ones((7, 2, 3)))
    >>> carry.h.shape, hs.shape
    ((2, 5), (7, 2, 5))

    Raises `ArgumentError` for a size that is not a positive integer.
    """

    gates = ("gate", "candidate")

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> MinGRUParams:
        """Draw the weights gate by gate."""
        remember, _ = self.memory_biases(key, dtype)
        none = jnp.zeros_like(remember)
        return MinGRUParams(self.input_weights(key, dtype), jnp.concatenate([0 - remember, none]))

    def initial_carry(self, params: MinGRUParams, batch_shape: tuple[int, ...] = ()) -> LinearCarry:
        """Zeros."""
        return LinearCarry(jnp.zeros((*batch_shape, self.hidden_size), params.w_xh.dtype))

    def project(self, params: MinGRUParams, xs: jax.Array) -> tuple[jax.Array, ...]:
        """`split(x @ w_xh + b_h)`."""
        return split(affine(xs, params.w_xh, params.b_h), 2)

    def coefficients(self, params: MinGRUParams, z: tuple[jax.Array, ...]) -> Coefficients:
        """What is kept of the old state, and what is written."""
        del params
        let_go, new = map(widened, z)
        return Coefficients(LinearCarry(sigmoid(-let_go)), LinearCarry(sigmoid(let_go) * new))
