"""The long short-term memory whose hidden state is projected to fewer numbers."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import positive, settle
from rnn_jax.arithmetic import affine, matmul, split
from rnn_jax.cell import SizedCell
from rnn_jax.cells.gated import GatedCell
from rnn_jax.cells.lstm import LSTM, gate_biases, remember, show
from rnn_jax.cells.memory_bias import ForgetBias, MemoryBias
from rnn_jax.initializers import drawn


class ProjectedLSTMParams(NamedTuple):
    """`4 (D H + P H + H) + H P` numbers; gates on the last axis in the order i f g o."""

    w_xh: jax.Array
    """`(input_size, 4 * hidden_size)`."""
    w_hh: jax.Array
    """`(projection_size, 4 * hidden_size)`."""
    b_h: jax.Array
    """`(4 * hidden_size,)`."""
    w_hr: jax.Array
    """`(hidden_size, projection_size)`: the projection."""


class ProjectedLSTMCarry(NamedTuple):
    """What one step hands to the next."""

    m: jax.Array
    """`(*batch, hidden_size)`: what the output gate lets through, before the projection."""
    c: jax.Array
    """`(*batch, hidden_size)`: the memory cell."""


@dataclasses.dataclass(frozen=True)
class _Sizes(SizedCell):
    """The three sizes, as a class of their own: fields without a default must come first."""

    projection_size: int
    """P: how many numbers come back, and come out."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no network."""
        super().__post_init__()
        settle(self, projection_size=positive)


@dataclasses.dataclass(frozen=True)
class ProjectedLSTM(GatedCell, _Sizes):
    """Long short-term memory with a recurrent projection layer (LSTMP), without peepholes.

    `i, f, g, o = split(x_t @ w_xh + r_{t-1} @ w_hh + b_h)`,
    `c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g)`, `m_t = sigmoid(o) tanh(c_t)`,
    `r_t = m_t @ w_hr`; r is emitted. A large memory with few recurrent weights.

    The carry has m rather than r: each step projects the m that it was handed, and the outputs
    are projected after the loop, all steps in one matmul. The numbers are those of PyTorch's
    `LSTM(proj_size=P)`, with its two biases added.

    Shapes: x `(*batch, D)`, m and c `(*batch, H)`, r `(*batch, P)`. Parameters:
    `4 (D H + P H + H) + H P`. Cost of a step: `2 B H (4 D + 6 P)` operations forward, the
    outputs' projection included. Source: Sak, Senior & Beaufays, Long short-term memory
    recurrent neural network architectures for large scale acoustic modeling, Interspeech 2014.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.ProjectedLSTM(input_size=3, hidden_size=5, projection_size=2)
    >>> carry, rs = rnn.unroll(cell, cell.init(jax.random.key(0)), jnp.ones((7, 3)))
    >>> carry.m.shape, carry.c.shape, rs.shape
    ((5,), (5,), (7, 2))

    Raises `ArgumentError` for a size that is not a positive integer.
    """

    gates = LSTM.gates

    memory_bias: MemoryBias = ForgetBias(1.0)
    """Draws `b_h` at f, which remembers, and at i, which writes; it is 0 at g and o."""

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> ProjectedLSTMParams:
        """Draw the weights gate by gate, and the projection as a recurrent weight."""
        w_xh, w_hh = self.gate_weights(key, dtype, feedback=self.projection_size)
        shape = self.hidden_size, self.projection_size
        w_hr = drawn(self, "recurrent_init", jax.random.fold_in(key, 3), shape, dtype)
        return ProjectedLSTMParams(w_xh, w_hh, gate_biases(self, key, dtype), w_hr)

    def initial_carry(
        self, params: ProjectedLSTMParams, batch_shape: tuple[int, ...] = ()
    ) -> ProjectedLSTMCarry:
        """Zeros."""
        shape, dtype = (*batch_shape, self.hidden_size), params.w_hh.dtype
        return ProjectedLSTMCarry(m=jnp.zeros(shape, dtype), c=jnp.zeros(shape, dtype))

    def project(self, params: ProjectedLSTMParams, xs: jax.Array) -> tuple[jax.Array, ...]:
        """`z = split(x @ w_xh + b_h)`."""
        return split(affine(xs, params.w_xh, params.b_h), 4)

    def recur(
        self, params: ProjectedLSTMParams, carry: ProjectedLSTMCarry, z: tuple[jax.Array, ...]
    ) -> tuple[jax.Array, ...]:
        """`a = z + split(m @ w_hr @ w_hh)`: both of the loop's matmuls."""
        return tuple(map(jnp.add, z, split(matmul(matmul(carry.m, params.w_hr), params.w_hh), 4)))

    def update(self, carry: ProjectedLSTMCarry, a: tuple[jax.Array, ...]) -> ProjectedLSTMCarry:
        """The memory cell, then what the output gate lets through of it."""
        i, f, g, o = a
        c = remember(carry.c, i, f, g)
        return ProjectedLSTMCarry(m=show(c, o), c=c)

    def readout(self, params: ProjectedLSTMParams, hs: jax.Array, xs: jax.Array) -> jax.Array:
        """`r = m @ w_hr`, of all steps at once."""
        del xs
        return matmul(hs, params.w_hr)
