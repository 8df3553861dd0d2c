"""What cells share: a weight matrix per gate, and arithmetic that keeps one derivative an input."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

Initializer = Callable[..., jax.Array]
"""`(key, shape, dtype) -> array`, as in `jax.nn.initializers`."""

glorot = jax.nn.initializers.glorot_uniform()
zeros = jax.nn.initializers.zeros


def orthogonal(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> jax.Array:
    """An initialiser: an orthogonal matrix, of a dtype too narrow for LAPACK as well."""
    wide = dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32
    return jax.nn.initializers.orthogonal()(key, shape, wide).astype(dtype)


def per_gate(
    init: Initializer, key: jax.Array, shape: tuple[int, int], gates: int, dtype: DTypeLike
) -> jax.Array:
    """Draw a `(rows, gates * columns)` matrix whose blocks are each an `init` of their own.

    An orthogonal matrix of shape `(H, 4H)` is not four orthogonal matrices: fan-in, fan-out and
    orthogonality are meant for the map to one gate.
    """
    keys = jax.random.split(key, gates)
    return jnp.concatenate([init(k, shape, dtype) for k in keys], axis=-1)


def split(a: jax.Array, gates: int) -> tuple[jax.Array, ...]:
    """The gates of `(..., gates * H)` as arrays of their own, `(..., H)` each.

    XLA vectorises a loop body over whole arrays, not over slices of one row.
    """
    return tuple(jnp.split(a, gates, axis=-1))


def pointwise(f: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """An elementwise `f` of arrays of one shape whose tangent is a sum of one product an input.

    `df = sum_i (df/dx_i) dx_i`, each local derivative worked out in full before the sum. JAX's
    own tangent of a gate is a chain of products; this one leaves the backward loop with a
    multiplication an input, and as little to keep.
    """
    with_tangent = jax.custom_jvp(f)

    @with_tangent.defjvp
    def _(
        primals: tuple[jax.Array, ...], tangents: tuple[jax.Array, ...]
    ) -> tuple[jax.Array, jax.Array]:
        out, pull = jax.vjp(f, *primals)
        derivatives = pull(jnp.ones_like(out))
        return out, sum_of_products(derivatives, tangents)

    return functools.wraps(f)(with_tangent)


def sum_of_products(xs: tuple[jax.Array, ...], ys: tuple[jax.Array, ...]) -> jax.Array:
    """`sum_i x_i * y_i`."""
    return functools.reduce(jnp.add, map(jnp.multiply, xs, ys))


def sigmoid(x: jax.Array) -> jax.Array:
    """`1 / (1 + exp(-x))` by way of tanh, which XLA vectorises better inside a loop."""
    return 0.5 + 0.5 * jnp.tanh(0.5 * x)
