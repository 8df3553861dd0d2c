"""The long short-term memory with a diagonal recurrence and one gate to keep and to write."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arithmetic import affine, gate, pointwise, split
from rnn_jax.cells.diagonal import DiagonalCell
from rnn_jax.cells.lstm import LSTMCarry, show
from rnn_jax.cells.memory_bias import ForgetBias, MemoryBias


class DiagonalLSTMParams(NamedTuple):
    """`3 (D H + 2 H)` numbers; gates on the last axis in the order f g o."""

    w_xh: jax.Array
    """`(input_size, 3 * hidden_size)`."""
    w_h: jax.Array
    """`(3 * hidden_size,)`: one recurrent weight a unit and gate."""
    b_h: jax.Array
    """`(3 * hidden_size,)`."""


@dataclasses.dataclass(frozen=True)
class DiagonalLSTM(DiagonalCell):
    """An LSTM in which each unit hears of its own state only, made for parallel solving.

    `f, g, o = split(x_t @ w_xh + w_h h_{t-1} + b_h)`, unit by unit in h, with one gate to keep and
    to write: `c_t = sigmoid(f) c_{t-1} + sigmoid(-f) tanh(g)`, `h_t = sigmoid(o) tanh(c_t)`; h is
    emitted. `w_h` starts uniform in `[-1/2, 1/2]`, a choice of this library.

    Shapes: x `(*batch, D)`, h and c `(*batch, H)`. Parameters: `3 (D H + 2 H)`. Cost of a step:
    `6 B D H` operations, none of them in the loop, and about `25 B H` in it. Sources: Danieli et
    al., ParaRNN: Unlocking parallel training of nonlinear RNNs for large language models, 2025,
    arXiv:2510.21450, whose gates also look at c through peepholes; the coupled gates (CIFG): Greff
    et al., LSTM: A search space odyssey, IEEE Transactions on Neural Networks and Learning Systems
    28, 2017. `memory_bias` draws the bias of f; what it draws for a gate that writes is not used.

    Stack it with dense layers between, which mix the units.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.DiagonalLSTM(input_size=3, hidden_size=5)
    >>> carry, hs = rnn.unroll(cell, cell.init(jax.random.key(0)), jnp.ones((7, 2, 3)))
    >>> carry.c.shape, hs.shape
    ((2, 5), (7, 2, 5))

    Raises `ArgumentError` for a size that is not a positive integer.
    """

    gates = ("forget gate", "candidate", "output gate")

    memory_bias: MemoryBias = ForgetBias(1.0)
    """Draws `b_h` at f; it is 0 at g and o."""

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> DiagonalLSTMParams:
        """Draw the weights gate by gate."""
        f, _ = self.memory_biases(key, dtype)
        none = jnp.zeros_like(f)
        biases = jnp.concatenate([f, none, none])
        return DiagonalLSTMParams(*self.diagonal_weights(key, dtype), b_h=biases)

    def initial_carry(
        self, params: DiagonalLSTMParams, batch_shape: tuple[int, ...] = ()
    ) -> LSTMCarry:
        """Zeros."""
        shape, dtype = (*batch_shape, self.hidden_size), params.w_h.dtype
        return LSTMCarry(h=jnp.zeros(shape, dtype), c=jnp.zeros(shape, dtype))

    def project(self, params: DiagonalLSTMParams, xs: jax.Array) -> tuple[jax.Array, ...]:
        """`z = split(x @ w_xh + b_h)`."""
        return split(affine(xs, params.w_xh, params.b_h), 3)

    def recur(
        self, params: DiagonalLSTMParams, carry: LSTMCarry, z: tuple[jax.Array, ...]
    ) -> tuple[jax.Array, ...]:
        """`a = z + w_h h`."""
        return tuple(map(jnp.add, z, self.fed_back(params.w_h, carry.h)))

    def update(self, carry: LSTMCarry, a: tuple[jax.Array, ...]) -> LSTMCarry:
        """The memory cell, then what the output gate lets through of it."""
        f, g, o = a
        c = _remember(carry.c, f, g)
        return LSTMCarry(h=show(c, o), c=c)


@pointwise
def _remember(c: jax.Array, f: jax.Array, g: jax.Array) -> jax.Array:
    """The next memory: `sigmoid(f) c + sigmoid(-f) tanh(g)`."""
    return gate(f).blend(c, jnp.tanh(g))
