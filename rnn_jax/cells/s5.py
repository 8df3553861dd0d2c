"""The simplified state space layer: a continuous diagonal system, sampled by a learned step."""

import dataclasses
import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from rnn_jax.arithmetic import at_least_float32, row, widened
from rnn_jax.cell import SizedCell
from rnn_jax.cells.complex import (
    Complex,
    along,
    complex_input,
    polar,
    real_output,
)
from rnn_jax.cells.linear import Coefficients, LinearCell


class S5Params(NamedTuple):
    """`4 D H + 3 H + D` numbers."""

    decay_log: jax.Array
    """`(hidden_size,)`: `log(-Re lambda)`."""
    frequency: jax.Array
    """`(hidden_size,)`: `Im lambda`."""
    step_log: jax.Array
    """`(hidden_size,)`: the logarithm of the time that a step takes."""
    b: Complex
    """`(input_size, hidden_size)`."""
    c: Complex
    """`(hidden_size, input_size)`."""
    d: jax.Array
    """`(input_size,)`: what of the input goes straight to the output."""


@dataclasses.dataclass(frozen=True)
class S5(LinearCell, SizedCell):
    """The simplified state space layer: `dh/dt = lambda h + x @ b`, held constant over each step.

    `h_t = a h_{t-1} + (a - 1) / lambda (x_t @ b)` with `a = exp(lambda step)`,
    `lambda = -exp(decay_log) + i frequency` and `step = exp(step_log)`, and
    `y_t = 2 Re(h_t @ c) + d x_t`. H complex units stand for a real system of 2H: the other half
    are their conjugates. The modulus of a is below 1 for any params, for which the real part is
    kept as a logarithm, as in S4D (Gu et al., NeurIPS 2022).

    Starts as HiPPO-N, the normal part of the matrix that remembers its input as Legendre
    polynomials, of 2H rows: lambda are its eigenvalues with a positive imaginary part, all of real
    part -1/2; b and c are LeCun-normal real matrices seen in its eigenvectors; d is normal;
    step is log-uniform in `[0.001, 0.1]`.

    Shapes: x and y `(*batch, D)`, h `(*batch, H)`, complex. Parameters: `4 D H + 3 H + D`. Cost of
    a step: `8 B H D` operations, none of them in the loop, and `8 B H` in it; `init` takes the
    eigenvectors of a `2H x 2H` matrix on the host. Source: Smith, Warrington & Linderman,
    Simplified state space layers for sequence modeling, ICLR 2023, arXiv:2208.04933; one block of
    HiPPO-N, where its experiments have several.

    For signals that are sampled from something continuous, such as sound and sensors, with
    nonlinear layers between. Where what to remember depends on the input, see `SelectiveSSM`.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.S5(input_size=3, hidden_size=5)
    >>> carry, ys = rnn.unroll(cell, cell.init(jax.random.key(0)), jnp.ones((7, 2, 3)))
    >>> carry.re.shape, carry.im.shape, ys.shape
    ((2, 5), (2, 5), (7, 2, 3))

    Raises `ArgumentError` for a size that is not a positive integer.
    """

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> S5Params:
        """HiPPO-N, and the weights as its eigenvectors see them."""
        k_b, k_c, k_d, k_step = jax.random.split(key, 4)
        inputs, hidden, wide = self.input_size, self.hidden_size, at_least_float32(dtype)
        frequency, vectors = hippo_n(2 * hidden)
        re, im = jnp.asarray(vectors.real, wide), jnp.asarray(vectors.imag, wide)
        b = jax.random.normal(k_b, (inputs, 2 * hidden), wide) / math.sqrt(inputs)
        c = jax.random.normal(k_c, (2 * hidden, inputs), wide) / math.sqrt(2 * hidden)
        params = S5Params(
            decay_log=jnp.full(hidden, math.log(0.5), wide),
            frequency=jnp.asarray(frequency, wide),
            step_log=jax.random.uniform(
                k_step, (hidden,), wide, minval=math.log(0.001), maxval=math.log(0.1)
            ),
            # For rows x, the inverse V^H acts as its transpose, which is the conjugate of V.
            b=Complex(b @ re, -(b @ im)),
            c=Complex(re.T @ c, im.T @ c),
            d=jax.random.normal(k_d, (inputs,), wide),
        )
        return jax.tree.map(lambda leaf: leaf.astype(dtype), params)

    def initial_carry(self, params: S5Params, batch_shape: tuple[int, ...] = ()) -> Complex:
        """Zeros."""
        shape, dtype = (*batch_shape, self.hidden_size), params.decay_log.dtype
        return Complex(re=jnp.zeros(shape, dtype), im=jnp.zeros(shape, dtype))

    def project(self, params: S5Params, xs: jax.Array) -> Complex:
        """`(a - 1) / lambda (x @ b)`."""
        re, im, step = _continuous(params)
        # a - 1 from its parts, for a is nearly 1: expm1(re) cos(im) + (cos(im) - 1), and so on.
        growth, half = jnp.expm1(re * step), jnp.sin(im * step / 2)
        gain = Complex(
            growth * jnp.cos(im * step) - 2 * half * half, (growth + 1) * jnp.sin(im * step)
        )
        size = re * re + im * im
        return complex_input(xs, params.b, gain.times(Complex(re / size, -im / size)))

    def coefficients(self, params: S5Params, z: Complex) -> Coefficients:
        """`a`, and what `project` made."""
        re, im, step = _continuous(params)
        return Coefficients(along(polar(re * step, im * step), z), z)

    def readout(self, params: S5Params, hs: Complex, xs: jax.Array) -> jax.Array:
        """`2 Re(h @ c) + d x`."""
        return 2 * real_output(hs, params.c) + row(params.d, xs) * xs


def _continuous(params: S5Params) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Both parts of lambda, and the step."""
    return (
        -jnp.exp(widened(params.decay_log)),
        widened(params.frequency),
        jnp.exp(widened(params.step_log)),
    )


@functools.lru_cache(maxsize=8)
def hippo_n(size: int) -> tuple[np.ndarray, np.ndarray]:
    """HiPPO-N of an even `size`: imaginary parts `(size / 2,)` above 0, eigenvectors in columns.

    `A = -I/2 + K`, K antisymmetric: `K_nk = -sqrt(n + 1/2) sqrt(k + 1/2)` below the diagonal. So
    its real parts are -1/2, and the imaginary ones the eigenvalues of the Hermitian `-iK`.
    """
    root = np.sqrt(np.arange(size) + 0.5)
    below = np.tril(np.outer(root, root), -1)
    values, vectors = np.linalg.eigh(1j * (below - below.T))
    return values[size // 2 :], vectors[:, size // 2 :]
