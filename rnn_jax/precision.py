"""What is worked out in more digits than it is stored in."""

import jax.numpy as jnp
from jax.typing import DTypeLike


def at_least_float32(dtype: DTypeLike) -> DTypeLike:
    """`dtype`, or float32 in place of a narrower one: for statistics, random draws and LAPACK."""
    return dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32
