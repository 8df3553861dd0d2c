"""The matrices that a step multiplies the hidden state by."""

from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.analysis.arguments import matrix
from rnn_jax.arguments.arrays import is_array
from rnn_jax.arguments.settings import short
from rnn_jax.cell import Params
from rnn_jax.errors import StructureError


def recurrent_matrices(params: Params) -> dict[str, jax.Array]:
    """The square blocks of every `w_hh` among params, by name: one, or one a gate.

    They are read off the names, so of any cell, stack or wrapper of this library's cells; a cell
    whose loop has no square matrix, such as a projected LSTM or Jordan's, has no entry. Row
    vectors are multiplied from the left, which changes neither eigenvalues nor norms. Gates are
    numbered in the order of the cell: i f g o in an LSTM, r z n in a GRU.

    >>> import jax, rnn_jax as rnn
    >>> model = rnn.stack(rnn.Embedding(9, 4), rnn.GRU(4, 8), rnn.Elman(8, 5), rnn.Dense(5, 9))
    >>> params = model.init(jax.random.key(0))
    >>> {name: w.shape for name, w in rnn.analysis.recurrent_matrices(params).items()}
    {'1.w_hh.0': (8, 8), '1.w_hh.1': (8, 8), '1.w_hh.2': (8, 8), '2.w_hh': (5, 5)}
    """

    def recurrent(node: Any) -> bool:
        return hasattr(node, "w_hh")

    found = {}
    for path, node in jax.tree_util.tree_flatten_with_path(params, is_leaf=recurrent)[0]:
        if not recurrent(node) and not is_array(node):
            raise StructureError(
                f"recurrent_matrices: params must hold arrays, got {short(node)} at "
                f"params{jax.tree_util.keystr(path)}; cell.init(key) makes them."
            )
        if not recurrent(node) or hasattr(node, "w_hr"):
            continue
        name = ".".join(
            filter(None, [jax.tree_util.keystr(path, simple=True, separator="."), "w_hh"])
        )
        rows, columns = matrix(f"recurrent_matrices: {name}", node.w_hh).shape
        if rows == columns:
            found[name] = jnp.asarray(node.w_hh)
        elif columns % rows == 0:
            blocks = jnp.split(jnp.asarray(node.w_hh), columns // rows, axis=1)
            found |= {f"{name}.{gate}": block for gate, block in enumerate(blocks)}
    return found
