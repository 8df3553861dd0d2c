"""The gated recurrent unit as it was published, with the reset before the matmul."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arithmetic import affine, gate, matmul, pointwise, sigmoid, split
from rnn_jax.cells.gated import GatedCell
from rnn_jax.cells.gru import GRU, GRUCarry, gate_biases


class ResetBeforeGRUParams(NamedTuple):
    """`3 (D H + H^2 + H)` numbers; gates on the last axis in the order r z n."""

    w_xh: jax.Array
    """`(input_size, 3 * hidden_size)`."""
    w_hh: jax.Array
    """`(hidden_size, 2 * hidden_size)`: of both gates, r z."""
    w_hn: jax.Array
    """`(hidden_size, hidden_size)`: of the candidate, which reads the state that was reset."""
    b_h: jax.Array
    """`(3 * hidden_size,)`."""


@dataclasses.dataclass(frozen=True)
class ResetBeforeGRU(GatedCell):
    """Gated recurrent unit that resets the state before the candidate's matmul.

    `r = sigmoid(x w_xr + h w_hr + b_r)`, `z = sigmoid(x w_xz + h w_hz + b_z)`,
    `n = tanh(x w_xn + (r h) w_hn + b_n)`, `h_t = (1 - z) n + z h_{t-1}`; h is emitted. It is the
    GRU of Haiku, of Keras with `reset_after=False` and of ONNX by default. Where weights of
    another library do not ask for it, take `GRU`, whose step is one matmul; this one is two, the
    second of which waits for the first.

    Shapes: x `(*batch, D)`, h `(*batch, H)`. Parameters: `3 (D H + H^2 + H)`. Cost of a step:
    `6 B H (D + H)` operations forward. Source: Cho et al., Learning phrase representations using
    RNN encoder-decoder, EMNLP 2014. `memory_bias` draws the bias of z, the gate that keeps the old
    state.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.ResetBeforeGRU(input_size=3, hidden_size=5)
    >>> carry, hs = rnn.unroll(cell, cell.init(jax.random.key(0)), jnp.ones((7, 2, 3)))
    >>> carry.h.shape, hs.shape
    ((2, 5), (7, 2, 5))

    Raises `ArgumentError` for a size that is not a positive integer.
    """

    gates = GRU.gates

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> ResetBeforeGRUParams:
        """Draw the weights gate by gate."""
        w_xh, recurrent = self.gate_weights(key, dtype)
        w_hh, w_hn = jnp.split(recurrent, [2 * self.hidden_size], axis=-1)
        b_h, _ = gate_biases(self, key, dtype)
        return ResetBeforeGRUParams(w_xh, w_hh, w_hn, b_h)

    def initial_carry(
        self, params: ResetBeforeGRUParams, batch_shape: tuple[int, ...] = ()
    ) -> GRUCarry:
        """Zeros."""
        return GRUCarry(jnp.zeros((*batch_shape, self.hidden_size), params.w_hh.dtype))

    def project(self, params: ResetBeforeGRUParams, xs: jax.Array) -> tuple[jax.Array, ...]:
        """`split(x @ w_xh + b_h)`."""
        return split(affine(xs, params.w_xh, params.b_h), 3)

    def recur(
        self, params: ResetBeforeGRUParams, carry: GRUCarry, z: tuple[jax.Array, ...]
    ) -> tuple[jax.Array, ...]:
        """The sum of the update gate, and that of the candidate, for which r is needed."""
        (z_r, z_z, z_n), (h_r, h_z) = z, split(matmul(carry.h, params.w_hh), 2)
        return z_z + h_z, z_n + matmul(_reset(carry.h, z_r + h_r), params.w_hn)

    def update(self, carry: GRUCarry, a: tuple[jax.Array, ...]) -> GRUCarry:
        """The convex combination of the old state and the candidate."""
        return GRUCarry(_mix(carry.h, *a))


@pointwise
def _reset(h: jax.Array, r: jax.Array) -> jax.Array:
    return sigmoid(r) * h


@pointwise
def _mix(h: jax.Array, z: jax.Array, n: jax.Array) -> jax.Array:
    return gate(z).blend(h, jnp.tanh(n))
