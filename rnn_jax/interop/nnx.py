"""Flax nnx: its cells, by themselves, in an `RNN`, a `Bidirectional`, a `Sequential`.

And any cell in the other library: `to_nnx`, `from_nnx`, and `RNN`, which calls `unroll`.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from rnn_jax.arguments.settings import short
from rnn_jax.cell import Cell, Layer, Params
from rnn_jax.cells.reset_before_gru import ResetBeforeGRU
from rnn_jax.checks import check_layer, check_params
from rnn_jax.combinators.bidirectional import concatenate
from rnn_jax.errors import ArgumentError, StructureError
from rnn_jax.interop import reading, writing
from rnn_jax.interop.activation import Activation
from rnn_jax.interop.flax_call import check_calm
from rnn_jax.interop.layout import Array, Layout, Library, Naming, Piece, pieces
from rnn_jax.interop.nesting import nested, unnested
from rnn_jax.interop.own import ELMAN, GRU_, LSTM_

if TYPE_CHECKING:
    from rnn_jax.interop.nnx_module import CellModule
    from rnn_jax.interop.nnx_rnn import RNN


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


def to_nnx(cell: Cell, params: Params) -> "CellModule":
    """The cell as a module of nnx, an `nnx.RNNCellBase`.

    `nnx.RNN`, `nnx.Bidirectional` and `nnx.Optimizer` take it as one of their own; `RNN` of this
    module runs it by `unroll`. Its params are `nnx.Param`s, `module.weights.w_hh` and so on; its
    carry is the cell's own. Inputs are cast to the dtype of the params.

    Args:
      cell: A cell, also one inside a combinator, such as a `stack` of cells.
      params: Its params; fresh ones are `cell.init(rngs.params())`, with the `rngs` of nnx.

    Raises:
      StructureError, ShapeError, DtypeError: No cell, or no params of it; or the cell is random,
        for a loop of Flax has no noise for a step.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> from flax import nnx
    >>> cell = rnn.LSTM(3, 5)
    >>> module = nnx.RNN(rnn.interop.nnx.to_nnx(cell, cell.init(jax.random.key(0))))
    >>> module(jnp.ones((2, 7, 3))).shape
    (2, 7, 5)
    """
    check_layer("to_nnx", cell, Cell)
    check_calm("to_nnx", cell)
    check_params(cell, params, None)
    from rnn_jax.interop.nnx_module import CellModule

    return CellModule(cell, params)


def from_nnx(module: Any, *, input_shape: Iterable[int] | None = None) -> tuple[Cell, Params]:
    """Any cell of nnx as a `Cell`, and its params: a nested dictionary, by the module's names.

    Unlike `read` it needs no counterpart: the step is the module's own code, so `unroll`, its
    methods and marks, and `rnn_jax.analysis` take a cell that you wrote for Flax. The carry is that
    of the module. What has a counterpart is faster by `read`, which knows the weights of the loop.
    A cell that `to_nnx` made is what it was made of.

    Args:
      module: An `nnx.RNNCellBase`, or another module with its three methods. Its call must be a
        function of carry, input and params: dropout inside and other state are refused by name.
      input_shape: The axes of one input, `(D,)`. By default D is the one size among those of the
        params that the module takes.

    Raises:
      StructureError: This is no cell; or it draws random numbers, has state beside its params, or
        a carry of another dtype after a step than before it.
      ArgumentError: The size of the input is not to be found, or does not fit.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> from flax import nnx
    >>> cell, params = rnn.interop.nnx.from_nnx(nnx.LSTMCell(3, 5, rngs=nnx.Rngs(0)))
    >>> carry, hs = rnn.unroll(cell, params, jnp.ones((7, 2, 3)), lengths=jnp.array([7, 4]))
    >>> hs.shape, hs[4:, 1].any().item()
    ((7, 2, 5), False)
    """
    from rnn_jax.interop import nnx_cell

    return nnx_cell.from_nnx(module, input_shape)


def __getattr__(name: str) -> Any:
    """`RNN`, a class of Flax, which is imported where it is asked for."""
    if name != "RNN":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rnn_jax.interop.nnx_rnn import RNN

    return RNN


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


__all__ = ["RNN", "from_nnx", "read", "to_nnx", "write"]
