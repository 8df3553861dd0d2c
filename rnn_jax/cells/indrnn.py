"""The independently recurrent network: an Elman network whose units see only themselves."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arithmetic import affine, row
from rnn_jax.cells.elman import ActivatedCell, ElmanCarry
from rnn_jax.initializers import Initializer, Uniform, drawn


class IndRNNParams(NamedTuple):
    """`D H + 2 H` numbers."""

    w_xh: jax.Array
    """`(input_size, hidden_size)`."""
    w_h: jax.Array
    """`(hidden_size,)`: one recurrent weight a unit."""
    b_h: jax.Array
    """`(hidden_size,)`."""


@dataclasses.dataclass(frozen=True)
class IndRNN(ActivatedCell):
    """The independently recurrent network: one recurrent weight a unit, and ReLU.

    `h_t = activation(x_t @ w_xh + w_h h_{t-1} + b_h)`, unit by unit in h; h is emitted. `w_h`
    starts uniform in `[0, 1]`, so that units forget at all speeds. Nothing keeps it there, and a
    weight above 1 lets its unit explode: the paper clips `|w_h|` to `2^(1/T)` after each update.

    Shapes: x `(*batch, D)`, h `(*batch, H)`. Parameters: `D H + 2 H`. Cost of a step: `2 B D H`
    operations, none of them in the loop, and `3 B H` in it. Source: Li et al., Independently
    recurrent neural network (IndRNN): Building a longer and deeper RNN, CVPR 2018,
    arXiv:1803.04831.

    For long sequences and deep stacks with dense weights between, for in one layer no unit hears of
    another. Its Jacobian is diagonal, so a parallel solver needs one number a unit.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.IndRNN(input_size=3, hidden_size=5)
    >>> carry, hs = rnn.unroll(cell, cell.init(jax.random.key(0)), jnp.ones((7, 2, 3)))
    >>> carry.h.shape, hs.shape
    ((2, 5), (7, 2, 5))

    Raises `ArgumentError` for a size that is not a positive integer, and an activation that is not
    pointwise or not JAX's.
    """

    activation: Callable[[jax.Array], jax.Array] = jax.nn.relu
    """Pointwise."""
    recurrent_init: Initializer = dataclasses.field(default=Uniform(0.0, 1.0), repr=False)
    """Draws `w_h`."""

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> IndRNNParams:
        """Draw the three arrays, each from its own initialiser."""
        k_xh, k_h, k_b = jax.random.split(key, 3)
        hidden = self.hidden_size
        return IndRNNParams(
            w_xh=drawn(self, "input_init", k_xh, (self.input_size, hidden), dtype),
            w_h=drawn(self, "recurrent_init", k_h, (hidden,), dtype),
            b_h=drawn(self, "bias_init", k_b, (hidden,), dtype),
        )

    def initial_carry(self, params: IndRNNParams, batch_shape: tuple[int, ...] = ()) -> ElmanCarry:
        """Zeros."""
        return ElmanCarry(jnp.zeros((*batch_shape, self.hidden_size), params.w_h.dtype))

    def project(self, params: IndRNNParams, xs: jax.Array) -> jax.Array:
        """`z = x @ w_xh + b_h`."""
        return affine(xs, params.w_xh, params.b_h)

    def recur(self, params: IndRNNParams, carry: ElmanCarry, z: jax.Array) -> jax.Array:
        """`a = z + w_h h`."""
        return z + row(params.w_h, z) * carry.h.astype(z.dtype)
