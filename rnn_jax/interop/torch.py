"""PyTorch: `nn.RNN`, `nn.LSTM`, `nn.GRU`, their layers and directions, and single cells."""

import os
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
from rnn_jax.interop.files import loaded
from rnn_jax.interop.layout import Array, Layout, Library, Naming, Own, Piece, pieces
from rnn_jax.interop.own import ELMAN, GRU_, LSTM_, PROJECTED_LSTM

NONLINEARITIES = {"tanh": jnp.tanh, "relu": jax.nn.relu}


def _layout(peer: str, own: Own, gates: str, at_state: tuple[Piece, ...], **more: Any) -> Layout:
    """Both biases are added; `at_state` says what the second one is a bias of."""
    arrays = (
        Array("weight_ih", (pieces("w_xh", gates),), transposed=True),
        Array("weight_hh", (pieces("w_hh", gates),), transposed=True),
        Array("bias_ih", (pieces("b_h", gates),), optional=True),
        Array("bias_hh", (at_state,), optional=True),
    )
    return Layout(peer, own, arrays + more.pop("beside", ()), **more)


LIBRARY = Library(
    "PyTorch",
    (
        _layout("RNN", ELMAN, "", pieces("b_h"), activations=NONLINEARITIES),
        _layout("LSTM", LSTM_, "ifgo", pieces("b_h", "ifgo")),
        _layout(
            "LSTM, proj_size",
            PROJECTED_LSTM,
            "ifgo",
            pieces("b_h", "ifgo"),
            beside=(Array("weight_hr", (pieces("w_hr"),), transposed=True),),
        ),
        _layout("GRU", GRU_, "rzn", (*pieces("b_h", "rz"), Piece("b_hn"))),
    ),
    Naming("{name}_l{layer}", ("{name}_l{layer}", "{name}_l{layer}_reverse"), layers=""),
    merges=(concatenate,),
    uniform=True,
    refused=((ResetBeforeGRU, "its GRU resets after the matmul, as GRU does"),),
)


def read(source: Any, *, activation: Activation | None = None) -> tuple[Layer, Params]:
    """The layer and the params that a recurrent layer of PyTorch is.

    Its two biases are added, for their sum is all that they are. Several layers become a `stack`,
    two directions a `bidirectional`, which concatenates. Time is axis 0 here, whatever
    `batch_first` is there.

    Args:
      source: An `nn.RNN`, `nn.LSTM`, `nn.GRU` or one of their cells; its `state_dict()`, or that
        of a module in which it is all that there is; or the path of a safetensors file with one,
        for which the package safetensors must be installed.
      activation: `jnp.tanh` or `jax.nn.relu`: of an `nn.RNN`, where only its arrays are handed
        over, which do not say.

    Raises:
      StructureError, ShapeError, DtypeError: What was handed over is no such layer, or has
        something that has no counterpart here; the message names it.
      ArgumentError: The activation is missing, or the file cannot be read.

    >>> import jax, rnn_jax as rnn
    >>> cell = rnn.LSTM(3, 5)
    >>> arrays = rnn.interop.torch.write(cell, cell.init(jax.random.key(0)))
    >>> {name: array.shape for name, array in arrays.items() if name.startswith("weight")}
    {'weight_ih_l0': (20, 3), 'weight_hh_l0': (20, 5)}
    >>> rnn.interop.torch.read(arrays)[0] == cell
    True
    """
    if isinstance(source, str | os.PathLike):
        return reading.read(LIBRARY, loaded(LIBRARY.name, source), activation)
    if isinstance(source, Mapping):
        return reading.read(LIBRARY, _detached(source), activation)
    if not hasattr(source, "state_dict"):
        raise StructureError(
            "PyTorch: read needs a module, its state_dict() or the path of a safetensors file, got "
            f"{short(source)}."
        )
    if getattr(source, "dropout", 0):
        raise StructureError(
            f"PyTorch: the dropout of {source.dropout} between the layers would be lost; hand over "
            "state_dict() for the weights alone, and put rnn_jax.Dropout between the layers."
        )
    named = getattr(source, "nonlinearity", None)
    if named is not None and activation is not None:
        raise ArgumentError(
            f"PyTorch: activation is for arrays alone; this module says it itself, {named!r}."
        )
    return reading.read(
        LIBRARY,
        _detached(source.state_dict()),
        activation if named is None else NONLINEARITIES[named],
    )


def write(layer: Layer, params: Params) -> dict[str, Any]:
    """The `state_dict` of the PyTorch layer that has the numbers of `layer`, as arrays.

    `module.load_state_dict({k: torch.from_numpy(v) for k, v in arrays.items()})` takes it, and
    `safetensors.numpy.save_file(arrays, path)` makes a file of it. The bias is written into the
    first of the two, and the second is zero, but for that of a GRU's candidate. `read` gives the
    same params again, to the bit.

    Args:
      layer: An `Elman` of tanh or ReLU, `LSTM`, `ProjectedLSTM` or `GRU`, a `bidirectional` layer
        of two, or a `stack` of one kind and size.
      params: Its params.

    Raises:
      StructureError: PyTorch has no such layer, or these are no params of it.
    """
    return writing.write(LIBRARY, layer, params)


def _detached(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors without their gradients."""
    return {
        name: array.detach().cpu() if hasattr(array, "detach") else array
        for name, array in arrays.items()
    }


__all__ = ["read", "write"]
