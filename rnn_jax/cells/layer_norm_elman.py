"""The Elman network with layer normalisation."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import settle
from rnn_jax.arithmetic import matmul
from rnn_jax.cells.elman import ActivatedCell, ElmanCarry
from rnn_jax.cells.normalization import layer_norm, positive_epsilon


class LayerNormElmanParams(NamedTuple):
    """`D * H + H * H + 2 * H` numbers."""

    w_xh: jax.Array
    """`(input_size, hidden_size)`."""
    w_hh: jax.Array
    """`(hidden_size, hidden_size)`."""
    gain: jax.Array
    """`(hidden_size,)`."""
    b_h: jax.Array
    """`(hidden_size,)`: added after the normalisation."""


@dataclasses.dataclass(frozen=True)
class LayerNormElman(ActivatedCell):
    """The simple recurrent network with its summed input normalised.

    `h_t = activation(gain * normalize(x_t @ w_xh + h_{t-1} @ w_hh) + b_h)`, emitted as it is;
    `normalize(a) = (a - mean(a)) / sqrt(var(a) + epsilon)` over the units. The scale of the
    weights cancels, so that h neither explodes nor dies out. Gains start at 1.

    Shapes: x `(*batch, D)`, h `(*batch, H)`. Parameters: `D H + H^2 + 2 H`. Cost of a step:
    `2 B H (D + H)` operations forward; as the normalisation is not linear, the gradient
    computes `h @ w_hh` of each step again. Source: Ba, Kiros & Hinton, Layer normalization,
    2016, arXiv:1607.06450, section 3.1.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.LayerNormElman(input_size=3, hidden_size=5)
    >>> carry, hs = rnn.unroll(cell, cell.init(jax.random.key(0)), jnp.ones((7, 2, 3)))
    >>> carry.h.shape, hs.shape
    ((2, 5), (7, 2, 5))

    Raises `ArgumentError` for a size that is not a positive integer, and for an epsilon that is
    not positive.
    """

    epsilon: float = 1e-5
    """Added to the variance."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no network, and a division by zero."""
        super().__post_init__()
        settle(self, epsilon=positive_epsilon)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> LayerNormElmanParams:
        """Draw the weights as an Elman network does; the gain is 1."""
        w_xh, w_hh, b_h = self.elman_params(key, dtype)
        return LayerNormElmanParams(w_xh, w_hh, jnp.ones_like(b_h), b_h)

    def project(self, params: LayerNormElmanParams, xs: jax.Array) -> jax.Array:
        """`z = x @ w_xh`."""
        return matmul(xs, params.w_xh)

    def recur(self, params: LayerNormElmanParams, carry: ElmanCarry, z: jax.Array) -> jax.Array:
        """`a = gain * normalize(z + h @ w_hh) + b_h`."""
        summed = z + matmul(carry.h, params.w_hh)
        return layer_norm(summed, params.gain, params.b_h, self.epsilon)
