"""Recurrent networks for JAX: pure cells, one scan, exact gradients."""

# ruff: noqa: E402 -- ctrl-C is handled before the first import that takes long.
import sys

from rnn_jax.process.interrupts import leave_while_starting

leave_while_starting()

from rnn_jax import (
    analysis,
    attention,
    batching,
    decoding,
    initializers,
    interop,
    seq2seq,
    tasks,
    training,
    words,
)
from rnn_jax.arithmetic import surrogate
from rnn_jax.cell import Carry, Cell, Input, Layer, Method, Params, SizedCell, SplitCell
from rnn_jax.cells.complex import Complex
from rnn_jax.cells.diagonal_gru import DiagonalGRU, DiagonalGRUParams
from rnn_jax.cells.diagonal_lstm import DiagonalLSTM, DiagonalLSTMParams
from rnn_jax.cells.elman import IRNN, Elman, ElmanCarry, ElmanParams
from rnn_jax.cells.gru import GRU, GRUCarry, GRUParams
from rnn_jax.cells.indrnn import IndRNN, IndRNNParams
from rnn_jax.cells.jordan import Jordan, JordanCarry, JordanParams
from rnn_jax.cells.layer_norm_elman import LayerNormElman, LayerNormElmanParams
from rnn_jax.cells.layer_norm_gru import LayerNormGRU, LayerNormGRUParams
from rnn_jax.cells.layer_norm_lstm import LayerNormLSTM, LayerNormLSTMParams
from rnn_jax.cells.linear import Coefficients, LinearCarry, LinearCell
from rnn_jax.cells.lru import LRU, LRUParams
from rnn_jax.cells.lstm import LSTM, LSTMCarry, LSTMParams
from rnn_jax.cells.memory_bias import Chrono, ForgetBias, MemoryBias
from rnn_jax.cells.mgu import MGU, MGUCarry, MGUParams
from rnn_jax.cells.min_gru import MinGRU, MinGRUParams
from rnn_jax.cells.min_lstm import MinLSTM, MinLSTMParams
from rnn_jax.cells.projected_lstm import ProjectedLSTM, ProjectedLSTMCarry, ProjectedLSTMParams
from rnn_jax.cells.reset_before_gru import ResetBeforeGRU, ResetBeforeGRUParams
from rnn_jax.cells.rglru import RGLRU, RGLRUParams
from rnn_jax.cells.s5 import S5, S5Params
from rnn_jax.cells.selective_ssm import SelectiveSSM, SelectiveSSMParams
from rnn_jax.combinators.at_each import AtEach, AtEachLayer, at_each
from rnn_jax.combinators.bidirectional import (
    Bidirectional,
    BidirectionalCarry,
    BidirectionalParams,
    bidirectional,
    concatenate,
)
from rnn_jax.combinators.fed_back import FedBack, FedBackCarry, fed_back
from rnn_jax.combinators.guided import Guided, GuidedParams, guided
from rnn_jax.combinators.heads import Heads, heads
from rnn_jax.combinators.learned_carry import (
    LearnedCarry,
    LearnedCarryLayer,
    LearnedCarryParams,
    learned_carry,
)
from rnn_jax.combinators.map_cotangent import MapCotangent, map_cotangent
from rnn_jax.combinators.residual import Residual, ResidualLayer, residual
from rnn_jax.combinators.stack import LayerStack, Stack, stack
from rnn_jax.combinators.tied import Tied, TiedParams, tied
from rnn_jax.combinators.time_scales import TimeScales, TimeScalesParams, time_scales
from rnn_jax.combinators.variational import Variational, variational
from rnn_jax.combinators.wide_carry import WideCarry, wide_carry
from rnn_jax.combinators.with_method import WithMethod, WithMethodLayer, with_method
from rnn_jax.combinators.zoneout import Leaky, Zoneout, leaky, zoneout
from rnn_jax.devices.split_batch import split_batch
from rnn_jax.errors import ArgumentError, DtypeError, RNNError, ShapeError, StructureError
from rnn_jax.initializers import Chain, Normal, Uniform
from rnn_jax.layers.dense import Dense, DenseParams
from rnn_jax.layers.dropout import Dropout, VariationalDropout
from rnn_jax.layers.embedding import Embedding, EmbeddingParams
from rnn_jax.layers.layer_mix import LayerMix, LayerMixParams
from rnn_jax.layers.memoryless import Memoryless
from rnn_jax.losses.ctc_loss import ctc_loss
from rnn_jax.losses.linear_cross_entropy import linear_cross_entropy
from rnn_jax.methods.associative import Associative
from rnn_jax.methods.automatic import Automatic
from rnn_jax.methods.bptt import BPTT
from rnn_jax.methods.checkpointed import Checkpointed
from rnn_jax.methods.fused import Fused
from rnn_jax.methods.kernel.gpu import GPU
from rnn_jax.methods.kernel.hopper import Hopper
from rnn_jax.methods.kernel.tpu import TPU
from rnn_jax.methods.newton import Newton
from rnn_jax.methods.orbit.jacobian import DiagonalJacobian, FullJacobian
from rnn_jax.methods.scan import Scan
from rnn_jax.placement import Placement, placement
from rnn_jax.process.allocator import keep_memory
from rnn_jax.recurrence.recurrence import Recurrence
from rnn_jax.recurrence.steps import Steps
from rnn_jax.serving.export import ExportedCell, export
from rnn_jax.serving.serialization import register_namedtuples
from rnn_jax.serving.streaming import stream
from rnn_jax.sharing.folder import load, save
from rnn_jax.sharing.names import publish
from rnn_jax.training.truncated_bptt import (
    Metrics,
    TrainState,
    TruncatedBPTT,
    truncated_bptt,
    windows,
)
from rnn_jax.unroll import step, unroll

