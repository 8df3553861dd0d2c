"""The Elman network, the vanilla RNN of the textbooks."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, final

import jax
import jax.numpy as jnp
from jax.tree_util import Partial
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import function, pointwise, settle
from rnn_jax.arithmetic import affine, matmul
from rnn_jax.cell import SizedCell
from rnn_jax.initializers import Initializer, Normal, drawn, glorot, identity, orthogonal, zeros


class ElmanParams(NamedTuple):
    """`D * H + H * H + H` numbers."""

    w_xh: jax.Array
    """`(input_size, hidden_size)`."""
    w_hh: jax.Array
    """`(hidden_size, hidden_size)`."""
    b_h: jax.Array
    """`(hidden_size,)`."""


class ElmanCarry(NamedTuple):
    """What one step hands to the next."""

    h: jax.Array
    """`(*batch, hidden_size)`."""


@dataclasses.dataclass(frozen=True)
class ActivatedCell(SizedCell):
    """A cell whose next state is a pointwise function of its preactivation: `h = activation(a)`."""

    activation: Callable[[jax.Array], jax.Array] = jnp.tanh
    """Pointwise; with `jax.nn.relu` and identity recurrent weights an `Elman` is `IRNN`."""
    input_init: Initializer = dataclasses.field(default=glorot, repr=False)
    """Draws `w_xh`."""
    recurrent_init: Initializer = dataclasses.field(default=orthogonal, repr=False)
    """Draws `w_hh`."""
    bias_init: Initializer = dataclasses.field(default=zeros, repr=False)
    """Draws `b_h`."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no network, and what is no activation or no function."""
        super().__post_init__()
        settle(self, activation=pointwise(self.hidden_size), input_init=function)
        settle(self, recurrent_init=function, bias_init=function)

    @final
    def elman_params(self, key: jax.Array, dtype: DTypeLike) -> ElmanParams:
        """Draw the three arrays, each from its own initialiser."""
        k_xh, k_hh, k_h = jax.random.split(key, 3)
        hidden = self.hidden_size
        return ElmanParams(
            w_xh=drawn(self, "input_init", k_xh, (self.input_size, hidden), dtype),
            w_hh=drawn(self, "recurrent_init", k_hh, (hidden, hidden), dtype),
            b_h=drawn(self, "bias_init", k_h, (hidden,), dtype),
        )

    def initial_carry(self, params: Any, batch_shape: tuple[int, ...] = ()) -> ElmanCarry:
        """Zeros."""
        return ElmanCarry(jnp.zeros((*batch_shape, self.hidden_size), params.w_hh.dtype))

    def update(self, carry: ElmanCarry, a: jax.Array) -> ElmanCarry:
        """`h = activation(a)`."""
        return ElmanCarry(self.activation(a.astype(carry.h.dtype)))

    def linearize(
        self, carries: ElmanCarry, a: jax.Array, after: ElmanCarry
    ) -> Callable[[ElmanCarry, jax.Array], ElmanCarry]:
        """`dh = f'(a) da`, with `f'` taken from h where the activation allows."""
        derivative = DERIVATIVE_FROM_OUTPUT.get(self.activation)
        if derivative is None:
            return super().linearize(carries, a, after)
        return Partial(_scale, derivative(after.h))


@dataclasses.dataclass(frozen=True)
class Elman(ActivatedCell):
    """The simple recurrent network.

    `h_t = activation(x_t @ w_xh + h_{t-1} @ w_hh + b_h)`, emitted as it is.

    Shapes: x `(*batch, D)`, h `(*batch, H)`. Parameters: `D H + H^2 + H`. Cost of a step:
    `2 B H (D + H)` operations forward. Source: Elman, Finding structure in time, Cognitive
    Science 14, 1990.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.Elman(input_size=3, hidden_size=5)
    >>> params = cell.init(jax.random.key(0))
    >>> carry, hs = rnn.unroll(cell, params, jnp.ones((7, 2, 3)))
    >>> carry.h.shape, hs.shape
    ((2, 5), (7, 2, 5))

    Raises `ArgumentError` for a size that is not a positive integer, and an activation that is not
    pointwise or not JAX's.
    """

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> ElmanParams:
        """Draw the three arrays, each from its own initialiser."""
        return self.elman_params(key, dtype)

    def project(self, params: ElmanParams, xs: jax.Array) -> jax.Array:
        """`z = x @ w_xh + b_h`."""
        return affine(xs, params.w_xh, params.b_h)

    def recur(self, params: ElmanParams, carry: ElmanCarry, z: jax.Array) -> jax.Array:
        """`a = z + h @ w_hh`."""
        return z + matmul(carry.h, params.w_hh)


def _scale(derivative: jax.Array, carry: ElmanCarry, a: jax.Array) -> ElmanCarry:
    del carry
    return ElmanCarry(derivative * a.astype(derivative.dtype))


DERIVATIVE_FROM_OUTPUT: dict[Callable[..., jax.Array], Callable[[jax.Array], jax.Array]] = {
    jnp.tanh: lambda h: 1 - h * h,
    jax.nn.relu: lambda h: (h > 0).astype(h.dtype),
}


def IRNN(input_size: int, hidden_size: int) -> Elman:
    """The Elman network that starts as an integrator: ReLU and identity recurrent weights.

    `h_t = max(0, x_t @ w_xh + h_{t-1} @ w_hh + b_h)`, `w_hh = I` and `b_h = 0` at first, `w_xh`
    normal with standard deviation 0.001. Shapes and parameter count as for `Elman`. Source: Le,
    Jaitly & Hinton, A simple way to initialize recurrent networks of rectified linear units,
    2015, arXiv:1504.00941.

    Raises `ArgumentError` for a size that is not a positive integer.

    >>> import jax, rnn_jax as rnn
    >>> rnn.IRNN(1, 2).init(jax.random.key(0)).w_hh.tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return Elman(
        input_size,
        hidden_size,
        activation=jax.nn.relu,
        input_init=Normal(0.001),
        recurrent_init=identity,
    )
