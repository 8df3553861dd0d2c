"""Complex numbers as pairs of real arrays, in any floating dtype.

A real pair can be narrower than float32, donated, and stepped by any optimiser, none of which
knows complex dtypes.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax.arithmetic import matmul, row, widened


class Complex(NamedTuple):
    """Complex numbers: the carry of a complex linear cell, its coefficients and its weights."""

    re: jax.Array
    """The real parts."""
    im: jax.Array
    """The imaginary parts, of the same shape."""

    def times(self, other: "Complex") -> "Complex":
        """The product, number by number."""
        return Complex(
            self.re * other.re - self.im * other.im, self.re * other.im + self.im * other.re
        )


def polar(log_radius: jax.Array, angle: jax.Array) -> Complex:
    """`exp(log_radius + i angle)`."""
    radius = jnp.exp(log_radius)
    return Complex(radius * jnp.cos(angle), radius * jnp.sin(angle))


def along(unit: Complex, like: Complex) -> Complex:
    """One number a unit, `(H,)`, in the shape of `like` `(..., H)`."""
    return Complex(
        *(jnp.broadcast_to(row(u, of), of.shape) for u, of in zip(unit, like, strict=True))
    )


def complex_input(xs: jax.Array, w: Complex, scale: Complex) -> Complex:
    """`scale (x @ w)` for real x `(..., D)`, w `(D, H)` and one scale a unit, in the dtype of w."""
    into = Complex(matmul(xs, w.re), matmul(xs, w.im))
    scaled = along(scale, into).times(Complex(*map(widened, into)))
    return Complex(*(part.astype(w.re.dtype) for part in scaled))


def real_output(hs: Complex, w: Complex) -> jax.Array:
    """`Re(h @ w)` for hs `(..., H)`."""
    return matmul(hs.re, w.re) - matmul(hs.im, w.im)


def complex_normal(
    key: jax.Array, shape: tuple[int, ...], deviation: float, dtype: jax.typing.DTypeLike
) -> Complex:
    """Independent normal real and imaginary parts of this standard deviation each."""
    parts = deviation * jax.random.normal(key, (2, *shape), dtype)
    return Complex(parts[0], parts[1])
