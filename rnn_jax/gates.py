"""What cells share: a weight matrix per gate, and arithmetic that keeps one derivative an input."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, final

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments import Of, function, settle, short, value_of
from rnn_jax.arrays import is_array, taken
from rnn_jax.cell import Layer, SizedCell
from rnn_jax.errors import ArgumentError
from rnn_jax.memory_bias import ForgetBias, MemoryBias
from rnn_jax.precision import at_least_float32

Initializer = Callable[..., jax.Array]
"""`(key, shape, dtype) -> array`, as in `jax.nn.initializers`."""

glorot = jax.nn.initializers.glorot_uniform()
zeros = jax.nn.initializers.zeros


def orthogonal(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> jax.Array:
    """An initialiser: an orthogonal matrix, of a dtype too narrow for LAPACK as well."""
    return jax.nn.initializers.orthogonal()(key, shape, at_least_float32(dtype)).astype(dtype)


@dataclasses.dataclass(frozen=True)
class GatedCell(SizedCell):
    """A sized cell whose weights are blocks, one a gate, side by side on the last axis."""

    input_init: Initializer = dataclasses.field(default=glorot, repr=False)
    """Draws `w_xh`, gate by gate."""
    recurrent_init: Initializer = dataclasses.field(default=orthogonal, repr=False)
    """Draws `w_hh`, gate by gate."""
    memory_bias: MemoryBias = ForgetBias(0.0)
    """Draws what the gates that remember and that write start with; other biases start at 0."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no network, and a bias that is not drawn by a value."""
        super().__post_init__()
        settle(self, input_init=function, recurrent_init=function, memory_bias=is_memory_bias)

    @final
    def weights(
        self, key: jax.Array, gates: int, dtype: DTypeLike, feedback: int | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Draw `w_xh` `(D, gates * H)` and `w_hh` `(feedback, gates * H)`, by default of H rows.

        Block by block, for an orthogonal matrix of shape `(H, 4H)` is not four orthogonal
        matrices, and fan-in and fan-out are meant for the map to one gate.
        """
        k_xh, k_hh = jax.random.split(key)

        def blocks(init: str, key: jax.Array, rows: int) -> jax.Array:
            keys = jax.random.split(key, gates)
            shape = rows, self.hidden_size
            return jnp.concatenate([drawn(self, init, k, shape, dtype) for k in keys], -1)

        return (
            blocks("input_init", k_xh, self.input_size),
            blocks("recurrent_init", k_hh, feedback or self.hidden_size),
        )

    @final
    def memory_biases(self, key: jax.Array, dtype: DTypeLike) -> tuple[jax.Array, jax.Array]:
        """Draw the biases of what remembers and what writes, `(H,)` each, apart from `weights`."""
        found = self.memory_bias(jax.random.fold_in(key, 2), self.hidden_size, dtype)
        if not isinstance(found, tuple) or len(found) != 2:
            raise ArgumentError(
                f"{self!r}: memory_bias must return a pair, the biases of what remembers and of "
                f"what writes, got {short(found)}."
            )
        remember, write = (
            as_asked(self, "memory_bias", one, (self.hidden_size,), dtype) for one in found
        )
        return remember, write


is_memory_bias = value_of(
    "a draw of the biases of the memory's gates", "ForgetBias(1.0) or Chrono(longest=784)"
)


def drawn(
    layer: Layer, init: str, key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike
) -> jax.Array:
    """What the initialiser in the field `init` of a layer draws."""
    return as_asked(layer, init, getattr(layer, init)(key, shape, dtype), shape, dtype)


def as_asked(
    layer: Layer, init: str, found: Any, shape: tuple[int, ...], dtype: DTypeLike
) -> jax.Array:
    """The array that an initialiser made; raises where it is not the one that was asked for."""
    found = taken(Of(layer, init), found)
    wanted = jax.dtypes.canonicalize_dtype(dtype)
    right = is_array(found) and found.shape == shape
    if right and jax.dtypes.canonicalize_dtype(found.dtype) == wanted:
        return jnp.asarray(found)
    raise ArgumentError(
        f"{layer!r}: {init}(key, shape, dtype) must return an array of the shape and dtype that it "
        f"is given, {wanted} of shape {shape}, got {short(found)}."
    )


def matmul(x: jax.Array, w: jax.Array) -> jax.Array:
    """`x @ w` for `(..., D)` and `(D, G)`, as one matrix product over all rows.

    The cotangent of w is then one as well. From `x @ w` with two leading axes it would be a
    contraction over both, in front of which XLA copies one operand in another order.
    """
    rows = x.reshape(-1, x.shape[-1]) if x.ndim > 2 else x
    return (rows @ w).reshape(*x.shape[:-1], w.shape[-1])


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
