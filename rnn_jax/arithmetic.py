"""The arithmetic of cells: matrix products over all rows, and gates exact near 0 and 1."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import function
from rnn_jax.devices.sharding import rows_apart


def matmul(x: jax.Array, w: jax.Array) -> jax.Array:
    """`x @ w` for `(..., D)` and `(D, G)`, as one matrix product over all rows in the dtype of w.

    The cotangent of w is then one as well. From `x @ w` with two leading axes it would be a
    contraction over both, in front of which XLA copies one operand in another order. That is what
    there is where the rows may lie on several devices, for to make them one axis gathers them.
    """
    x = x.astype(w.dtype)
    if x.ndim < 3 or rows_apart(x):
        return x @ w
    return (x.reshape(-1, x.shape[-1]) @ w).reshape(*x.shape[:-1], w.shape[-1])


def row(b: jax.Array, like: jax.Array) -> jax.Array:
    """`b` `(features,)` with as many axes as `like`, for here no rank is promoted silently."""
    return jnp.expand_dims(b, tuple(range(like.ndim - b.ndim)))


def affine(x: jax.Array, w: jax.Array, b: jax.Array) -> jax.Array:
    """`x @ w + b` for b `(G,)`."""
    y = matmul(x, w)
    return y + row(b, y)


def split(a: jax.Array, gates: int) -> tuple[jax.Array, ...]:
    """The gates of `(..., gates * H)` as arrays of their own, `(..., H)` each.

    XLA vectorises a loop body over whole arrays, not over slices of one row.
    """
    return tuple(jnp.split(a, gates, axis=-1))


def pointwise(f: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """An elementwise `f` of arrays of one shape whose tangent is a sum of one product an input.

    `df = sum_i (df/dx_i) dx_i`, each local derivative worked out in full before the sum. JAX's
    own tangent of a gate is a chain of products; this one leaves the backward loop with a
    multiplication an input, and as little to keep. What is narrower than float32 is worked out in
    float32, and the result has the dtype of the first array, which is the carry's.
    """

    def wide(*xs: jax.Array) -> jax.Array:
        return f(*map(widened, xs)).astype(xs[0].dtype)

    with_tangent = jax.custom_jvp(wide)

    @with_tangent.defjvp
    def _(
        primals: tuple[jax.Array, ...], tangents: tuple[jax.Array, ...]
    ) -> tuple[jax.Array, jax.Array]:
        out, pull = jax.vjp(wide, *primals)
        derivatives = map(widened, pull(jnp.ones_like(out)))
        tangent = functools.reduce(jnp.add, map(jnp.multiply, derivatives, map(widened, tangents)))
        return out, tangent.astype(out.dtype)

    return functools.wraps(f)(with_tangent)


def surrogate(
    f: Callable[[jax.Array], jax.Array], derivative: Callable[[jax.Array], jax.Array]
) -> Callable[[jax.Array], jax.Array]:
    """The pointwise `f` with another derivative: that of a spike, of a rounding, of any step.

    `y = f(x)`, `dy = derivative(x) dx`. Where `f` is flat or jumps, its own derivative teaches
    nothing; a surrogate lets the gradient through. It has a tangent, so that every method and
    every mode of differentiation takes a cell with it inside, which they do not take with a
    `jax.custom_vjp`. With `derivative=jnp.ones_like` it is the straight-through estimator. Sources:
    Neftci, Mostafa & Zenke, Surrogate gradient learning in spiking neural networks, IEEE Signal
    Processing Magazine 36, 2019; Bengio, Leonard & Courville, 2013, arXiv:1308.3432.

    Raises `ArgumentError` for what is no function.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> spike = rnn.surrogate(lambda v: jnp.heaviside(v, 0.0), lambda v: 1 / (1 + jnp.abs(v)) ** 2)
    >>> float(spike(1.0)), float(jax.grad(spike)(1.0))
    (1.0, 0.25)
    """
    function("surrogate: f", f)
    function("surrogate: derivative", derivative)

    @jax.custom_jvp
    def with_surrogate(x: jax.Array) -> jax.Array:
        return f(x)

    @with_surrogate.defjvp
    def _(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
        (x,), (dx,) = primals, tangents
        return with_surrogate(x), derivative(x) * dx

    return functools.wraps(f)(with_surrogate)


def at_least_float32(dtype: DTypeLike) -> DTypeLike:
    """`dtype`, or float32 in place of a narrower one: for statistics, random draws and LAPACK."""
    return dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32


def widened(x: jax.Array) -> jax.Array:
    """`x` in float32, or as it is where it is wider."""
    return x.astype(at_least_float32(x.dtype))


@jax.custom_jvp
def sigmoid(x: jax.Array) -> jax.Array:
    """`1 / (1 + exp(-x))`, with a derivative that is not rounded to 0 where the gate is near 1.

    A long memory needs gates that are nearly shut, so there it is exact to the last digits.
    `(1 + tanh(x / 2)) / 2`, as good near 1/2, is 0 from -16 on in float32, and the derivative that
    JAX has, `s (1 - s)`, is 0 from 17 on.
    """
    return jax.nn.sigmoid(x)


@sigmoid.defjvp
def _(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (x,), (dx,) = primals, tangents
    gate = sigmoid(x)
    return gate, gate * sigmoid(-x) * dx


class Gate(NamedTuple):
    """`sigmoid(x)` as the smaller of it and `1 - sigmoid(x)`, which is rounded least."""

    is_open: jax.Array
    """Whether x is positive."""
    small: jax.Array
    """`sigmoid(-|x|)`."""

    def share(self) -> jax.Array:
        """`sigmoid(x)`."""
        return jnp.where(self.is_open, 1 - self.small, self.small)

    def blend(self, one: jax.Array, other: jax.Array) -> jax.Array:
        """`sigmoid(x) one + sigmoid(-x) other`: a small step from the nearer to the farther."""
        near, far = jnp.where(self.is_open, one, other), jnp.where(self.is_open, other, one)
        return near + self.small * (far - near)


def gate(x: jax.Array) -> Gate:
    """`sigmoid(x)` as a `Gate`."""
    # Chosen, for the derivative of |x| at 0, where every gate without a bias starts, is 0.
    return Gate(x > 0, sigmoid(jnp.where(x > 0, -x, x)))
