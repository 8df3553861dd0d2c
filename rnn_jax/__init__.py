"""Recurrent networks for JAX: pure cells, one scan, exact gradients."""

from rnn_jax import analysis
from rnn_jax.cell import Carry, Cell, Input, Layer, Method, Params, SizedCell, SplitCell
from rnn_jax.cells.elman import IRNN, Elman, ElmanCarry, ElmanParams
from rnn_jax.cells.gru import GRU, GRUCarry, GRUParams
from rnn_jax.cells.jordan import Jordan, JordanCarry, JordanParams
from rnn_jax.cells.layer_norm_elman import LayerNormElman, LayerNormElmanParams
from rnn_jax.cells.layer_norm_gru import LayerNormGRU, LayerNormGRUParams
from rnn_jax.cells.layer_norm_lstm import LayerNormLSTM, LayerNormLSTMParams
from rnn_jax.cells.lstm import LSTM, LSTMCarry, LSTMParams
from rnn_jax.cells.mgu import MGU, MGUCarry, MGUParams
from rnn_jax.cells.projected_lstm import ProjectedLSTM, ProjectedLSTMCarry, ProjectedLSTMParams
from rnn_jax.combinators import Stack, stack
from rnn_jax.errors import ArgumentError, DtypeError, RNNError, ShapeError, StructureError
from rnn_jax.layers import Dense, DenseParams, Embedding, EmbeddingParams, Memoryless
from rnn_jax.memory_bias import Chrono, ForgetBias, MemoryBias
from rnn_jax.methods.bptt import BPTT
from rnn_jax.methods.scan import Scan
from rnn_jax.training import Metrics, TrainState, TruncatedBPTT, truncated_bptt, windows
from rnn_jax.unroll import step, unroll

__version__ = "0.1.0"

__all__ = [
    "BPTT",
    "GRU",
    "IRNN",
    "LSTM",
    "MGU",
    "ArgumentError",
    "Carry",
    "Cell",
    "Chrono",
    "Dense",
    "DenseParams",
    "DtypeError",
    "Elman",
    "ElmanCarry",
    "ElmanParams",
    "Embedding",
    "EmbeddingParams",
    "ForgetBias",
    "GRUCarry",
    "GRUParams",
    "Input",
    "Jordan",
    "JordanCarry",
    "JordanParams",
    "LSTMCarry",
    "LSTMParams",
    "Layer",
    "LayerNormElman",
    "LayerNormElmanParams",
    "LayerNormGRU",
    "LayerNormGRUParams",
    "LayerNormLSTM",
    "LayerNormLSTMParams",
    "MGUCarry",
    "MGUParams",
    "MemoryBias",
    "Memoryless",
    "Method",
    "Metrics",
    "Params",
    "ProjectedLSTM",
    "ProjectedLSTMCarry",
    "ProjectedLSTMParams",
    "RNNError",
    "Scan",
    "ShapeError",
    "SizedCell",
    "SplitCell",
    "Stack",
    "StructureError",
    "TrainState",
    "TruncatedBPTT",
    "analysis",
    "stack",
    "step",
    "truncated_bptt",
    "unroll",
    "windows",
]
