"""The long short-term memory with layer normalisation."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import settle
from rnn_jax.arithmetic import matmul, row, split
from rnn_jax.cells.gated import GatedCell
from rnn_jax.cells.lstm import LSTM, LSTMCarry, gate_biases, remember, show
from rnn_jax.cells.memory_bias import ForgetBias, MemoryBias
from rnn_jax.cells.normalization import layer_norm, normalize, positive_epsilon


class LayerNormLSTMParams(NamedTuple):
    """`4 (D H + H^2) + 14 H` numbers; gates on the last axis in the order i f g o."""

    w_xh: jax.Array
    """`(input_size, 4 * hidden_size)`."""
    w_hh: jax.Array
    """`(hidden_size, 4 * hidden_size)`."""
    b_h: jax.Array
    """`(4 * hidden_size,)`: the biases of both norms, in one."""
    gain_x: jax.Array
    """`(4 * hidden_size,)`: of the input's part."""
    gain_h: jax.Array
    """`(4 * hidden_size,)`: of the recurrent part."""
    gain_c: jax.Array
    """`(hidden_size,)`: of the memory, where it shows."""
    b_c: jax.Array
    """`(hidden_size,)`: the bias beside it."""


@dataclasses.dataclass(frozen=True)
class LayerNormLSTM(GatedCell):
    """Long short-term memory whose gates and whose shown memory are normalised.

    `i, f, g, o = split(gain_x * normalize(x_t @ w_xh) + gain_h * normalize(h_{t-1} @ w_hh) + b_h)`,
    `c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g)`,
    `h_t = sigmoid(o) tanh(gain_c * normalize(c_t) + b_c)`; h is emitted. As in the paper, a
    preactivation is normalised over its four gates together; its three biases of the gates only
    ever occur as a sum, and are one. c itself is never normalised, so it remembers as an LSTM's.

    Shapes: x `(*batch, D)`, h and c `(*batch, H)`. Parameters: `4 (D H + H^2) + 14 H`. Cost of a
    step: `8 B H (D + H)` operations forward; as the normalisation is not linear, the gradient
    computes `h @ w_hh` of each step again. Source: Ba, Kiros & Hinton, Layer normalization,
    2016, arXiv:1607.06450, supplementary material. Gains start at 1.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.LayerNormLSTM(input_size=3, hidden_size=5)
    >>> carry, hs = rnn.unroll(cell, cell.init(jax.random.key(0)), jnp.ones((7, 2, 3)))
    >>> carry.c.shape, hs.shape
    ((2, 5), (7, 2, 5))

    Raises `ArgumentError` for a size that is not a positive integer, and for an epsilon that is
    not positive.
    """

    gates = LSTM.gates

    memory_bias: MemoryBias = ForgetBias(1.0)
    """Draws `b_h` at f, which remembers, and at i, which writes; it is 0 at g and o."""
    epsilon: float = 1e-5
    """Added to each variance."""

    def __post_init__(self) -> None:
        """Refuse settings that make no network, and a division by zero."""
        super().__post_init__()
        settle(self, epsilon=positive_epsilon)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> LayerNormLSTMParams:
        """Draw the weights as an LSTM does; the gains are 1."""
        b_h = gate_biases(self, key, dtype)
        return LayerNormLSTMParams(
            *self.gate_weights(key, dtype),
            b_h=b_h,
            gain_x=jnp.ones_like(b_h),
            gain_h=jnp.ones_like(b_h),
            gain_c=jnp.ones(self.hidden_size, dtype),
            b_c=jnp.zeros(self.hidden_size, dtype),
        )

    def initial_carry(
        self, params: LayerNormLSTMParams, batch_shape: tuple[int, ...] = ()
    ) -> LSTMCarry:
        """Zeros."""
        shape, dtype = (*batch_shape, self.hidden_size), params.w_hh.dtype
        return LSTMCarry(h=jnp.zeros(shape, dtype), c=jnp.zeros(shape, dtype))

    def project(self, params: LayerNormLSTMParams, xs: jax.Array) -> tuple[jax.Array, ...]:
        """`z = split(gain_x * normalize(x @ w_xh) + b_h)`."""
        return split(
            layer_norm(matmul(xs, params.w_xh), params.gain_x, params.b_h, self.epsilon), 4
        )

    def recur(
        self, params: LayerNormLSTMParams, carry: LSTMCarry, z: tuple[jax.Array, ...]
    ) -> tuple[jax.Array, ...]:
        """`z + split(gain_h * normalize(h @ w_hh))`, and the params of the memory's norm."""
        v = normalize(matmul(carry.h, params.w_hh), self.epsilon)
        gates = map(jnp.add, z, split(row(params.gain_h, v) * v, 4))
        # `update` is free of params, so these two reach it as any preactivation does.
        shape = carry.c.shape
        return *gates, jnp.broadcast_to(params.gain_c, shape), jnp.broadcast_to(params.b_c, shape)

    def update(self, carry: LSTMCarry, a: tuple[jax.Array, ...]) -> LSTMCarry:
        """The memory cell, then what the output gate lets through of it, normalised."""
        i, f, g, o, gain_c, b_c = a
        c = remember(carry.c, i, f, g)
        return LSTMCarry(h=show(layer_norm(c, gain_c, b_c, self.epsilon), o), c=c)
