"""Time in blocks of several steps."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.export import is_symbolic_dim

from rnn_jax.devices.platform import on_gpu

FEWEST = 16
"""Steps of a block, whatever its bytes: fewer repeat the work of a block."""


class Pace(NamedTuple):
    """How loops go through time step by step on a kind of device."""

    bytes: int
    """How many bytes of preactivations a block has, about."""
    most: int
    """Steps of a block, whatever its bytes."""
    unroll: int
    """Steps of one iteration of the compiled loop."""

    def block(self, steps: int, size: int) -> int:
        """About as many steps of `size` bytes as that, so that no short block is left over.

        A block that is shorter than the others is another program, and makes XLA copy all arrays.
        """
        wanted = 0 if is_symbolic_dim(size) else self.bytes // max(1, size)
        wanted = min(self.most, max(FEWEST, wanted))
        if is_symbolic_dim(steps):
            return wanted
        near = range(3 * wanted // 4, 1 + min(self.most, 3 * wanted // 2, steps))
        if equal := [n for n in near if steps % n == 0]:
            return min(equal, key=lambda n: max(n / wanted, wanted / n))
        parts = max(1, round(steps / wanted))
        return max(1, -(-steps // parts))


IN_CACHE = Pace(2**20, 512, 1)
"""Where a block is to stay in a cache: enough for matmuls at full speed, and no more."""
LONG = IN_CACHE._replace(most=2**14)
"""The same for engines that work on many steps of a block at once."""
FEW_LAUNCHES = Pace(2**24, 2**14, 8)
"""On a GPU, where each kernel waits to be launched: steps side by side in one iteration share the
launches that copy what they read and write, and a block has some of its own whatever its length."""


def pace(tree: Any) -> Pace:
    """That of the device that what reads these arrays is traced for."""
    return FEW_LAUNCHES if on_gpu(tree) else IN_CACHE


def scan_blocks(
    f: Callable[[Any, Any], tuple[Any, Any]], size: int, carry: Any, xs: Any
) -> tuple[Any, Any]:
    """`lax.scan` of an `f` that takes `size` steps at once, the last time perhaps fewer."""
    steps = length(xs)
    if is_symbolic_dim(steps):  # nor can it be known whether there would be a rest
        return f(carry, xs)
    if steps <= size:
        return f(carry, xs)
    blocks, rest = divmod(steps, size)
    whole = blocks * size
    carry, ys = lax.scan(
        f, carry, jax.tree.map(lambda x: x[:whole].reshape(blocks, size, *x.shape[1:]), xs)
    )
    ys = jax.tree.map(lambda y: y.reshape(whole, *y.shape[2:]), ys)
    if rest:
        carry, tail = f(carry, jax.tree.map(lambda x: x[whole:], xs))
        ys = jax.tree.map(lambda y, t: jnp.concatenate([y, t]), ys, tail)
    return carry, ys


def scan_steps(
    f: Callable[[Any, Any], tuple[Any, Any]],
    carry: Any,
    xs: Any,
    unroll: int | None = None,
    *,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """`lax.scan`, with as many steps in an iteration as suit the device if `unroll` is None."""
    if is_symbolic_dim(length(xs)):  # nor can it be known whether there would be a rest
        unroll = 1
    elif unroll is None:
        unroll = pace((carry, xs)).unroll
    return lax.scan(f, carry, xs, reverse=reverse, unroll=unroll)


def length(xs: Any) -> int:
    """How many steps there are."""
    return jax.tree.leaves(xs)[0].shape[0]


def before_each(start: Any, xs: Any) -> Any:
    """The x before each step."""

    # A shift by padding: where time is split over devices, each hands one step to the next. What
    # joins arrays along time would have to be gathered.
    def shifted(x: jax.Array, xs: jax.Array) -> jax.Array:
        none, others = jnp.zeros((), xs.dtype), [(0, 0, 0)] * (xs.ndim - 1)
        later = lax.pad(xs, none, [(1, -1, 0), *others])
        return later + lax.pad(x[None], none, [(0, xs.shape[0] - 1, 0), *others])

    return jax.tree.map(shifted, start, xs)


def after_last(start: Any, xs: Any) -> Any:
    """The x after the last step: the start, if there was none."""

    def last(x: jax.Array, xs: jax.Array) -> jax.Array:
        if is_symbolic_dim(xs.shape[0]):
            return jnp.concatenate([x[None], xs])[-1]
        return xs[-1] if xs.shape[0] else x

    return jax.tree.map(last, start, xs)
