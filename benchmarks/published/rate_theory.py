"""What dynamic mean-field theory says of wide random rate networks, in steps of any length."""

import functools
from collections.abc import Callable

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal

GRID = np.linspace(-12, 12, 1601)
WEIGHT = np.exp(-(GRID**2) / 2)
WEIGHT /= WEIGHT.sum()
"""An integral over a standard normal variable is a sum over the grid."""
ORDERS = np.arange(1, 400, 2)
"""Of the Hermite polynomials in a series of tanh, which is odd."""


def largest_exponent(gain: float, step: float) -> float:
    """The largest Lyapunov exponent of `h' = (1 - s) h + s J tanh(h)`, per unit of time.

    With `J_ij ~ N(0, gain^2 / N)`, gain > 1, N to infinity and 0 < s < 1. The autocovariance c of
    a unit obeys, with `F(c) = gain^2 <tanh tanh>` at that covariance,
    `(1 + a^2) c_n - a (c_{n+1} + c_{n-1}) = s^2 F(c_n)`, a = 1 - s: the one that dies out is found
    by shooting. A difference between two orbits grows as `exp(k n)`, where the least eigenvalue
    of `(e^{2k} + a^2 - s^2 F'(c_n)) psi_n - a e^k (psi_{n+1} + psi_{n-1})` is zero. For s to 0 this
    is Sompolinsky, Crisanti & Sommers, Physical Review Letters 61, 1988.
    """
    keep = 1 - step
    inner = step**2 * _autocovariance(gain, step)[1]
    inner = np.concatenate([inner[:0:-1], inner])

    def least(rate: float) -> float:
        diagonal = np.exp(2 * rate) + keep**2 - inner
        beside = np.full(len(inner) - 1, -keep * np.exp(rate))
        return eigvalsh_tridiagonal(diagonal, beside, select="i", select_range=(0, 0))[0]

    low, high = np.log(keep), np.log(keep + step * gain)
    return _root(least, low, high) / step


def mean_exponent(gain: float, step: float) -> float:
    """The mean of all exponents per unit of time: `mean log |det J_t| / N`, N to infinity.

    `log |det(z + J D)| / N = 1/2 [E log(z^2 + gain^2 d^2 x) - x]` by Girko's Hermitisation, where
    `E gain^2 d^2 / (z^2 + gain^2 d^2 x) = 1`, or x = 0 for z outside the spectrum; here
    `z = (1 - s) / s` and `d = 1 - tanh(h)^2`.
    """
    z = (1 - step) / step
    variance = static_variance(gain) if step == 1 else _autocovariance(gain, step)[0][0]
    squares = gain**2 * np.cosh(np.sqrt(variance) * GRID) ** -4

    def off(x: float) -> float:
        return 1 - WEIGHT @ (squares / (z**2 + squares * x))

    x = _root(off, 0.0, 1.0) if z == 0 or off(0.0) < 0 else 0.0
    return (np.log(step) + (WEIGHT @ np.log(z**2 + squares * x) - x) / 2) / step


def static_variance(gain: float) -> float:
    """The q of `q = gain^2 E tanh(sqrt(q) u)^2`: of a new input at each step, or one for all."""
    return _root(lambda q: q - gain**2 * WEIGHT @ np.tanh(np.sqrt(q) * GRID) ** 2, 1e-9, gain**2)


def _autocovariance(gain: float, step: float) -> tuple[np.ndarray, np.ndarray]:
    """`c_n` for n = 0, 1, ... until it is nothing, and `F'(c_n)`."""
    keep = 1 - step
    low, high = 0.0, static_variance(gain)
    for _ in range(200):
        middle = (low + high) / 2
        found, slopes, below = _shot(gain, step, keep, middle)
        low, high = (middle, high) if below else (low, middle)
        if high - low <= 4e-16 * high:
            break
    return found, slopes


def _shot(
    gain: float, step: float, keep: float, variance: float
) -> tuple[np.ndarray, np.ndarray, bool]:
    """`c_n` from its variance on, as long as it falls, `F'(c_n)`, and whether it crosses zero."""
    power = gain**2 * (_polynomials() @ (WEIGHT * np.tanh(np.sqrt(variance) * GRID))) ** 2
    found, slopes, following = [], [], variance
    while following > 0 and not (found and following >= found[-1]):
        found.append(following)
        ratio = following / variance
        image = power @ ratio**ORDERS
        slopes.append((power * ORDERS) @ ratio ** (ORDERS - 1) / variance)
        both = ((1 + keep**2) * following - step**2 * image) / keep  # of the neighbours, summed
        following = both / 2 if len(found) == 1 else both - found[-2]
    return np.array(found), np.array(slopes), following <= 0


@functools.cache
def _polynomials() -> np.ndarray:
    """The normalised Hermite polynomials of those orders on the grid."""
    before, now, found = np.ones_like(GRID), GRID, []
    for k in range(1, ORDERS[-1] + 1):
        if k % 2:
            found.append(now)
        before, now = now, (GRID * now - np.sqrt(k) * before) / np.sqrt(k + 1)
    return np.array(found)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where it changes from negative to positive."""
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < 0 else (low, middle)
    return (low + high) / 2
