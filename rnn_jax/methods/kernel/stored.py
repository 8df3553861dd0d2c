"""How a kernel has arrays in memory: with two axes or more, and no truth values.

A chip has neither vectors without rows nor single bits.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Form(NamedTuple):
    """What an array is to a step."""

    ndim: int
    dtype: Any
    by_row: bool
    """Whether its first axis is that of the rows, beside that of time."""

    def stored(self, x: jax.Array) -> jax.Array:
        """What a kernel has in memory: a number a row as a column, a vector of weights as a row."""
        if self.dtype == jnp.bool:
            x = x.astype(jnp.int32)
        if self.ndim > 1:
            return x
        return x[..., None] if self.by_row else x.reshape(1, -1)

    def loaded(self, x: jax.Array) -> jax.Array:
        """The other way round, within a step."""
        if self.ndim < 2:
            x = jax.lax.squeeze(x, (1,) if self.by_row else tuple(range(2 - self.ndim)))
        return x != 0 if self.dtype == jnp.bool else x


def form(x: Any, by_row: bool) -> Form:
    """That of an array of one step."""
    return Form(x.ndim, x.dtype, by_row)
