"""The gated recurrent unit, with the reset after the matmul."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arithmetic import affine, gate, matmul, pointwise, row, sigmoid, split
from rnn_jax.cells.gated import GatedCell


class GRUParams(NamedTuple):
    """`3 (D H + H^2 + H) + H` numbers; gates on the last axis in the order r z n."""

    w_xh: jax.Array
    """`(input_size, 3 * hidden_size)`."""
    w_hh: jax.Array
    """`(hidden_size, 3 * hidden_size)`."""
    b_h: jax.Array
    """`(3 * hidden_size,)`."""
    b_hn: jax.Array
    """`(hidden_size,)`: the candidate's bias inside the reset."""


class GRUCarry(NamedTuple):
    """What one step hands to the next."""

    h: jax.Array
    """`(*batch, hidden_size)`."""


@dataclasses.dataclass(frozen=True)
class GRU(GatedCell):
    """Gated recurrent unit, reset after the matmul, as in cuDNN, PyTorch and Keras.

    `r = sigmoid(x w_xr + h w_hr + b_r)`, `z = sigmoid(x w_xz + h w_hz + b_z)`,
    `n = tanh(x w_xn + b_n + r (h w_hn + b_hn))`, `h_t = (1 - z) n + z h_{t-1}`; h is emitted.

    Shapes: x `(*batch, D)`, h `(*batch, H)`. Parameters: `3 (D H + H^2 + H) + H`. Cost of a
    step: `6 B H (D + H)` operations forward. Source: Cho et al., Learning phrase representations
    using RNN encoder-decoder, EMNLP 2014; this variant: version 1 of its preprint,
    arXiv:1406.1078. `memory_bias` draws the bias of z, the gate that keeps the old state.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.GRU(input_size=3, hidden_size=5)
    >>> carry, hs = rnn.unroll(cell, cell.init(jax.random.key(0)), jnp.ones((7, 2, 3)))
    >>> carry.h.shape, hs.shape
    ((2, 5), (7, 2, 5))

    Raises `ArgumentError` for a size that is not a positive integer.
    """

    gates = ("reset gate", "update gate", "candidate")

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> GRUParams:
        """Draw the weights gate by gate."""
        w_xh, w_hh = self.gate_weights(key, dtype)
        b_h, b_hn = gate_biases(self, key, dtype)
        return GRUParams(w_xh, w_hh, b_h, b_hn)

    def initial_carry(self, params: GRUParams, batch_shape: tuple[int, ...] = ()) -> GRUCarry:
        """Zeros."""
        return GRUCarry(jnp.zeros((*batch_shape, self.hidden_size), params.w_hh.dtype))

    def project(self, params: GRUParams, xs: jax.Array) -> tuple[jax.Array, ...]:
        """`split(x @ w_xh + b_h)`."""
        return split(affine(xs, params.w_xh, params.b_h), 3)

    def recur(
        self, params: GRUParams, carry: GRUCarry, z: tuple[jax.Array, ...]
    ) -> tuple[jax.Array, ...]:
        """The sums of both gates; the candidate's two parts, which the reset gate keeps apart."""
        (z_r, z_z, z_n), (h_r, h_z, h_n) = z, split(matmul(carry.h, params.w_hh), 3)
        return z_r + h_r, z_z + h_z, z_n, h_n + row(params.b_hn, h_n)

    def update(self, carry: GRUCarry, a: tuple[jax.Array, ...]) -> GRUCarry:
        """The convex combination of the old state and the candidate."""
        return GRUCarry(mix(carry.h, *a))


def gate_biases(cell: GatedCell, key: jax.Array, dtype: DTypeLike) -> tuple[jax.Array, jax.Array]:
    """A fresh `b_h` `(3 * H,)` and `b_hn` `(H,)` of a GRU: 0 but for the memory's bias at z."""
    z, _ = cell.memory_biases(key, dtype)
    none = jnp.zeros_like(z)
    return jnp.concatenate([none, z, none]), none


@pointwise
def mix(h: jax.Array, r: jax.Array, z: jax.Array, x_n: jax.Array, h_n: jax.Array) -> jax.Array:
    """The next state: `(1 - sigmoid(z)) tanh(x_n + sigmoid(r) h_n) + sigmoid(z) h`."""
    return gate(z).blend(h, jnp.tanh(x_n + sigmoid(r) * h_n))
