"""The real-gated linear recurrent unit."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import positive, settle
from rnn_jax.arithmetic import at_least_float32, row, sigmoid, widened
from rnn_jax.cell import Input
from rnn_jax.cells.linear import Coefficients, LinearCarry, LinearCell
from rnn_jax.errors import ArgumentError

SPEED = 8
"""How often p is counted: c of the paper."""


class RGLRUParams(NamedTuple):
    """`2 H^2 / heads + 3 H` numbers, with H features."""

    w_r: jax.Array
    """`(heads, features / heads, features / heads)`: the recurrence gate's blocks."""
    w_i: jax.Array
    """`(heads, features / heads, features / heads)`: the input gate's blocks."""
    b_r: jax.Array
    """`(features,)`."""
    b_i: jax.Array
    """`(features,)`."""
    p: jax.Array
    """`(features,)`: the coefficient of an open gate is `exp(-8 softplus(p))`."""


@dataclasses.dataclass(frozen=True)
class RGLRU(LinearCell):
    """The real-gated linear recurrent unit of Griffin and RecurrentGemma.

    `r = sigmoid(x_t w_r + b_r)`, `i = sigmoid(x_t w_i + b_i)`, `log a = -8 r softplus(p)`,
    `h_t = a h_{t-1} + sqrt(1 - a^2) (i x_t)`; h is emitted. Each head's gates read its own part of
    the input, `features / heads` numbers. A shut gate r keeps the state as it is and lets nothing
    in. `a` is below 1 for any params.

    Starts with `exp(-8 softplus(p))` uniform in `[0.9, 0.999]`, weights normal of variance
    `heads / features`, biases 0. (The code of RecurrentGemma draws `exp(-softplus(p))` from that
    range instead, with a density that grows in proportion, and so forgets eight times as fast.)

    Shapes: x and h `(*batch, H)` of H features. Parameters: `2 features^2 / heads + 3 features`.
    Cost of a step: `4 B H^2 / heads` operations, none of them in the loop, and about `15 B H` in
    it, with three exponentials a unit. Source: De et al., Griffin: Mixing gated linear recurrences
    with local attention for efficient language models, 2024, arXiv:2402.19427.

    For text, in a stack with projections before and behind and with a short convolution or a local
    attention beside it, for it mixes no features: h of a unit follows from its own x and the gates.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.RGLRU(features=6, heads=2)
    >>> carry, hs = rnn.unroll(cell, cell.init(jax.random.key(0)), jnp.ones((7, 2, 6)))
    >>> carry.h.shape, hs.shape
    ((2, 6), (7, 2, 6))

    Raises `ArgumentError` for a size that is not a positive integer, and features that do not
    divide into heads.
    """

    features: int
    """H."""
    heads: int = 1
    """Into how many blocks the gates' weights are cut."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no network, and heads of different sizes."""
        settle(self, features=positive, heads=positive)
        if self.features % self.heads:
            raise ArgumentError(
                f"RGLRU: heads must divide features into equal parts, got {self.features} features "
                f"and {self.heads} heads."
            )

    @property
    def input(self) -> Input:
        """`(H,)` numbers a step."""
        return Input((self.features,), jnp.floating)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> RGLRUParams:
        """Draw the memory of each unit, and the gates' weights."""
        k_r, k_i, k_p = jax.random.split(key, 3)
        part = self.features // self.heads
        draw = jax.nn.initializers.normal(part**-0.5)
        shape, wide = (self.heads, part, part), at_least_float32(dtype)
        open_ = jax.random.uniform(k_p, (self.features,), wide, minval=0.9, maxval=0.999)
        return RGLRUParams(
            w_r=draw(k_r, shape, dtype),
            w_i=draw(k_i, shape, dtype),
            b_r=jnp.zeros(self.features, dtype),
            b_i=jnp.zeros(self.features, dtype),
            # The inverse of softplus.
            p=jnp.log(jnp.expm1(-jnp.log(open_) / SPEED)).astype(dtype),
        )

    def initial_carry(self, params: RGLRUParams, batch_shape: tuple[int, ...] = ()) -> LinearCarry:
        """Zeros."""
        return LinearCarry(jnp.zeros((*batch_shape, self.features), params.p.dtype))

    def project(self, params: RGLRUParams, xs: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The recurrence gate before its sigmoid, and `i x`."""
        heads = xs.reshape(*xs.shape[:-1], self.heads, xs.shape[-1] // self.heads)

        def gate(w: jax.Array, b: jax.Array) -> jax.Array:
            by_head = jnp.einsum("...hi,hij->...hj", heads, w)
            return by_head.reshape(xs.shape) + row(b, xs)

        return gate(params.w_r, params.b_r), sigmoid(gate(params.w_i, params.b_i)) * xs

    def coefficients(self, params: RGLRUParams, z: tuple[jax.Array, jax.Array]) -> Coefficients:
        """`a`, and `sqrt(1 - a^2) (i x)`."""
        r, x = map(widened, z)
        log_a = -SPEED * sigmoid(r) * row(jax.nn.softplus(widened(params.p)), r)
        # 1 - a^2 with all its digits; above 0, where the root has a derivative.
        rest = jnp.maximum(-jnp.expm1(2 * log_a), jnp.finfo(log_a.dtype).tiny)
        return Coefficients(LinearCarry(jnp.exp(log_a)), LinearCarry(jnp.sqrt(rest) * x))
