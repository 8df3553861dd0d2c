"""Haiku: `hk.VanillaRNN`, `hk.LSTM`, `hk.GRU`."""

from typing import Any

import jax

from rnn_jax.cell import Layer, Params
from rnn_jax.cells.gru import GRU
from rnn_jax.interop import reading, writing
from rnn_jax.interop.layout import Array, Layout, Library, Naming, Piece, pieces
from rnn_jax.interop.own import ELMAN, LSTM_, RESET_BEFORE_GRU

LIBRARY = Library(
    "Haiku",
    (
        Layout(
            "VanillaRNN",
            ELMAN,
            (
                Array("linear/w", (pieces("w_xh"),)),
                Array("linear/b", (pieces("b_h"),)),
                Array("linear_1/w", (pieces("w_hh"),)),
                Array("linear_1/b", (pieces("b_h"),), optional=True),
            ),
            activations={"relu": jax.nn.relu},
            module="vanilla_rnn",
        ),
        Layout(
            "LSTM",
            LSTM_,
            (
                # x above h; 1 is added to f when it runs.
                Array("linear/w", (pieces("w_xh", "igfo"), pieces("w_hh", "igfo"))),
                Array(
                    "linear/b",
                    ((*pieces("b_h", "ig"), Piece("b_h", "f", offset=1), *pieces("b_h", "o")),),
                ),
            ),
            module="lstm",
        ),
        Layout(
            "GRU",
            RESET_BEFORE_GRU,
            (
                # Its z lets go of the old state, ours keeps it: sigmoid(-x) = 1 - sigmoid(x).
                Array(
                    "w_i",
                    ((Piece("w_xh", "z", sign=-1), *pieces("w_xh", "rn")),),
                ),
                Array(
                    "w_h",
                    ((Piece("w_hh", "z", sign=-1), *pieces("w_hh", "r"), *pieces("w_hn")),),
                ),
                Array("b", ((Piece("b_h", "z", sign=-1), *pieces("b_h", "rn")),)),
            ),
            module="gru",
        ),
    ),
    Naming("{module}/{name}"),
    refused=((GRU, "its GRU resets before the matmul, as ResetBeforeGRU does"),),
)


def read(source: Any) -> tuple[Layer, Params]:
    """The cell and the params that a core of Haiku is.

    A `VanillaRNN` is an `Elman` of ReLU; its two biases are added. A `GRU` is a `ResetBeforeGRU`.
    An `LSTM` adds 1 to its forget gate at every step, here that lies in the bias.

    Args:
      source: The params of one core, as `hk.transform` makes them:
        `{"lstm/linear": {"w": ..., "b": ...}}`; whatever the modules around it are called.

    Raises:
      StructureError, ShapeError, DtypeError: What was handed over is no such core; the message
        says why.

    >>> import jax, rnn_jax as rnn
    >>> cell = rnn.ResetBeforeGRU(3, 5)
    >>> arrays = rnn.interop.haiku.write(cell, cell.init(jax.random.key(0)))
    >>> jax.tree.map(lambda array: array.shape, arrays)
    {'gru': {'b': (15,), 'w_h': (5, 15), 'w_i': (3, 15)}}
    >>> rnn.interop.haiku.read(arrays)[0] == cell
    True
    """
    return reading.read(LIBRARY, source, None)


def write(layer: Layer, params: Params) -> dict[str, dict[str, Any]]:
    """The params of the Haiku core that has the numbers of `layer`, for its `apply`.

    `read` gives the same params again, to the bit, but for the forget bias of an `LSTM`: where 1
    is taken off, what is below the rounding of 1 is lost, as it is when Haiku adds it. The modules
    have the names that Haiku gives them by default. A stack is written core by core.

    Raises:
      StructureError: Haiku has no such core, or these are no params of it.
    """
    found: dict[str, dict[str, Any]] = {}
    for full, array in writing.write(LIBRARY, layer, params).items():
        module, _, name = full.rpartition("/")
        found.setdefault(module, {})[name] = array
    return found


__all__ = ["read", "write"]
