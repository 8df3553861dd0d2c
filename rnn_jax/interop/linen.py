"""Flax linen: its cells, by themselves, in an `RNN`, a `Bidirectional`, a `Sequential`."""

from typing import Any

from rnn_jax.cell import Layer, Params
from rnn_jax.cells.mgu import MGU
from rnn_jax.cells.reset_before_gru import ResetBeforeGRU
from rnn_jax.interop import reading, writing
from rnn_jax.interop.activation import Activation
from rnn_jax.interop.layout import Array, Layout, Library, Naming, Piece
from rnn_jax.interop.nesting import unnested
from rnn_jax.interop.own import ELMAN, GRU_, LSTM_


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


__all__ = ["read", "write"]
