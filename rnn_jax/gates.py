"""What cells share: a weight matrix per gate, and arithmetic that keeps one derivative an input."""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple, final

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments import function, settle, short, value_of
from rnn_jax.cell import SizedCell
from rnn_jax.errors import ArgumentError
from rnn_jax.initializers import Initializer, as_asked, drawn, glorot, orthogonal
from rnn_jax.memory_bias import ForgetBias, MemoryBias
from rnn_jax.precision import at_least_float32
from rnn_jax.sharding import rows_apart


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
        return f(*map(_widened, xs)).astype(xs[0].dtype)

    with_tangent = jax.custom_jvp(wide)

    @with_tangent.defjvp
    def _(
        primals: tuple[jax.Array, ...], tangents: tuple[jax.Array, ...]
    ) -> tuple[jax.Array, jax.Array]:
        out, pull = jax.vjp(wide, *primals)
        derivatives = map(_widened, pull(jnp.ones_like(out)))
        tangent = functools.reduce(jnp.add, map(jnp.multiply, derivatives, map(_widened, tangents)))
        return out, tangent.astype(out.dtype)

    return functools.wraps(f)(with_tangent)


def _widened(x: jax.Array) -> jax.Array:
    return x.astype(at_least_float32(x.dtype))


@jax.custom_jvp
def sigmoid(x: jax.Array) -> jax.Array:
    """`1 / (1 + exp(-x))`, with a derivative that is not rounded to 0 where the gate is near 1.

    A gate that is nearly shut is what a long memory is made of, so it is worked out to the last
    digits there: `(1 + tanh(x / 2)) / 2`, as good near 1/2, is 0 from -16 on in float32, and the
    derivative that JAX has, `s (1 - s)`, is 0 from 17 on.
    """
    return jax.nn.sigmoid(x)


@sigmoid.defjvp
def _(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (x,), (dx,) = primals, tangents
    gate = sigmoid(x)
    return gate, gate * sigmoid(-x) * dx


class Gate(NamedTuple):
    """`sigmoid(x)` by the side of it that is small, and so has digits to spare."""

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
    """The gate of a preactivation."""
    # Chosen, for the derivative of |x| at 0, where every gate without a bias starts, is 0.
    return Gate(x > 0, sigmoid(jnp.where(x > 0, -x, x)))
