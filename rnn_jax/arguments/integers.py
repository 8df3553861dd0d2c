"""Integers that a user hands over, in a dtype that holds them."""

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def as_jax(x: Any) -> jax.Array:
    """`x` as an array of JAX; an integer out of the range of its dtype becomes the nearest in it.

    With x64 off JAX keeps the last 32 bits of a wider integer, so that token 2**32 + 3 would be
    token 3. The largest int32 counts as no token and as no length.
    """
    if isinstance(x, np.ndarray | np.generic | int | list | tuple) and not _traced(x):
        x = np.asarray(x)
        dtype = jax.dtypes.canonicalize_dtype(x.dtype)
        if x.dtype.kind in "iu" and dtype != x.dtype:
            bounds = np.iinfo(dtype)
            x = np.clip(x, bounds.min, bounds.max)
    return jnp.asarray(x)


def count(x: jax.Array, most: int) -> jax.Array:
    """`x` as an int32 where it is from 0 to `most`, else -1; x may be narrower than `most`."""
    x = x if x.dtype.itemsize >= 4 else x.astype(jnp.int32)
    return jnp.where((x >= 0) & (x <= most), x, -1).astype(jnp.int32)


def step_number(t: Any) -> jax.Array:
    """The number of a step as keys are folded by it, modulo 2**32."""
    if isinstance(t, jax.Array):
        return t.astype(jnp.uint32)
    return jnp.uint32(operator.index(t) % 2**32)


def _traced(x: Any) -> bool:
    return any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(x))
