"""Weights of other libraries, both ways: one table of layouts a library, one engine for all."""

from rnn_jax.interop import equinox, haiku, keras, linen, nnx, onnx, torch

__all__ = ["equinox", "haiku", "keras", "linen", "nnx", "onnx", "torch"]
