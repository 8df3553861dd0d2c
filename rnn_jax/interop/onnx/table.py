"""The table of ONNX: its operators, the layers of ours that they are, and where the arrays lie."""

from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.combinators.bidirectional import concatenate
from rnn_jax.interop.layout import Array, Layout, Library, Naming, Own, Piece, pieces
from rnn_jax.interop.own import DENSE, ELMAN, EMBEDDING, GRU_, LSTM_, RESET_BEFORE_GRU

ACTIVATIONS = {
    "Tanh": jnp.tanh,
    "Relu": jax.nn.relu,
    "Sigmoid": jax.nn.sigmoid,
    "Softplus": jax.nn.softplus,
}
"""Those of an `RNN`, by the names that it has for them, which are operators as well."""
OPERATORS = {
    "Identity": None,
    **ACTIVATIONS,
    "Elu": jax.nn.elu,
    "Softsign": jax.nn.soft_sign,
    "Softmax": jax.nn.softmax,
    "LogSoftmax": jax.nn.log_softmax,
    "Gelu approximate=tanh": jax.nn.gelu,
}
"""Those that may follow a matmul, each an operator of its own."""
GATES = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}
"""The nonlinearities of one direction, in ONNX's order, as the cells of ours have them."""
RESET_AFTER, RESET_BEFORE = "GRU, linear_before_reset=1", "GRU"
RECURRENT = ("RNN", "LSTM", "GRU")
OPSET, IR = 20, 9  # of 2023: the first with Gelu


def _recurrent(
    peer: str, own: Own, gates: str, recurrent: tuple[Piece, ...], at_state: Any, **more: Any
) -> Layout:
    arrays = (
        Array("W", (pieces("w_xh", gates),), transposed=True),
        Array("R", (recurrent,), transposed=True),
        Array("B", ((*pieces("b_h", gates), *at_state),), optional=True),
    )
    return Layout(peer, own, arrays, **more)


LIBRARY = Library(
    "ONNX",
    (
        _recurrent("RNN", ELMAN, "", pieces("w_hh"), pieces("b_h"), activations=ACTIVATIONS),
        _recurrent("LSTM", LSTM_, "iofg", pieces("w_hh", "iofg"), pieces("b_h", "iofg")),
        _recurrent(
            RESET_AFTER,
            GRU_,
            "zrn",
            pieces("w_hh", "zrn"),
            (*pieces("b_h", "zr"), Piece("b_hn")),
        ),
        _recurrent(
            RESET_BEFORE,
            RESET_BEFORE_GRU,
            "zrn",
            (*pieces("w_hh", "zr"), Piece("w_hn")),
            pieces("b_h", "zrn"),
        ),
        Layout("Gather", EMBEDDING, (Array("table", (pieces("w"),)),)),
        Layout(
            "MatMul, Add",
            DENSE,
            (Array("weight", (pieces("w"),)), Array("bias", (pieces("b"),), optional=True)),
            activations=OPERATORS,
        ),
    ),
    Naming("{name}", ("forward/{name}", "reverse/{name}"), "layers/{layer}/"),
    merges=(concatenate,),
)


def operator(name: str) -> tuple[str, dict[str, Any]]:
    """The operator that a row of the table names, and its attributes: `"GRU, a=1"`."""
    kind, *rest = name.replace(",", "").split()
    pairs = (pair.split("=") for pair in rest)
    return kind, {key: int(value) if value.isdigit() else value for key, value in pairs}
