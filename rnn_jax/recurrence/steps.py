"""Which steps of a sequence happen, where sequences begin, and what chance decides."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Steps(NamedTuple):
    """What `rnn_jax.unroll` tells every layer about the steps; None where there is nothing to tell.

    A pytree, so that other values under jit are no other program.
    """

    valid: jax.Array | None = None
    """`(T, *batch)` of bool. Elsewhere the carry is kept and zeros are emitted."""
    reset: jax.Array | None = None
    """`(T, *batch)` of bool: before which steps the carry becomes `initial`."""
    initial: Any = None
    """A carry of the layer, where there is `reset`."""
    key: jax.Array | None = None
    """From which all noise is drawn."""
    first: Any = 0
    """The number of the first step: step t draws its noise from `fold_in(key, first + t)`."""

    def member(self, index: int) -> "Steps":
        """The same for entry `index` of a layer of layers, whose carry is a tuple."""
        return self._replace(
            initial=None if self.reset is None else self.initial[index],
            key=None if self.key is None else jax.random.fold_in(self.key, index),
        )

    def reversed(self) -> "Steps":
        """The same for a run from the last step to the first, step T - 1 at place 0.

        A reset stands between two steps and keeps them apart from either side: run backward, the
        carry starts afresh after the step that bears the mark, before the one that precedes it.
        """
        reset = self.reset
        if reset is not None:
            reset = jnp.concatenate([jnp.zeros_like(reset[:1]), jnp.flip(reset, 0)])[:-1]
        return self._replace(
            valid=None if self.valid is None else jnp.flip(self.valid, 0), reset=reset
        )

    def blank(self, ys: jax.Array) -> jax.Array:
        """`ys` `(T, *batch, ...)` with zeros where no step happens, in value and in gradient."""
        return ys if self.valid is None else select(self.valid, ys, jnp.zeros_like(ys))


def select(where: jax.Array | None, yes: Any, no: Any) -> Any:
    """`yes` or `no`, leaf by leaf, for a `where` that has their leading axes; `no` for None."""
    if where is None:
        return no

    def leaf(yes: jax.Array, no: jax.Array) -> jax.Array:
        trailing = max(yes.ndim, no.ndim) - where.ndim
        return jnp.where(where.reshape(where.shape + (1,) * trailing), yes, no)

    return jax.tree.map(leaf, yes, no)


def flip(xs: Any) -> Any:
    """Time run backward: the leading axis of every leaf."""
    return jax.tree.map(lambda x: jnp.flip(x, 0), xs)
