"""Equinox: `eqx.nn.LSTMCell` and `eqx.nn.GRUCell`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from rnn_jax.arguments.settings import short
from rnn_jax.cell import Layer, Params
from rnn_jax.cells.reset_before_gru import ResetBeforeGRU
from rnn_jax.errors import StructureError
from rnn_jax.interop import reading, writing
from rnn_jax.interop.layout import Array, Layout, Library, Naming, Own, pieces
from rnn_jax.interop.own import GRU_, LSTM_


def _arrays(gates: str) -> tuple[Array, ...]:
    return (
        Array("weight_ih", (pieces("w_xh", gates),), transposed=True),
        Array("weight_hh", (pieces("w_hh", gates),), transposed=True),
        Array("bias", (pieces("b_h", gates),), optional=True),
    )


def _layout(peer: str, own: Own, *arrays: Array) -> Layout:
    return Layout(peer, own, arrays)


LIBRARY = Library(
    "Equinox",
    (
        _layout("LSTMCell", LSTM_, *_arrays("ifgo")),
        _layout(
            "GRUCell", GRU_, *_arrays("rzn"), Array("bias_n", (pieces("b_hn"),), optional=True)
        ),
    ),
    Naming("{name}"),
    refused=((ResetBeforeGRU, "its GRUCell resets after the matmul, as GRU does"),),
)


def read(source: Any) -> tuple[Layer, Params]:
    """The cell and the params that a cell of Equinox is.

    Args:
      source: An `eqx.nn.LSTMCell` or `eqx.nn.GRUCell`, or its arrays by their names.

    Raises:
      StructureError, ShapeError, DtypeError: What was handed over is no such cell; the message
        says why.

    >>> import jax, rnn_jax as rnn
    >>> cell = rnn.GRU(3, 5)
    >>> arrays = rnn.interop.equinox.write(cell, cell.init(jax.random.key(0)))
    >>> {name: array.shape for name, array in arrays.items()}
    {'weight_ih': (15, 3), 'weight_hh': (15, 5), 'bias': (15,), 'bias_n': (5,)}
    >>> rnn.interop.equinox.read(arrays)[0] == cell
    True
    """
    if isinstance(source, Mapping):
        return reading.read(LIBRARY, source, None)
    peers = {layout.peer: layout for layout in LIBRARY.layouts}
    peer = type(source).__name__
    if peer not in peers or not dataclasses.is_dataclass(source):
        raise StructureError(
            f"Equinox: read needs {' or '.join(peers)}, or its arrays by name, got {short(source)}."
        )
    arrays = {array.name: getattr(source, array.name) for array in peers[peer].arrays}
    return reading.read(LIBRARY, arrays, None, peer)


def write(layer: Layer, params: Params) -> dict[str, Any]:
    """The arrays of the Equinox cell that has the numbers of `layer`, by the names of its fields.

    `eqx.tree_at(lambda c: [getattr(c, k) for k in arrays], cell, [*arrays.values()])` puts them
    into a cell. `read` gives the same params again, to the bit. Equinox has no layers of several
    steps, cells or directions: those are written cell by cell.

    Raises:
      StructureError: Equinox has no such cell, or these are no params of it.
    """
    return writing.write(LIBRARY, layer, params)


__all__ = ["read", "write"]
