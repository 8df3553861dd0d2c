"""What a loss is."""

from collections.abc import Callable
from typing import Any

import jax

Loss = Callable[[jax.Array, Any], jax.Array]
"""`(ys (T, *batch, ...), targets) -> (T, *batch)`: the loss of each step."""
