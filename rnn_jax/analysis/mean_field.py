"""What the theory of wide random networks predicts: variance, timescale, Lyapunov spectrum."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnn_jax.arguments.settings import above_zero, fraction, not_negative, pointwise, positive
from rnn_jax.errors import ArgumentError

Activation = Callable[[jax.Array], jax.Array]
POINTS = 400
"""Of the grid that integrals are sums over."""


class MeanField(NamedTuple):
    """The state that a wide random network settles in, and how fast."""

    q: jax.Array
    """Variance of a unit's preactivation."""
    chi: jax.Array
    """What the squared length of a gradient is multiplied by at each step; critical at 1."""
    c: jax.Array
    """Correlation that two sequences settle at, whose inputs have that of `input_correlation`."""
    timescale: jax.Array
    """In steps: how long a difference from there lasts, `exp(-t / timescale)`."""
    lyapunov: jax.Array
    """The largest Lyapunov exponent, `log(chi) / 2`, in nats a step."""


def mean_field(
    gain: float,
    *,
    input_variance: float = 0.0,
    input_correlation: float = 1.0,
    bias_variance: float = 0.0,
    activation: Activation = jnp.tanh,
) -> MeanField:
    """The mean-field theory of the vanilla RNN with random weights.

    For `a_t = f(a_{t-1}) w + x_t v + b` with `w ~ N(0, gain^2 / H)` entry by entry, `x v` of
    variance `input_variance` and b of `bias_variance`, H large, and u, u' standard normal with
    correlation c:

    `q = gain^2 E f(sqrt(q) u)^2 + input_variance + bias_variance`,
    `c q = gain^2 E f(sqrt(q) u) f(sqrt(q) u') + input_correlation input_variance + bias_variance`,
    `chi_c = gain^2 E f'(sqrt(q) u) f'(sqrt(q) u')`, `timescale = -1 / log chi_c`.

    `chi = chi_1` says whether gradients vanish or explode. With tanh, and neither inputs nor
    biases, the critical gain is 1: below, all dies out (q = 0); above, chaos.

    Each result is a scalar. Cost: 60 Newton steps with integrals of 400 and 400^2 points. The
    integrals are sums over an even grid, which for an analytic f and a Gaussian weight converges
    faster than any power, and for tanh sooner than Gauss-Hermite. f must grow no faster than a
    line. Sources: Chen, Pennington & Schoenholz, Dynamical isometry and a mean field theory of
    RNNs, ICML 2018, arXiv:1806.05394; Sompolinsky, Crisanti & Sommers, Physical Review Letters
    61, 1988.

    Raises `ArgumentError` for a gain that is not positive, a negative variance, a correlation
    outside [0, 1], and where nothing settles, as for a ReLU of a gain beyond the root of 2.

    >>> import rnn_jax as rnn
    >>> round(float(rnn.analysis.mean_field(gain=2.0).q), 2)
    2.12
    >>> round(float(rnn.analysis.mean_field(gain=0.5).chi), 4)
    0.25
    """
    gain = above_zero("mean_field: gain", gain)
    input_variance = not_negative("mean_field: input_variance", input_variance)
    bias_variance = not_negative("mean_field: bias_variance", bias_variance)
    input_correlation = fraction("mean_field: input_correlation", input_correlation)
    activation = pointwise(POINTS)("mean_field: activation", activation)
    found = _mean_field(
        activation, gain, input_variance, input_correlation * input_variance, bias_variance
    )
    if not math.isfinite(found.q):
        raise ArgumentError(
            f"mean_field: with gain {gain} and {activation!r} the variance grows without bound, so "
            "nothing settles; take a smaller gain."
        )
    return found


@functools.partial(jax.jit, static_argnums=0)
def _mean_field(
    activation: Activation, gain: Any, input_variance: Any, common_variance: Any, bias: Any
) -> MeanField:
    u, density = _grid()
    q = _variance(activation, gain, input_variance + bias)

    def integrals(c: jax.Array) -> tuple[jax.Array, jax.Array]:
        """E f f and E f' f' at correlation c."""
        first = jnp.sqrt(q) * u[:, None]
        second = c * first + jnp.sqrt(q * (1 - c * c)) * u[None]
        f, slope = _with_slope(activation, first)
        g, other = _with_slope(activation, second)
        return density @ (f * g) @ density, density @ (slope * other) @ density

    def newton(_: int, c: jax.Array) -> jax.Array:
        # From below: the map is a power series in c without negative terms, hence convex.
        products, slopes = integrals(c)
        after = (gain**2 * products + common_variance + bias) / jnp.where(q > 0, q, 1)
        return jnp.clip(c + (after - c) / jnp.maximum(1 - gain**2 * slopes, _tiny(c)), 0, 1)

    # Two sequences that both died out are the same.
    c = jnp.where(q > 0, lax.fori_loop(0, 60, newton, jnp.zeros_like(q)), 1)
    chi = gain**2 * density @ jnp.square(_with_slope(activation, jnp.sqrt(q) * u)[1])
    return MeanField(q, chi, c, -1 / jnp.log(gain**2 * integrals(c)[1]), jnp.log(chi) / 2)


