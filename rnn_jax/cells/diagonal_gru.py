"""The gated recurrent unit with a diagonal recurrence."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arithmetic import affine, split
from rnn_jax.cells.diagonal import DiagonalCell
from rnn_jax.cells.gru import GRUCarry, mix


class DiagonalGRUParams(NamedTuple):
    """`3 (D H + 2 H)` numbers; gates on the last axis in the order r z n."""

    w_xh: jax.Array
    """`(input_size, 3 * hidden_size)`."""
    w_h: jax.Array
    """`(3 * hidden_size,)`: one recurrent weight a unit and gate."""
    b_h: jax.Array
    """`(3 * hidden_size,)`."""


@dataclasses.dataclass(frozen=True)
class DiagonalGRU(DiagonalCell):
    """A GRU in which each unit hears of its own state only, made for parallel solving.

    `r = sigmoid(x w_xr + w_hr h + b_r)`, `z = sigmoid(x w_xz + w_hz h + b_z)`,
    `n = tanh(x w_xn + r w_hn h + b_n)`, `h_t = (1 - z) n + z h_{t-1}`, unit by unit in h; h is
    emitted. `w_h` starts uniform in `[-1/2, 1/2]`, a choice of this library.

    Shapes: x `(*batch, D)`, h `(*batch, H)`. Parameters: `3 (D H + 2 H)`. Cost of a step: `6 B D H`
    operations, none of them in the loop, and about `25 B H` in it. Source: Danieli et al., ParaRNN:
    Unlocking parallel training of nonlinear RNNs for large language models, 2025,
    arXiv:2510.21450; z keeps the old state, as in `GRU`, and `memory_bias` draws its bias.

    Stack it with dense layers between, which mix the units.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.DiagonalGRU(input_size=3, hidden_size=5)
    >>> carry, hs = rnn.unroll(cell, cell.init(jax.random.key(0)), jnp.ones((7, 2, 3)))
    >>> carry.h.shape, hs.shape
    ((2, 5), (7, 2, 5))

    Raises `ArgumentError` for a size that is not a positive integer.
    """

    gates = ("reset gate", "update gate", "candidate")

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> DiagonalGRUParams:
        """Draw the weights gate by gate."""
        z, _ = self.memory_biases(key, dtype)
        none = jnp.zeros_like(z)
        biases = jnp.concatenate([none, z, none])
        return DiagonalGRUParams(*self.diagonal_weights(key, dtype), b_h=biases)

    def initial_carry(
        self, params: DiagonalGRUParams, batch_shape: tuple[int, ...] = ()
    ) -> GRUCarry:
        """Zeros."""
        return GRUCarry(jnp.zeros((*batch_shape, self.hidden_size), params.w_h.dtype))

    def project(self, params: DiagonalGRUParams, xs: jax.Array) -> tuple[jax.Array, ...]:
        """`split(x @ w_xh + b_h)`."""
        return split(affine(xs, params.w_xh, params.b_h), 3)

    def recur(
        self, params: DiagonalGRUParams, carry: GRUCarry, z: tuple[jax.Array, ...]
    ) -> tuple[jax.Array, ...]:
        """The sums of both gates; the candidate's two parts, which the reset gate keeps apart."""
        (z_r, z_z, z_n), (h_r, h_z, h_n) = z, self.fed_back(params.w_h, carry.h)
        return z_r + h_r, z_z + h_z, z_n, h_n

    def update(self, carry: GRUCarry, a: tuple[jax.Array, ...]) -> GRUCarry:
        """The convex combination of the old state and the candidate."""
        return GRUCarry(mix(carry.h, *a))
