"""Flax linen: its cells, by themselves, in an `RNN`, a `Bidirectional`, a `Sequential`.

And any cell in the other library: `to_linen`, `from_linen`, and `RNN`, which calls `unroll`.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import floating
from rnn_jax.cell import Cell, Layer, Params
from rnn_jax.cells.mgu import MGU
from rnn_jax.cells.reset_before_gru import ResetBeforeGRU
from rnn_jax.checks import check_layer
from rnn_jax.errors import StructureError
from rnn_jax.interop import reading, writing
from rnn_jax.interop.activation import Activation
from rnn_jax.interop.flax_call import check_calm
from rnn_jax.interop.layout import Array, Layout, Library, Naming, Piece
from rnn_jax.interop.nesting import unnested
from rnn_jax.interop.own import ELMAN, GRU_, LSTM_
from rnn_jax.noise import some_key
from rnn_jax.recurrence.memory import readers

if TYPE_CHECKING:
    from rnn_jax.interop.linen_module import CellModule
    from rnn_jax.interop.linen_rnn import RNN


def _one(name: str, field: str, gate: str = "") -> Array:
    """A dense layer a gate."""
    return Array(name, ((Piece(field, gate),),))


MGU_REASON = (
    "linen's MGUCell mixes the other way round, (1 - f) n + f h, and resets by the same f; turned "
    "into 1 - f, the reset is another one"
)

LIBRARY = Library(
    "Flax linen",
    (
        Layout(
            "LSTMCell or OptimizedLSTMCell",
            LSTM_,
            (
                *(_one(f"i{gate}/kernel", "w_xh", gate) for gate in "ifgo"),
                *(_one(f"h{gate}/kernel", "w_hh", gate) for gate in "ifgo"),
                *(_one(f"h{gate}/bias", "b_h", gate) for gate in "ifgo"),
            ),
        ),
        Layout(
            "GRUCell",
            GRU_,
            (
                *(_one(f"i{gate}/kernel", "w_xh", gate) for gate in "rzn"),
                *(_one(f"i{gate}/bias", "b_h", gate) for gate in "rzn"),
                *(_one(f"h{gate}/kernel", "w_hh", gate) for gate in "rzn"),
                _one("hn/bias", "b_hn"),
            ),
        ),
        Layout(
            "SimpleCell",
            ELMAN,
            (_one("i/kernel", "w_xh"), _one("i/bias", "b_h"), _one("h/kernel", "w_hh")),
        ),
    ),
    Naming(
        "cell/{name}", ("forward_rnn/cell/{name}", "backward_rnn/cell/{name}"), "layers_{layer}/"
    ),
    merges=None,
    refused=(
        (ResetBeforeGRU, "its GRUCell resets after the matmul, as GRU does"),
        (MGU, MGU_REASON),
    ),
    unread=(
        (
            "MGUCell",
            tuple(
                frozenset(
                    {f"{a}{b}/kernel" for a in "ih" for b in "fn"} | {"if/bias", "in/bias", *hn}
                )
                for hn in ([], ["hn/bias"])
            ),
            MGU_REASON,
        ),
    ),
)


def read(source: Any, *, activation: Activation | None = None) -> tuple[Layer, Params]:
    """The layer and the params that the variables of linen are.

    An `nn.RNN` is read as its cell, an `nn.Bidirectional` as a `bidirectional` that concatenates,
    an `nn.Sequential` of them as a `stack`. The gates are those of linen's defaults, sigmoid and
    tanh.

    Args:
      source: The variables, `{"params": ...}`, of a cell, an `nn.RNN`, an `nn.Bidirectional` or an
        `nn.Sequential` of these; or a part of a larger model's.
      activation: That of a `SimpleCell`, whose arrays do not say; `jnp.tanh` is its default.

    Raises:
      StructureError, ShapeError, DtypeError: What was handed over is no such layer; the message
        says why.
      ArgumentError: The activation is missing.

    >>> import jax, rnn_jax as rnn
    >>> layer = rnn.bidirectional(rnn.GRU(3, 5), rnn.GRU(3, 5))
    >>> variables = rnn.interop.linen.write(layer, layer.init(jax.random.key(0)))
    >>> sorted(variables["params"]), sorted(variables["params"]["forward_rnn"]["cell"])
    (['backward_rnn', 'forward_rnn'], ['hn', 'hr', 'hz', 'in', 'ir', 'iz'])
    >>> rnn.interop.linen.read(variables)[0] == layer
    True
    """
    return reading.read(LIBRARY, source, activation)


def write(layer: Layer, params: Params) -> dict[str, Any]:
    """The variables of the linen layer that has the numbers of `layer`, for its `apply`.

    Of an `nn.RNN` around the cell, of an `nn.Bidirectional` of two, or of an `nn.Sequential` of
    these. A cell by itself takes `{"params": variables["params"]["cell"]}`. `read` gives the same
    params again, to the bit. What the variables do not say is for their module to say: the
    activation of a `SimpleCell`, and how a `Bidirectional` merges.

    Raises:
      StructureError: linen has no such layer, or these are no params of it.
    """
    return {"params": unnested(writing.write(LIBRARY, layer, params))}


def to_linen(cell: Cell, *, param_dtype: DTypeLike = jnp.float32) -> "CellModule":
    """The cell as a module of linen, a `linen.RNNCellBase`.

    `linen.RNN`, `linen.Bidirectional` and a `TrainState` take it as one of their own; `RNN` of this
    module runs it by `unroll`. Its variables are `{"params": {"weights": params}}` with the params
    of the cell, which its own `init` draws; its carry is the cell's own. Inputs are cast to the
    dtype of the params.

    Args:
      cell: A cell, also one inside a combinator, such as a `stack` of cells.
      param_dtype: That of the params that are drawn.

    Raises:
      StructureError: No cell; or it is random, for a loop of Flax has no noise for a step; or it
        attends to a memory, for which linen has no place.
      ArgumentError: `param_dtype` is no floating dtype.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> from flax import linen
    >>> module = linen.RNN(rnn.interop.linen.to_linen(rnn.LSTM(3, 5)))
    >>> ys, variables = module.init_with_output(jax.random.key(0), jnp.ones((2, 7, 3)))
    >>> ys.shape, variables["params"]["cell"]["weights"].w_hh.shape
    ((2, 7, 5), (5, 20))
    """
    check_layer("to_linen", cell, Cell)
    check_calm("to_linen", cell)
    if readers(jax.eval_shape(cell.init, some_key())):
        raise StructureError(
            f"to_linen: {cell!r} attends to a memory, which stands beside its params, and linen "
            "takes no arrays but those that init draws; to_nnx takes it, and so does unroll."
        )
    param_dtype = floating("to_linen: param_dtype", param_dtype)
    from rnn_jax.interop.linen_module import CellModule

    return CellModule(cell, param_dtype)


def from_linen(
    module: Any, variables: Any, *, input_shape: Iterable[int] | None = None
) -> tuple[Cell, Params]:
    """Any cell of linen as a `Cell`, and its params: the nested dictionary of its variables.

    Unlike `read` it needs no counterpart: the step is the module's own code, so `unroll`, its
    methods and marks, and `rnn_jax.analysis` take a cell that you wrote for Flax. The carry is that
    of the module. What has a counterpart is faster by `read`, which knows the weights of the loop.
    A cell that `to_linen` made is what it was made of.

    Args:
      module: A `linen.RNNCellBase`. Its call must be a function of carry, input and params:
        dropout inside and other collections are refused by name.
      variables: Its variables, `{"params": ...}`, as `module.init` returns them.
      input_shape: The axes of one input, `(D,)` or those of an image. By default D is the one size
        among those of the params that the module takes.

    Raises:
      StructureError: This is no cell, or these are no variables; or it draws random numbers, has
        state beside its params, or a carry of another dtype after a step than before it.
      ArgumentError: The size of the input is not to be found, or does not fit.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> from flax import linen
    >>> module, x = linen.MGUCell(5), jnp.ones((1, 3))
    >>> carry = module.initialize_carry(jax.random.key(0), x.shape)
    >>> variables = module.init(jax.random.key(0), carry, x)
    >>> cell, params = rnn.interop.linen.from_linen(module, variables)
    >>> cell.input_shape, rnn.unroll(cell, params, jnp.ones((7, 2, 3)))[1].shape
    ((3,), (7, 2, 5))
    """
    from rnn_jax.interop import linen_cell

    return linen_cell.from_linen(module, variables, input_shape)


def __getattr__(name: str) -> Any:
    """`RNN`, a class of Flax, which is imported where it is asked for."""
    if name != "RNN":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rnn_jax.interop.linen_rnn import RNN

    return RNN


__all__ = ["RNN", "from_linen", "read", "to_linen", "write"]
