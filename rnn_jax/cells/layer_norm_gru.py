"""The gated recurrent unit with layer normalisation."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import settle
from rnn_jax.arithmetic import matmul, row, split
from rnn_jax.cells.gated import GatedCell
from rnn_jax.cells.gru import GRU, GRUCarry, gate_biases, mix
from rnn_jax.cells.normalization import normalize, positive_epsilon


class LayerNormGRUParams(NamedTuple):
    """`3 (D H + H^2) + 10 H` numbers; gates on the last axis in the order r z n."""

    w_xh: jax.Array
    """`(input_size, 3 * hidden_size)`."""
    w_hh: jax.Array
    """`(hidden_size, 3 * hidden_size)`."""
    b_h: jax.Array
    """`(3 * hidden_size,)`: of the gates, the biases of both norms in one."""
    b_hn: jax.Array
    """`(hidden_size,)`: the candidate's bias inside the reset."""
    gain_x: jax.Array
    """`(3 * hidden_size,)`: of the input's part."""
    gain_h: jax.Array
    """`(3 * hidden_size,)`: of the recurrent part."""


@dataclasses.dataclass(frozen=True)
class LayerNormGRU(GatedCell):
    """Gated recurrent unit with its preactivations normalised, reset after the matmul.

    With `u = x_t @ w_xh` and `v = h_{t-1} @ w_hh`, each in its parts `rz` and `n`,
    `r, z = sigmoid(gain_x normalize(u_rz) + gain_h normalize(v_rz) + b_rz)`,
    `n = tanh(gain_x normalize(u_n) + b_n + r (gain_h normalize(v_n) + b_hn))`,
    `h_t = (1 - z) n + z h_{t-1}`; h is emitted. As in the paper, the two gates are normalised
    together and the candidate apart; the gates' two biases only ever occur as a sum, and are one.

    Shapes: x `(*batch, D)`, h `(*batch, H)`. Parameters: `3 (D H + H^2) + 10 H`. Cost of a step:
    `6 B H (D + H)` operations forward; as the normalisation is not linear, the gradient
    computes `h @ w_hh` of each step again. Source: Ba, Kiros & Hinton, Layer normalization,
    2016, arXiv:1607.06450, supplementary material. Gains start at 1; `memory_bias` draws the
    bias of z, the gate that keeps the old state.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.LayerNormGRU(input_size=3, hidden_size=5)
    >>> carry, hs = rnn.unroll(cell, cell.init(jax.random.key(0)), jnp.ones((7, 2, 3)))
    >>> carry.h.shape, hs.shape
    ((2, 5), (7, 2, 5))

    Raises `ArgumentError` for a size that is not a positive integer, and for an epsilon that is
    not positive.
    """

    gates = GRU.gates

    epsilon: float = 1e-5
    """Added to each variance."""

    def __post_init__(self) -> None:
        """Refuse settings that make no network, and a division by zero."""
        super().__post_init__()
        settle(self, epsilon=positive_epsilon)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> LayerNormGRUParams:
        """Draw the weights as a GRU does; the gains are 1."""
        w_xh, w_hh = self.gate_weights(key, dtype)
        b_h, b_hn = gate_biases(self, key, dtype)
        return LayerNormGRUParams(w_xh, w_hh, b_h, b_hn, jnp.ones_like(b_h), jnp.ones_like(b_h))

    def initial_carry(
        self, params: LayerNormGRUParams, batch_shape: tuple[int, ...] = ()
    ) -> GRUCarry:
        """Zeros."""
        return GRUCarry(jnp.zeros((*batch_shape, self.hidden_size), params.w_hh.dtype))

    def project(self, params: LayerNormGRUParams, xs: jax.Array) -> tuple[jax.Array, ...]:
        """`split(gain_x * normalize(x @ w_xh) + b_h)`."""
        u = self._normalize(matmul(xs, params.w_xh))
        return split(row(params.gain_x, u) * u + row(params.b_h, u), 3)

    def recur(
        self, params: LayerNormGRUParams, carry: GRUCarry, z: tuple[jax.Array, ...]
    ) -> tuple[jax.Array, ...]:
        """The sums of both gates; the candidate's two parts, which the reset gate keeps apart."""
        v = self._normalize(matmul(carry.h, params.w_hh))
        (z_r, z_z, z_n), (h_r, h_z, h_n) = z, split(row(params.gain_h, v) * v, 3)
        return z_r + h_r, z_z + h_z, z_n, h_n + row(params.b_hn, h_n)

    def update(self, carry: GRUCarry, a: tuple[jax.Array, ...]) -> GRUCarry:
        """The convex combination of the old state and the candidate."""
        return GRUCarry(mix(carry.h, *a))

    def _normalize(self, a: jax.Array) -> jax.Array:
        """The two gates together, the candidate apart."""
        gates, candidate = jnp.split(a, [2 * self.hidden_size], axis=-1)
        parts = normalize(gates, self.epsilon), normalize(candidate, self.epsilon)
        return jnp.concatenate(parts, axis=-1)
