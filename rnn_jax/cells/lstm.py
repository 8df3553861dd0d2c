"""The long short-term memory."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arithmetic import affine, gate, matmul, pointwise, sigmoid, split
from rnn_jax.cells.gated import GatedCell
from rnn_jax.cells.memory_bias import ForgetBias, MemoryBias


class LSTMParams(NamedTuple):
    """`4 (D H + H^2 + H)` numbers; gates on the last axis in the order i f g o."""

    w_xh: jax.Array
    """`(input_size, 4 * hidden_size)`."""
    w_hh: jax.Array
    """`(hidden_size, 4 * hidden_size)`."""
    b_h: jax.Array
    """`(4 * hidden_size,)`."""


class LSTMCarry(NamedTuple):
    """What one step hands to the next."""

    h: jax.Array
    """`(*batch, hidden_size)`: the hidden state."""
    c: jax.Array
    """`(*batch, hidden_size)`: the memory cell."""


@dataclasses.dataclass(frozen=True)
class LSTM(GatedCell):
    """Long short-term memory with a forget gate and without peepholes.

    `i, f, g, o = split(x_t @ w_xh + h_{t-1} @ w_hh + b_h)`,
    `c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g)`, `h_t = sigmoid(o) tanh(c_t)`; h is emitted.

    Shapes: x `(*batch, D)`, h and c `(*batch, H)`. Parameters: `4 (D H + H^2 + H)`: one bias,
    where PyTorch adds two. Cost of a step: `8 B H (D + H)` operations forward. Sources:
    Hochreiter & Schmidhuber, Neural Computation 9, 1997; forget gate: Gers, Schmidhuber &
    Cummins, Neural Computation 12, 2000; its bias of 1: Jozefowicz, Zaremba & Sutskever, ICML
    2015.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.LSTM(input_size=3, hidden_size=5)
    >>> carry, hs = rnn.unroll(cell, cell.init(jax.random.key(0)), jnp.ones((7, 2, 3)))
    >>> carry.c.shape, hs.shape
    ((2, 5), (7, 2, 5))

    Raises `ArgumentError` for a size that is not a positive integer.
    """

    gates = ("input gate", "forget gate", "candidate", "output gate")

    memory_bias: MemoryBias = ForgetBias(1.0)
    """Draws `b_h` at f, which remembers, and at i, which writes; it is 0 at g and o."""

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> LSTMParams:
        """Draw the weights gate by gate."""
        return LSTMParams(*self.gate_weights(key, dtype), b_h=gate_biases(self, key, dtype))

    def initial_carry(self, params: LSTMParams, batch_shape: tuple[int, ...] = ()) -> LSTMCarry:
        """Zeros."""
        shape, dtype = (*batch_shape, self.hidden_size), params.w_hh.dtype
        # Two arrays: one buffer under two names could not be donated.
        return LSTMCarry(h=jnp.zeros(shape, dtype), c=jnp.zeros(shape, dtype))

    def project(self, params: LSTMParams, xs: jax.Array) -> tuple[jax.Array, ...]:
        """`z = split(x @ w_xh + b_h)`."""
        return split(affine(xs, params.w_xh, params.b_h), 4)

    def recur(
        self, params: LSTMParams, carry: LSTMCarry, z: tuple[jax.Array, ...]
    ) -> tuple[jax.Array, ...]:
        """`a = z + split(h @ w_hh)`."""
        return tuple(map(jnp.add, z, split(matmul(carry.h, params.w_hh), 4)))

    def update(self, carry: LSTMCarry, a: tuple[jax.Array, ...]) -> LSTMCarry:
        """The memory cell, then what the output gate lets through of it."""
        i, f, g, o = a
        c = remember(carry.c, i, f, g)
        return LSTMCarry(h=show(c, o), c=c)


def gate_biases(cell: GatedCell, key: jax.Array, dtype: DTypeLike) -> jax.Array:
    """A fresh `b_h` `(4 * H,)` of an LSTM: the memory's biases at i and f, 0 at g and o."""
    f, i = cell.memory_biases(key, dtype)
    return jnp.concatenate([i, f, jnp.zeros(2 * cell.hidden_size, dtype)])


@pointwise
def remember(c: jax.Array, i: jax.Array, f: jax.Array, g: jax.Array) -> jax.Array:
    """The next memory: `sigmoid(f) c + sigmoid(i) tanh(g)`."""
    return gate(f).blend(c, jnp.zeros_like(c)) + sigmoid(i) * jnp.tanh(g)


@pointwise
def show(c: jax.Array, o: jax.Array) -> jax.Array:
    """What the output gate lets through of the memory: `sigmoid(o) tanh(c)`."""
    return sigmoid(o) * jnp.tanh(c)
