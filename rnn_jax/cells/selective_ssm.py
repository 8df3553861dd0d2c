"""The selective state space model: the recurrence of Mamba."""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import Name, positive, settle
from rnn_jax.arithmetic import affine, at_least_float32, matmul, row, widened
from rnn_jax.cell import Input
from rnn_jax.cells.linear import LinearCarry, LinearCell


class SelectiveSSMParams(NamedTuple):
    """`H (2 R + 3 N + 2)` numbers, with H features, N states each, and rank R of the steps."""

    w_in: jax.Array
    """`(features, step_rank + 2 * state_size)`: what makes the step, b and c of the input."""
    w_step: jax.Array
    """`(step_rank, features)`."""
    b_step: jax.Array
    """`(features,)`."""
    decay_log: jax.Array
    """`(features, state_size)`: `log(-A)`."""
    d: jax.Array
    """`(features,)`: what of the input goes straight to the output."""


class SelectiveCoefficients(NamedTuple):
    """Those of one step, and how it is read."""

    a: LinearCarry
    b: LinearCarry
    c: jax.Array
    """`(*batch, state_size)`."""


class _Selected(NamedTuple):
    """What an input makes of itself."""

    step: jax.Array
    """`(*batch, features)`: how long it lasts, before the softplus."""
    x: jax.Array
    b: jax.Array
    c: jax.Array


@dataclasses.dataclass(frozen=True)
class SelectiveSSM(LinearCell):
    """The selective state space model, S6: N states a feature, and an input that says how long.

    `s, b, c = split(x_t @ w_in)`, `step = softplus(s @ w_step + b_step)`, for each feature and
    state `h_t = exp(step A) h_{t-1} + step b x_t` with `A = -exp(decay_log)`, and for each feature
    `y_t = sum over states of c h_t + d x_t`. A short step keeps the state and skips the input, a
    long one forgets and writes. `exp(step A)` is below 1 for any params.

    Starts with `A = -1, -2, .. -N` for each feature (S4D-real), `softplus(b_step)` log-uniform in
    `[0.001, 0.1]`, `w_step` uniform with bound `R^(-1/2)` and `w_in` with bound `H^(-1/2)`, d = 1.
    Mamba has no weight decay on `decay_log`, though it has two axes.

    Shapes: x and y `(*batch, H)` of H features, carry `(*batch, H, N)`. Parameters:
    `features (step_rank + 2 state_size) + step_rank features + features (state_size + 2)`. Cost of
    a step: `2 B H (2 R + 2 N)` operations, none of them in the loop, and `7 B H N` in it with
    `B H N` exponentials. Source: Gu & Dao, Mamba: Linear-time sequence modeling with selective
    state spaces, 2023, arXiv:2312.00752.

    For text and other sequences of symbols, inside Mamba's block: a projection, a short
    convolution, a gate beside it, a projection back. The coefficients of all steps are N times as
    many numbers as the input: where memory is short, run it by `BPTT`, which keeps carries only.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.SelectiveSSM(features=6, state_size=4)
    >>> carry, ys = rnn.unroll(cell, cell.init(jax.random.key(0)), jnp.ones((7, 2, 6)))
    >>> carry.h.shape, ys.shape
    ((2, 6, 4), (7, 2, 6))

    Raises `ArgumentError` for a size that is not a positive integer.
    """

    features: int
    """H."""
    state_size: int = 16
    """N: states of each feature."""
    step_rank: int | None = None
    """R: through how few numbers the input says its step; None is `features / 16`, rounded up."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no network."""
        settle(self, features=positive, state_size=positive)
        settle(self, step_rank=_positive_or(-(-self.features // 16)))

    @property
    def input(self) -> Input:
        """`(H,)` numbers a step."""
        return Input((self.features,), jnp.floating)

    @property
    def _rank(self) -> int:
        assert self.step_rank is not None
        return self.step_rank

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> SelectiveSSMParams:
        """Draw the maps to step, b and c; the same decays for every feature."""
        k_in, k_step, k_bias = jax.random.split(key, 3)
        features, states, rank = self.features, self.state_size, self._rank
        wide = at_least_float32(dtype)

        def uniform(key: jax.Array, shape: tuple[int, ...], bound: float) -> jax.Array:
            return jax.random.uniform(key, shape, wide, minval=-bound, maxval=bound)

        low, high = math.log(0.001), math.log(0.1)
        step = jnp.exp(jax.random.uniform(k_bias, (features,), wide, minval=low, maxval=high))
        decays = jnp.log(jnp.arange(1, states + 1, dtype=wide))
        params = SelectiveSSMParams(
            w_in=uniform(k_in, (features, rank + 2 * states), features**-0.5),
            w_step=uniform(k_step, (rank, features), rank**-0.5),
            # The inverse of softplus.
            b_step=jnp.log(jnp.expm1(step)),
            decay_log=jnp.tile(decays, (features, 1)),
            d=jnp.ones(features, wide),
        )
        return jax.tree.map(lambda leaf: leaf.astype(dtype), params)

    def initial_carry(
        self, params: SelectiveSSMParams, batch_shape: tuple[int, ...] = ()
    ) -> LinearCarry:
        """Zeros."""
        shape = (*batch_shape, self.features, self.state_size)
        return LinearCarry(jnp.zeros(shape, params.decay_log.dtype))

    def project(self, params: SelectiveSSMParams, xs: jax.Array) -> _Selected:
        """Step, b and c of the input, beside it."""
        made, rank = matmul(xs, params.w_in), self._rank
        step, b, c = jnp.split(made, [rank, rank + self.state_size], -1)
        return _Selected(affine(step, params.w_step, params.b_step), xs, b, c)

    def coefficients(self, params: SelectiveSSMParams, z: _Selected) -> SelectiveCoefficients:
        """`exp(step A)`, `step b x`, and c."""
        step, x, b, c = map(widened, z)
        step = jax.nn.softplus(step)
        decay = jnp.exp(widened(params.decay_log))
        a = jnp.exp(-step[..., None] * row(decay, step[..., None]))
        written = (step * x)[..., None] * b[..., None, :]
        return SelectiveCoefficients(LinearCarry(a), LinearCarry(written), c)

    def emit(self, carry: LinearCarry, a: Any) -> jax.Array:
        """`sum over states of c h`."""
        read = widened(carry.h) * a.c[..., None, :]
        return jnp.sum(read, -1).astype(carry.h.dtype)

    def readout(self, params: SelectiveSSMParams, hs: jax.Array, xs: jax.Array) -> jax.Array:
        """`y + d x`."""
        return hs + row(params.d, xs) * xs


def _positive_or(default: int) -> Any:
    """A positive integer; in place of None this one."""

    def rule(name: Name, value: Any) -> int:
        return default if value is None else positive(name, value)

    return rule