__version__ = "0.1.0"

__all__ = [
    "BPTT",
    "GPU",
    "GRU",
    "IRNN",
    "LRU",
    "LSTM",
    "MGU",
    "RGLRU",
    "S5",
    "TPU",
    "ArgumentError",
    "Associative",
    "AtEach",
    "AtEachLayer",
    "Automatic",
    "Bidirectional",
    "BidirectionalCarry",
    "BidirectionalParams",
    "Carry",
    "Cell",
    "Chain",
    "Checkpointed",
    "Chrono",
    "Coefficients",
    "Complex",
    "Dense",
    "DenseParams",
    "DiagonalGRU",
    "DiagonalGRUParams",
    "DiagonalJacobian",
    "DiagonalLSTM",
    "DiagonalLSTMParams",
    "Dropout",
    "DtypeError",
    "Elman",
    "ElmanCarry",
    "ElmanParams",
    "Embedding",
    "EmbeddingParams",
    "ExportedCell",
    "FedBack",
    "FedBackCarry",
    "ForgetBias",
    "FullJacobian",
    "Fused",
    "GRUCarry",
    "GRUParams",
    "Guided",
    "GuidedParams",
    "Heads",
    "Hopper",
    "IndRNN",
    "IndRNNParams",
    "Input",
    "Jordan",
    "JordanCarry",
    "JordanParams",
    "LRUParams",
    "LSTMCarry",
    "LSTMParams",
    "Layer",
    "LayerMix",
    "LayerMixParams",
    "LayerNormElman",
    "LayerNormElmanParams",
    "LayerNormGRU",
    "LayerNormGRUParams",
    "LayerNormLSTM",
    "LayerNormLSTMParams",
    "LayerStack",
    "Leaky",
    "LearnedCarry",
    "LearnedCarryLayer",
    "LearnedCarryParams",
    "LinearCarry",
    "LinearCell",
    "MGUCarry",
    "MGUParams",
    "MapCotangent",
    "MemoryBias",
    "Memoryless",
    "Method",
    "Metrics",
    "MinGRU",
    "MinGRUParams",
    "MinLSTM",
    "MinLSTMParams",
    "Newton",
    "Normal",
    "Params",
    "Placement",
    "ProjectedLSTM",
    "ProjectedLSTMCarry",
    "ProjectedLSTMParams",
    "RGLRUParams",
    "RNNError",
    "Recurrence",
    "ResetBeforeGRU",
    "ResetBeforeGRUParams",
    "Residual",
    "ResidualLayer",
    "S5Params",
    "Scan",
    "SelectiveSSM",
    "SelectiveSSMParams",
    "ShapeError",
    "SizedCell",
    "SplitCell",
    "Stack",
    "Steps",
    "StructureError",
    "Tied",
    "TiedParams",
    "TimeScales",
    "TimeScalesParams",
    "TrainState",
    "TruncatedBPTT",
    "Uniform",
    "Variational",
    "VariationalDropout",
    "WideCarry",
    "WithMethod",
    "WithMethodLayer",
    "Zoneout",
    "analysis",
    "at_each",
    "attention",
    "batching",
    "bidirectional",
    "concatenate",
    "ctc_loss",
    "decoding",
    "export",
    "fed_back",
    "guided",
    "heads",
    "interop",
    "keep_memory",
    "leaky",
    "learned_carry",
    "linear_cross_entropy",
    "load",
    "map_cotangent",
    "placement",
    "residual",
    "save",
    "seq2seq",
    "split_batch",
    "stack",
    "step",
    "stream",
    "surrogate",
    "tasks",
    "tied",
    "time_scales",
    "training",
    "truncated_bptt",
    "unroll",
    "variational",
    "wide_carry",
    "windows",
    "with_method",
    "words",
    "zoneout",
]

register_namedtuples(
    sys.modules[__name__], analysis, attention, batching, decoding, seq2seq, tasks, training, words
)
publish(sys.modules[__name__], initializers)
