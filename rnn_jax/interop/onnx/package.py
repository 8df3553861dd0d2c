"""The package onnx, which is an extra: imported where a model is written or read."""

import os
from typing import Any

from rnn_jax.errors import ArgumentError


def needed(why: str) -> Any:
    """The package; `why` completes the sentence for those who have it not."""
    try:
        import onnx
    except ImportError:
        raise ArgumentError(f"ONNX: {why} takes the package onnx: pip install onnx.") from None
    return onnx


def loaded(path: str | os.PathLike[str]) -> Any:
    """The model in a file."""
    onnx = needed(f"to read the file {os.fspath(path)!r}")
    try:
        return onnx.load(path)
    except Exception as error:  # that of protobuf, which is not ours to name
        raise ArgumentError(f"ONNX: {os.fspath(path)!r} cannot be read: {error}.") from error
