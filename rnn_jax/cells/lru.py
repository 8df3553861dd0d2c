"""The linear recurrent unit: a diagonal complex recurrence."""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import LEAST, fraction, settle, within
from rnn_jax.arithmetic import at_least_float32, row, widened
from rnn_jax.cell import SizedCell
from rnn_jax.cells.complex import (
    Complex,
    along,
    complex_input,
    complex_normal,
    polar,
    real_output,
)
from rnn_jax.cells.linear import Coefficients, LinearCell
from rnn_jax.errors import ArgumentError


class LRUParams(NamedTuple):
    """`4 D H + 3 H + D` numbers."""

    nu_log: jax.Array
    """`(hidden_size,)`: `log(-log |lambda|)`."""
    theta_log: jax.Array
    """`(hidden_size,)`: the logarithm of the phase of lambda."""
    gamma_log: jax.Array
    """`(hidden_size,)`: the logarithm of the gain of the input."""
    b: Complex
    """`(input_size, hidden_size)`."""
    c: Complex
    """`(hidden_size, input_size)`."""
    d: jax.Array
    """`(input_size,)`: what of the input goes straight to the output."""


@dataclasses.dataclass(frozen=True)
class LRU(LinearCell, SizedCell):
    """The linear recurrent unit: complex, diagonal, with the same coefficients at every step.

    `h_t = lambda h_{t-1} + exp(gamma_log) (x_t @ b)`, `y_t = Re(h_t @ c) + d x_t`, with
    `lambda = exp(-exp(nu_log) + i exp(theta_log))`, whose modulus is below 1 for any params. It
    starts uniform on the ring of radii `r_min` to `r_max`, with a phase uniform in
    `[0, max_phase]`; `exp(gamma_log) = sqrt(1 - |lambda|^2)`, so that white noise makes a state of
    the same size whatever the memory; b, c and d are normal, with variances of their real and
    imaginary parts `1 / 2 D`, `1 / H` and 1.

    Shapes: x and y `(*batch, D)`, h `(*batch, H)`, complex. Parameters: `4 D H + 3 H + D`. Cost of
    a step: `8 B H D` operations, none of them in the loop, and `8 B H` in it. Source: Orvieto et
    al., Resurrecting recurrent neural networks for long sequences, ICML 2023, arXiv:2303.06349.

    Give the layers above a nonlinearity; where lags are long, the paper takes an `r_min` near 1 and
    a small `max_phase`. Its coefficients are the same whatever it reads: where what to remember
    depends on the input, see `RGLRU` and `SelectiveSSM`.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.LRU(input_size=3, hidden_size=5)
    >>> carry, ys = rnn.unroll(cell, cell.init(jax.random.key(0)), jnp.ones((7, 2, 3)))
    >>> carry.re.shape, carry.im.shape, ys.shape
    ((2, 5), (2, 5), (7, 2, 3))

    Raises `ArgumentError` for a size that is not a positive integer, radii that are not
    `0 <= r_min < r_max <= 1`, and a `max_phase` outside `(0, 2 pi]`.
    """

    r_min: float = 0.0
    """The smallest modulus of a fresh lambda."""
    r_max: float = 1.0
    """The largest."""
    max_phase: float = math.tau
    """The largest phase of a fresh lambda, in radians a step."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no network, and a ring without area."""
        super().__post_init__()
        settle(self, r_min=fraction, r_max=fraction, max_phase=_phase)
        if self.r_min >= self.r_max:
            raise ArgumentError(
                f"LRU: r_min must be below r_max, got {self.r_min!r} and {self.r_max!r}."
            )

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> LRUParams:
        """Draw lambda on the ring, and the weights."""
        k_radius, k_phase, k_b, k_c, k_d = jax.random.split(key, 5)
        inputs, hidden, wide = self.input_size, self.hidden_size, at_least_float32(dtype)
        # Uniform in the area, and never 0, whose logarithm no optimiser can move.
        least = float(jnp.finfo(wide).eps)
        area = jax.random.uniform(k_radius, (hidden,), wide, minval=least)
        nu = -jnp.log(area * (self.r_max**2 - self.r_min**2) + self.r_min**2) / 2
        phase = jax.random.uniform(k_phase, (hidden,), wide, minval=least, maxval=self.max_phase)
        params = LRUParams(
            nu_log=jnp.log(nu),
            theta_log=jnp.log(phase),
            gamma_log=jnp.log(-jnp.expm1(-2 * nu)) / 2,
            b=complex_normal(k_b, (inputs, hidden), (2 * inputs) ** -0.5, wide),
            c=complex_normal(k_c, (hidden, inputs), hidden**-0.5, wide),
            d=jax.random.normal(k_d, (inputs,), wide),
        )
        return jax.tree.map(lambda leaf: leaf.astype(dtype), params)

    def initial_carry(self, params: LRUParams, batch_shape: tuple[int, ...] = ()) -> Complex:
        """Zeros."""
        shape, dtype = (*batch_shape, self.hidden_size), params.nu_log.dtype
        return Complex(re=jnp.zeros(shape, dtype), im=jnp.zeros(shape, dtype))

    def project(self, params: LRUParams, xs: jax.Array) -> Complex:
        """`exp(gamma_log) (x @ b)`."""
        gain = jnp.exp(widened(params.gamma_log))
        return complex_input(xs, params.b, Complex(gain, jnp.zeros_like(gain)))

    def coefficients(self, params: LRUParams, z: Complex) -> Coefficients:
        """Lambda, and what `project` made."""
        angle = jnp.exp(widened(params.theta_log))
        return Coefficients(along(polar(-jnp.exp(widened(params.nu_log)), angle), z), z)

    def readout(self, params: LRUParams, hs: Complex, xs: jax.Array) -> jax.Array:
        """`Re(h @ c) + d x`."""
        return real_output(hs, params.c) + row(params.d, xs) * xs


_phase = within(LEAST, math.tau, "a number in (0, 2 pi]")
