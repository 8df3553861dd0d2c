"""Our side of every table: what the params of a cell are made of."""

from rnn_jax.cells.elman import Elman, ElmanParams
from rnn_jax.cells.gru import GRU, GRUParams
from rnn_jax.cells.lstm import LSTM, LSTMParams
from rnn_jax.cells.projected_lstm import ProjectedLSTM, ProjectedLSTMParams
from rnn_jax.cells.reset_before_gru import ResetBeforeGRU, ResetBeforeGRUParams
from rnn_jax.interop.layout import Field, Own
from rnn_jax.layers.dense import Dense, DenseParams
from rnn_jax.layers.embedding import Embedding, EmbeddingParams

SIZES = {
    "D": "input_size",
    "H": "hidden_size",
    "P": "projection_size",
    "F": "features",
    "V": "vocabulary_size",
}
"""The setting of a layer that each symbol is."""

IN, SQUARE, ROW = ("D", "H"), ("H", "H"), ("H",)

ELMAN = Own(
    Elman,
    ElmanParams,
    (Field("w_xh", IN, ("",)), Field("w_hh", SQUARE, ("",)), Field("b_h", ROW, ("",))),
)
IFGO = tuple("ifgo")
LSTM_ = Own(
    LSTM,
    LSTMParams,
    (Field("w_xh", IN, IFGO), Field("w_hh", SQUARE, IFGO), Field("b_h", ROW, IFGO)),
)
PROJECTED_LSTM = Own(
    ProjectedLSTM,
    ProjectedLSTMParams,
    (
        Field("w_xh", IN, IFGO),
        Field("w_hh", ("P", "H"), IFGO),
        Field("b_h", ROW, IFGO),
        Field("w_hr", ("H", "P"), ("",)),
    ),
)
RZN = tuple("rzn")
GRU_ = Own(
    GRU,
    GRUParams,
    (
        Field("w_xh", IN, RZN),
        Field("w_hh", SQUARE, RZN),
        Field("b_h", ROW, RZN),
        Field("b_hn", ROW, ("",)),
    ),
)
RESET_BEFORE_GRU = Own(
    ResetBeforeGRU,
    ResetBeforeGRUParams,
    (
        Field("w_xh", IN, RZN),
        Field("w_hh", SQUARE, ("r", "z")),
        Field("w_hn", SQUARE, ("",)),
        Field("b_h", ROW, RZN),
    ),
)
DENSE = Own(Dense, DenseParams, (Field("w", ("D", "F"), ("",)), Field("b", ("F",), ("",))))
EMBEDDING = Own(Embedding, EmbeddingParams, (Field("w", ("V", "F"), ("",)),))
