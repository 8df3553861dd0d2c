"""The Jordan network: its last output is fed back, not its hidden state."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import function, pointwise, positive, settle
from rnn_jax.arithmetic import affine, matmul
from rnn_jax.cell import SizedCell
from rnn_jax.initializers import Initializer, drawn, glorot, orthogonal, zeros


class JordanParams(NamedTuple):
    """`D H + 2 H O + H + O` numbers."""

    w_xh: jax.Array
    """`(input_size, hidden_size)`."""
    w_yh: jax.Array
    """`(output_size, hidden_size)`: the feedback."""
    b_h: jax.Array
    """`(hidden_size,)`."""
    w_hy: jax.Array
    """`(hidden_size, output_size)`: the output layer, inside the loop."""
    b_y: jax.Array
    """`(output_size,)`."""


class JordanCarry(NamedTuple):
    """What one step hands to the next."""

    y: jax.Array
    """`(*batch, output_size)`: the last output."""


@dataclasses.dataclass(frozen=True)
class Jordan(SizedCell):
    """The network whose output is fed back.

    `h_t = activation(x_t @ w_xh + y_{t-1} @ w_yh + b_h)`,
    `y_t = output_activation(h_t @ w_hy + b_y)`; y is emitted.

    Shapes: x `(*batch, D)`, y `(*batch, O)`. Parameters: `D H + 2 H O + H + O`. Cost of a step:
    `2 B H (D + 2 O)` operations forward. Source: Jordan, Attractor dynamics and parallelism in a
    connectionist sequential machine, CogSci 1986.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Jordan(input_size=3, hidden_size=5, output_size=2)
    >>> carry, ys = rnn.unroll(cell, cell.init(jax.random.key(0)), jnp.ones((7, 3)))
    >>> carry.y.shape, ys.shape
    ((2,), (7, 2))

    Raises `ArgumentError` for a size that is not a positive integer, and an activation that is not
    pointwise or not JAX's.
    """

    output_size: int
    """O."""
    activation: Callable[[jax.Array], jax.Array] = jnp.tanh
    """Of the hidden units, pointwise."""
    output_activation: Callable[[jax.Array], jax.Array] = jnp.tanh
    """Of the outputs, pointwise; bounded by default, for it closes the loop."""
    input_init: Initializer = dataclasses.field(default=glorot, repr=False)
    """Draws `w_xh` and `w_hy`."""
    recurrent_init: Initializer = dataclasses.field(default=orthogonal, repr=False)
    """Draws `w_yh`."""
    bias_init: Initializer = dataclasses.field(default=zeros, repr=False)
    """Draws `b_h` and `b_y`."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no network."""
        super().__post_init__()
        settle(self, output_size=positive, activation=pointwise(self.hidden_size))
        settle(self, output_activation=pointwise(self.output_size))
        settle(self, input_init=function, recurrent_init=function, bias_init=function)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> JordanParams:
        """Draw the five arrays."""
        k_xh, k_yh, k_h, k_hy, k_y = jax.random.split(key, 5)
        inputs, hidden, outputs = self.input_size, self.hidden_size, self.output_size
        return JordanParams(
            w_xh=drawn(self, "input_init", k_xh, (inputs, hidden), dtype),
            w_yh=drawn(self, "recurrent_init", k_yh, (outputs, hidden), dtype),
            b_h=drawn(self, "bias_init", k_h, (hidden,), dtype),
            w_hy=drawn(self, "input_init", k_hy, (hidden, outputs), dtype),
            b_y=drawn(self, "bias_init", k_y, (outputs,), dtype),
        )

    def initial_carry(self, params: JordanParams, batch_shape: tuple[int, ...] = ()) -> JordanCarry:
        """Zeros."""
        return JordanCarry(jnp.zeros((*batch_shape, self.output_size), params.w_yh.dtype))

    def project(self, params: JordanParams, xs: jax.Array) -> jax.Array:
        """`z = x @ w_xh + b_h`."""
        return affine(xs, params.w_xh, params.b_h)

    def recur(self, params: JordanParams, carry: JordanCarry, z: jax.Array) -> jax.Array:
        """`a = activation(z + y @ w_yh) @ w_hy + b_y`: both of the loop's matmuls."""
        hidden = self.activation(z + matmul(carry.y, params.w_yh))
        return affine(hidden, params.w_hy, params.b_y)

    def update(self, carry: JordanCarry, a: jax.Array) -> JordanCarry:
        """`y = output_activation(a)`."""
        return JordanCarry(self.output_activation(a.astype(carry.y.dtype)))
