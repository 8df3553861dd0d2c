"""The linear recurrence with all chunks of time at once, for an M that mixes units."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.export import is_symbolic_dim

from rnn_jax.methods.blocks import LONG, length
from rnn_jax.methods.linear.operator import Operator
from rnn_jax.methods.linear.sequential import Sequential
from rnn_jax.recurrence.recurrence import Carry

FEW = 8
"""From how many numbers a sequence on a CPU multiplies matrices faster by its own routine."""


@dataclasses.dataclass(frozen=True)
class Dense:
    """M as a matrix `(n, n)` for each sequence, n the numbers of its carry; time in chunks.

    Three loops: the matrices of each chunk multiplied, over all chunks at once; what each chunk
    hands to the next; every chunk from what it was handed. They have about `3 sqrt(T)` steps. The
    first costs `n^3` a step and sequence, and M takes n^2 numbers, so it is for small carries.
    """

    chunks: int | None = None
    """How many; None takes sqrt(T)."""

    def block(self, xs: Any, size: int) -> int:
        """As many as stay in the cache of a CPU."""
        return LONG.block(length(xs), size)

    def forward(self, operator: Operator, start: Carry, b: Carry) -> tuple[Carry, Carry]:
        """`x_t = M_t x_{t-1} + b_t`."""
        chunks = self._chunks(b)
        if chunks < 2:
            return Sequential().forward(operator, start, b)
        vectors = Vectors(start)
        x = vectors.of(start)
        m = _matrices(operator, vectors, x)
        end, xs = _run(m, x, vectors.of(b, 1), chunks, reverse=False)
        return vectors.back(end), vectors.back(xs)

    def backward(self, operator: Operator, end: Carry, b: Carry) -> tuple[Carry, Carry]:
        """`y_t = b_t + M_{t+1}^T y_{t+1}`, which is a recurrence as well, backward in time."""
        chunks = self._chunks(b)
        if chunks < 2:
            return Sequential().backward(operator, end, b)
        vectors = Vectors(end)
        y = vectors.of(end)
        m = jnp.swapaxes(_matrices(operator, vectors, y), 1, 2)
        after = jnp.concatenate([m[1:], _identity(m[:1])])
        first, ys = _run(after, y, vectors.of(b, 1), chunks, reverse=True)
        return vectors.back(_product(m[0], first[:, None])[:, 0]), vectors.back(ys)

    def _chunks(self, b: Carry) -> int:
        """Fewer than 2 where there is nothing to gain, or a size is left open."""
        sizes = [n for leaf in jax.tree.leaves(b) for n in leaf.shape]
        if any(map(is_symbolic_dim, sizes)) or 0 in sizes:
            return 1
        return min(self.chunks or math.isqrt(length(b)), length(b))


class Vectors:
    """Carries as arrays `(..., n, sequences)`: what is worked on at once lies side by side."""

    def __init__(self, like: Carry) -> None:
        """Of the shapes and dtypes of one carry."""
        leaves, self._form = jax.tree.flatten(jax.eval_shape(lambda: like))
        self._leaves = leaves
        self.dtype = max((leaf.dtype for leaf in leaves), key=lambda dtype: jnp.finfo(dtype).bits)
        self.sizes = [leaf.shape[-1] for leaf in leaves]
        self.sequences = math.prod(leaves[0].shape[:-1])

    def of(self, carry: Carry, axes: int = 0) -> jax.Array:
        """Of a carry with so many axes in front."""

        def one(leaf: jax.Array) -> jax.Array:
            rows = leaf.reshape(*leaf.shape[:axes], self.sequences, leaf.shape[-1])
            return jnp.swapaxes(rows, -1, -2).astype(self.dtype)

        return jnp.concatenate([one(leaf) for leaf in jax.tree.leaves(carry)], -2)

    def back(self, vectors: jax.Array) -> Carry:
        """The other way round."""
        ends = [sum(self.sizes[: i + 1]) for i in range(len(self.sizes))]
        parts = jnp.split(vectors, ends[:-1], -2)

        def one(part: jax.Array, like: Any) -> jax.Array:
            rows = jnp.swapaxes(part, -1, -2)
            return rows.reshape(*vectors.shape[:-2], *like.shape).astype(like.dtype)

        return jax.tree.unflatten(self._form, map(one, parts, self._leaves))


def _matrices(operator: Operator, vectors: Vectors, like: jax.Array) -> jax.Array:
    """M_t of every step and sequence, `(T, n, n, sequences)`: rows, then columns."""
    n, sequences = like.shape
    columns = operator.of_each(vectors.back(_identity(jnp.broadcast_to(like, (n, n, sequences)))))
    return jnp.moveaxis(vectors.of(columns, 2), 0, 2)


def _run(
    m: jax.Array, start: jax.Array, b: jax.Array, chunks: int, reverse: bool
) -> tuple[jax.Array, jax.Array]:
    """`x_t = m_t x + b_t` from either end: the last x, and every x."""
    steps, n, sequences = b.shape
    size = -(-steps // chunks)
    more = chunks * size - steps
    # A step with the identity changes nothing, wherever it stands.
    m = jnp.concatenate([m, _identity(jnp.broadcast_to(m[:1], (more, *m.shape[1:])))])
    b = jnp.pad(b, ((0, more), (0, 0), (0, 0)))
    m, b = _apart(m, chunks), _apart(b, chunks)

    def gather(state: Any, at: Any) -> tuple[Any, None]:
        (x, product), (m, b) = state, at
        return (_product(m, x[:, None])[:, 0] + b, _product(m, product)), None

    nothing = jnp.zeros_like(b[0])
    (alone, products), _ = lax.scan(gather, (nothing, _identity(m[0])), (m, b), reverse=reverse)

    def hand_over(x: jax.Array, chunk: Any) -> tuple[jax.Array, jax.Array]:
        alone, product = chunk
        return _product(product, x[:, None])[:, 0] + alone, x

    # One chunk after the other, `(chunks, ..., sequences)`.
    each = [
        jnp.moveaxis(x.reshape(*x.shape[:-1], chunks, sequences), -2, 0) for x in (alone, products)
    ]
    end, starts = lax.scan(hand_over, start, tuple(each), reverse=reverse)
    starts = jnp.moveaxis(starts, 0, 1).reshape(n, chunks * sequences)

    def run(x: jax.Array, at: Any) -> tuple[jax.Array, jax.Array]:
        m, b = at
        x = _product(m, x[:, None])[:, 0] + b
        return x, x

    _, found = lax.scan(run, starts, (m, b), reverse=reverse)
    found = jnp.moveaxis(found.reshape(size, n, chunks, sequences), 2, 0)
    return end, found.reshape(chunks * size, n, sequences)[:steps]


def _product(m: jax.Array, x: jax.Array) -> jax.Array:
    """`m x` for m `(n, n, C)` and x `(n, k, C)`."""
    n = m.shape[0]
    if n < FEW:
        return sum((m[:, j, None] * x[None, j] for j in range(1, n)), m[:, 0, None] * x[None, 0])
    return jnp.einsum("ijc,jkc->ikc", m, x, precision=lax.Precision.HIGHEST)


def _identity(like: jax.Array) -> jax.Array:
    """Of the shape `(..., n, n, C)`, and of the devices that `like` is on."""
    eye = jnp.eye(like.shape[-2], dtype=like.dtype)
    return jnp.zeros_like(like) + eye.reshape(*(1,) * (like.ndim - 3), *eye.shape, 1)


def _apart(x: jax.Array, chunks: int) -> jax.Array:
    """`(T, ..., B)` as `(T / chunks, ..., chunks B)`: a chunk is a run of steps."""
    x = jnp.moveaxis(x.reshape(chunks, -1, *x.shape[1:]), 0, -2)
    return x.reshape(*x.shape[:-2], -1)
