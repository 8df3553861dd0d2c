"""ONNX: models of a stack of `RNN`, `LSTM`, `GRU`, `Gather` (embedding) and `MatMul` (dense)."""

from rnn_jax.interop.onnx.read import read
from rnn_jax.interop.onnx.table import LIBRARY
from rnn_jax.interop.onnx.write import write

__all__ = ["LIBRARY", "read", "write"]
