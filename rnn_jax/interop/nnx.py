"""Flax nnx: its cells, by themselves, in an `RNN`, a `Bidirectional`, a `Sequential`."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.arguments.settings import short
from rnn_jax.cell import Layer, Params
from rnn_jax.cells.reset_before_gru import ResetBeforeGRU
from rnn_jax.combinators.bidirectional import concatenate
from rnn_jax.errors import ArgumentError, StructureError
from rnn_jax.interop import reading, writing
from rnn_jax.interop.activation import Activation
from rnn_jax.interop.layout import Array, Layout, Library, Naming, Piece, pieces
from rnn_jax.interop.nesting import nested, unnested
from rnn_jax.interop.own import ELMAN, GRU_, LSTM_


def _dense(gates: str, bias_at: str) -> tuple[Array, ...]:
    """Two dense layers, one of which has the bias."""
    return (
        Array("dense_i/kernel", (pieces("w_xh", gates),)),
        Array("dense_h/kernel", (pieces("w_hh", gates),)),
        Array(f"dense_{bias_at}/bias", (pieces("b_h", gates),)),
    )


LIBRARY = Library(
    "Flax nnx",
    (
        Layout("OptimizedLSTMCell", LSTM_, _dense("ifgo", bias_at="h")),
        Layout(
            "LSTMCell",
            LSTM_,
            (
                *(
                    Array(f"{n}/kernel", ((Piece("w_xh", n[1]),),))
                    for n in ("ii", "if_", "ig", "io")
                ),
                *(Array(f"h{gate}/kernel", ((Piece("w_hh", gate),),)) for gate in "ifgo"),
                *(Array(f"h{gate}/bias", ((Piece("b_h", gate),),)) for gate in "ifgo"),
            ),
        ),
        Layout(
            "GRUCell",
            GRU_,
            _dense("rzn", bias_at="i"),
            absent="its GRUCell adds nothing to the candidate inside the reset",
        ),
        Layout("SimpleCell", ELMAN, _dense("", bias_at="i")),
    ),
    Naming(
        "cell/{name}", ("forward_rnn/cell/{name}", "backward_rnn/cell/{name}"), "layers/{layer}/"
    ),
    merges=None,
    refused=((ResetBeforeGRU, "its GRUCell resets after the matmul, as GRU does"),),
)


def read(source: Any, *, activation: Activation | None = None) -> tuple[Layer, Params]:
    """The layer and the params that a module of nnx is.

    An `nnx.RNN` is read as its cell, an `nnx.Bidirectional` as a `bidirectional` of the same merge,
    an `nnx.Sequential` of them as a `stack`.

    Args:
      source: A cell, an `nnx.RNN`, an `nnx.Bidirectional`, an `nnx.Sequential` of these; or the
        pure dictionary of its state, `nnx.to_pure_dict(nnx.state(module, nnx.Param))`, in which
        the gates are taken to be nnx's defaults, sigmoid and tanh, and two directions to be
        concatenated.
      activation: That of a `SimpleCell`, where only its arrays are handed over.

    Raises:
      StructureError, ShapeError, DtypeError: What was handed over is no such layer, or has a
        setting that has no counterpart; the message says which.
      ArgumentError: The activation is missing, or said twice.

    >>> import jax, rnn_jax as rnn
    >>> from flax import nnx
    >>> module = nnx.RNN(nnx.LSTMCell(3, 5, rngs=nnx.Rngs(0)))
    >>> cell, params = rnn.interop.nnx.read(module)
    >>> cell == rnn.LSTM(3, 5), params.w_hh.shape
    (True, (5, 20))
    """
    if isinstance(source, Mapping):
        return reading.read(LIBRARY, source, activation)
    if activation is not None:
        raise ArgumentError("Flax nnx: activation is for arrays alone; a module says it itself.")
    kind = type(source).__name__
    if kind == "Sequential":
        return reading.layer_of([read(layer) for layer in source.layers])
    if kind == "Bidirectional":
        merge = source.merge_fn
        # By its name, for it is private.
        merge = concatenate if getattr(merge, "__name__", "") == "_concatenate" else merge
        cells = [_cell(source.forward_rnn.cell), _cell(source.backward_rnn.cell)]
        return reading.directed(cells, merge)
    if kind == "RNN":
        if source.reverse:
            raise StructureError(
                "Flax nnx: an RNN with reverse=True is its cell, run by unroll(..., reverse=True); "
                "hand over rnn.cell."
            )
        return _cell(source.cell)
    return _cell(source)


def write(layer: Layer, params: Params) -> dict[str, Any]:
    """The pure dictionary of the nnx module that has the numbers of `layer`.

    `nnx.update(module, arrays)` takes it, of an `nnx.RNN` around the cell, an `nnx.Bidirectional`
    of two, or an `nnx.Sequential` of these. A cell by itself takes `arrays["cell"]`. An LSTM is an
    `OptimizedLSTMCell`. `read` gives the same params again, to the bit.

    Raises:
      StructureError: nnx has no such layer, or these are no params of it; or a GRU's `b_hn`, for
        which nnx has no place, is not zero.
    """
    arrays = unnested(writing.write(LIBRARY, layer, params))
    if "layers" in arrays:
        arrays["layers"] = {int(index): inside for index, inside in arrays["layers"].items()}
    return arrays


def _cell(module: Any) -> tuple[Any, Params]:
    """A cell, with the settings that its arrays do not show."""
    peer = type(module).__name__
    if peer not in {layout.peer for layout in LIBRARY.layouts}:
        raise StructureError(
            "Flax nnx: read needs a recurrent layer or the pure dictionary of one, got "
            f"{short(module)}."
        )
    from flax import nnx

    if getattr(module, "residual", False):
        raise StructureError("Flax nnx: a SimpleCell with residual=True has no counterpart.")
    activation = module.activation_fn
    if peer != "SimpleCell":
        for name, found, wanted in (
            ("gate_fn", module.gate_fn, (jax.nn.sigmoid,)),
            ("activation_fn", activation, (jnp.tanh, jax.nn.tanh)),
        ):
            if found not in wanted:
                raise StructureError(
                    f"Flax nnx: {peer} with another {name} than {wanted[0].__name__} has no "
                    f"counterpart, got {short(found)}."
                )
        activation = None
    state = nnx.to_pure_dict(nnx.state(module, nnx.Param))
    return reading.cell(LIBRARY, nested(state), activation, peer)


__all__ = ["read", "write"]
