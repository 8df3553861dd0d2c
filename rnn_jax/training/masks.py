"""Which params a rule of an optimiser is for."""

from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.arguments.arrays import is_array
from rnn_jax.arguments.settings import short
from rnn_jax.cell import Params
from rnn_jax.errors import StructureError


def matrices(params: Params) -> Any:
    """True for each array of two axes or more, False for biases, gains, time scales and carries.

    A mask as optax takes it: decay the weights, and not what would be no simpler for being 0.
    `optax.adamw(1e-3, mask=rnn_jax.training.matrices)`.

    Returns:
      A pytree of bools like `params`.

    Raises:
      StructureError: A leaf is no array.

    >>> import jax, rnn_jax as rnn
    >>> rnn.training.matrices(rnn.Elman(3, 5).init(jax.random.key(0)))
    ElmanParams(w_xh=True, w_hh=True, b_h=False)
    """

    def is_matrix(path: Any, leaf: Any) -> bool:
        if not is_array(leaf) and not isinstance(leaf, jax.ShapeDtypeStruct):
            raise StructureError(
                f"matrices: params must hold arrays, got {short(leaf)} at "
                f"params{jax.tree_util.keystr(path)}."
            )
        return jnp.ndim(leaf) > 1

    return jax.tree_util.tree_map_with_path(is_matrix, params)