class MeanFieldLyapunov(NamedTuple):
    """The Lyapunov spectrum of an infinitely wide random network, in nats a step."""

    exponents: jax.Array
    """`(k,)`: at the fractions `(i - 1/2) / k` of the units, the largest first."""
    largest: jax.Array
    """At fraction 0."""
    mean: jax.Array
    """Over all fractions: `mean log|det J_t|` a unit."""


def mean_field_lyapunov(
    gain: float, *, k: int, activation: Activation = jnp.tanh
) -> MeanFieldLyapunov:
    """The whole Lyapunov spectrum of `h' = f(h) w`, `w ~ N(0, gain^2 / H)`, without input.

    In the limit of many units the Jacobians of successive steps are free random matrices, each a
    Gaussian one times a diagonal one, so the S-transforms of their squared singular values
    multiply. With `d = f'(sqrt(q) u)`, u standard normal and q of `mean_field`, the exponent
    below which a fraction 1 - p of them lies is

    `lambda(p) = 1/2 log(gain^2 p / s)`, where s solves `E s d^2 / (1 + s d^2) = p`.

    At p = 0 this is `1/2 log(gain^2 E d^2)`, and its mean is `log gain - 1/2 + E log|d|`. Where
    all dies out (d = f'(0)) it is the triangle law `1/2 log(gain^2 d^2 (1 - p))`, the spectrum of
    w itself. It holds for odd activations, whose states at different times are uncorrelated.

    Cost: one forward pass of `mean_field` for q, and a bisection an exponent. Sources: Newman,
    Communications in Mathematical Physics 103, 1986; Engelken, Wolf & Abbott, Lyapunov spectra of
    chaotic recurrent neural networks, Physical Review Research 5, 2023.

    Raises `ArgumentError` for a gain or a number k of exponents that is not positive.

    >>> import rnn_jax as rnn
    >>> found = rnn.analysis.mean_field_lyapunov(gain=2.0, k=100)
    >>> round(float(found.largest), 4), round(float(found.mean), 4)
    (0.1547, -1.149)
    """
    k = positive("mean_field_lyapunov: k", k)
    gain = above_zero("mean_field_lyapunov: gain", gain)
    activation = pointwise(POINTS)("mean_field_lyapunov: activation", activation)
    return _mean_field_lyapunov(activation, k, gain)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _mean_field_lyapunov(activation: Activation, k: int, gain: Any) -> MeanFieldLyapunov:
    u, density = _grid()
    log_slope = _log_slope(activation, jnp.sqrt(_variance(activation, gain, 0.0)) * u)

    def exponent(p: jax.Array) -> jax.Array:
        def halve(_: int, bounds: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            low, high = bounds
            middle = (low + high) / 2
            below = density @ jax.nn.sigmoid(middle + 2 * log_slope) < p
            return jnp.where(below, middle, low), jnp.where(below, high, middle)

        # The logarithm of s, between what it were if all units had the steepest slope, or the
        # flattest.
        odds = jnp.log(p) - jnp.log1p(-p)
        ends = odds - 2 * jnp.max(log_slope), odds - 2 * jnp.min(log_slope)
        low, high = lax.fori_loop(0, 60, halve, ends)
        return jnp.log(gain) + (jnp.log(p) - (low + high) / 2) / 2

    fractions = (jnp.arange(k, dtype=u.dtype) + 0.5) / k
    return MeanFieldLyapunov(
        lax.map(exponent, fractions),
        largest=jnp.log(gain) + jnp.log(density @ jnp.exp(2 * log_slope)) / 2,
        mean=jnp.log(gain) - 0.5 + density @ log_slope,
    )


def _variance(activation: Activation, gain: Any, constant: Any) -> jax.Array:
    """The largest root q of `q = gain^2 E f(sqrt(q) u)^2 + constant`."""
    u, density = _grid()

    def newton(_: int, q: jax.Array) -> jax.Array:
        # The derivative by hand, for that of a root does not exist at 0.
        root = jnp.sqrt(q)
        f, slope = _with_slope(activation, root * u)
        after = gain**2 * density @ jnp.square(f) + constant
        rate = gain**2 * density @ (f * slope * u) / jnp.where(q > 0, root, 1)
        return jnp.maximum(q + (after - q) / jnp.maximum(1 - rate, _tiny(q)), 0)

    # From above, where q minus the map is convex, so that Newton comes down to the largest root.
    return lax.fori_loop(0, 60, newton, jnp.asarray(1e4, u.dtype))


def _grid() -> tuple[jax.Array, jax.Array]:
    """Points and weights of an integral over a standard normal variable."""
    u = jnp.linspace(-10, 10, POINTS, dtype=jnp.result_type(float))
    density = jnp.exp(-jnp.square(u) / 2)
    return u, density / density.sum()


def _with_slope(activation: Activation, a: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jax.jvp(activation, (a,), (jnp.ones_like(a),))


def _log_slope(activation: Activation, a: jax.Array) -> jax.Array:
    if activation is jnp.tanh:
        # Exact far out as well, where 1 - tanh^2 is nothing but rounding.
        return 2 * (math.log(2) - jnp.abs(a) - jnp.log1p(jnp.exp(-2 * jnp.abs(a))))
    _, slope = _with_slope(activation, a)
    return jnp.log(jnp.maximum(jnp.abs(slope), _tiny(a)))


def _tiny(x: jax.Array) -> float:
    return float(jnp.finfo(x.dtype).tiny)
