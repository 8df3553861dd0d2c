"""The minimal gated unit: a GRU with one gate."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arithmetic import affine, gate, matmul, pointwise, row, split
from rnn_jax.cells.gated import GatedCell


class MGUParams(NamedTuple):
    """`2 (D H + H^2 + H) + H` numbers; on the last axis the gate f, then the candidate n."""

    w_xh: jax.Array
    """`(input_size, 2 * hidden_size)`."""
    w_hh: jax.Array
    """`(hidden_size, 2 * hidden_size)`."""
    b_h: jax.Array
    """`(2 * hidden_size,)`."""
    b_hn: jax.Array
    """`(hidden_size,)`: the candidate's bias inside the gate."""


class MGUCarry(NamedTuple):
    """What one step hands to the next."""

    h: jax.Array
    """`(*batch, hidden_size)`."""


@dataclasses.dataclass(frozen=True)
class MGU(GatedCell):
    """Minimal gated unit, with the gate applied after the matmul as in `GRU`.

    `f = sigmoid(x w_xf + h w_hf + b_f)`, `n = tanh(x w_xn + b_n + f (h w_hn + b_hn))`,
    `h_t = (1 - f) h_{t-1} + f n`; h is emitted.

    Shapes: x `(*batch, D)`, h `(*batch, H)`. Parameters: `2 (D H + H^2 + H) + H`. Cost of a
    step: `4 B H (D + H)` operations forward. Source: Zhou, Wu, Zhang & Zhou, Minimal gated unit
    for recurrent neural networks, IJAC 13, 2016, which gates h before the matmul. `memory_bias`
    draws what f starts with, with the sign turned, for f lets go of the old state.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.MGU(input_size=3, hidden_size=5)
    >>> carry, hs = rnn.unroll(cell, cell.init(jax.random.key(0)), jnp.ones((7, 2, 3)))
    >>> carry.h.shape, hs.shape
    ((2, 5), (7, 2, 5))

    Raises `ArgumentError` for a size that is not a positive integer.
    """

    gates = ("gate", "candidate")

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> MGUParams:
        """Draw the weights gate by gate."""
        w_xh, w_hh = self.gate_weights(key, dtype)
        remember, _ = self.memory_biases(key, dtype)
        none = jnp.zeros_like(remember)
        return MGUParams(w_xh, w_hh, b_h=jnp.concatenate([0 - remember, none]), b_hn=none)

    def initial_carry(self, params: MGUParams, batch_shape: tuple[int, ...] = ()) -> MGUCarry:
        """Zeros."""
        return MGUCarry(jnp.zeros((*batch_shape, self.hidden_size), params.w_hh.dtype))

    def project(self, params: MGUParams, xs: jax.Array) -> tuple[jax.Array, ...]:
        """`split(x @ w_xh + b_h)`."""
        return split(affine(xs, params.w_xh, params.b_h), 2)

    def recur(
        self, params: MGUParams, carry: MGUCarry, z: tuple[jax.Array, ...]
    ) -> tuple[jax.Array, ...]:
        """The sum of the gate; the two parts of the candidate, which the gate keeps apart."""
        (z_f, z_n), (h_f, h_n) = z, split(matmul(carry.h, params.w_hh), 2)
        return z_f + h_f, z_n, h_n + row(params.b_hn, h_n)

    def update(self, carry: MGUCarry, a: tuple[jax.Array, ...]) -> MGUCarry:
        """The convex combination of the old state and the candidate."""
        return MGUCarry(_mix(carry.h, *a))


@pointwise
def _mix(h: jax.Array, f: jax.Array, x_n: jax.Array, h_n: jax.Array) -> jax.Array:
    new = gate(f)
    return new.blend(jnp.tanh(x_n + new.share() * h_n), h)
