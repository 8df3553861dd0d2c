"""An affine map of each step."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import function, optional, pointwise, positive, settle
from rnn_jax.arithmetic import affine
from rnn_jax.cell import Input
from rnn_jax.initializers import Initializer, drawn, glorot, zeros
from rnn_jax.layers.memoryless import Memoryless


class DenseParams(NamedTuple):
    """`D * features + features` numbers."""

    w: jax.Array
    """`(input_size, features)`."""
    b: jax.Array
    """`(features,)`."""


@dataclasses.dataclass(frozen=True)
class Dense(Memoryless):
    """An affine map of each step: `y_t = activation(x_t @ w + b)`, all steps in one matmul.

    Shapes: x `(*batch, D)`, y `(*batch, features)`. Parameters: `D * features + features`.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> layer = rnn.Dense(input_size=3, features=2)
    >>> rnn.unroll(layer, layer.init(jax.random.key(0)), jnp.ones((7, 3)))[1].shape
    (7, 2)

    Raises `ArgumentError` for a size that is not a positive integer, and an activation that is not
    a function of `features` numbers to as many.
    """

    input_size: int
    """D."""
    features: int
    """How many numbers it emits at a step."""
    activation: Callable[[jax.Array], jax.Array] | None = None
    """Applied to the rows: `jax.nn.gelu` between linear layers, which are one linear layer without;
    None for none."""
    weight_init: Initializer = dataclasses.field(default=glorot, repr=False)
    """Draws `w`."""
    bias_init: Initializer = dataclasses.field(default=zeros, repr=False)
    """Draws `b`."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no map."""
        settle(self, input_size=positive, features=positive)
        settle(self, activation=optional(pointwise(self.features)))
        settle(self, weight_init=function, bias_init=function)

    @property
    def input(self) -> Input:
        """`(D,)` numbers a step."""
        return Input((self.input_size,), jnp.floating)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> DenseParams:
        """Draw the matrix and the bias."""
        k_w, k_b = jax.random.split(key)
        return DenseParams(
            w=drawn(self, "weight_init", k_w, (self.input_size, self.features), dtype),
            b=drawn(self, "bias_init", k_b, (self.features,), dtype),
        )

    def project(self, params: DenseParams, xs: jax.Array) -> jax.Array:
        """`activation(x @ w + b)`."""
        ys = affine(xs, params.w, params.b)
        return ys if self.activation is None else self.activation(ys)
