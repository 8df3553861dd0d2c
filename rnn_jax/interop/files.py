"""Files of arrays, which hold numbers and nothing that is run."""

import os
from typing import Any

from rnn_jax.errors import ArgumentError


def loaded(library: str, path: str | os.PathLike[str]) -> dict[str, Any]:
    """The arrays of a safetensors file, by name."""
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError:
        raise ArgumentError(
            f"{library}: to read the file {os.fspath(path)!r} takes the package safetensors: "
            "pip install safetensors."
        ) from None
    try:
        return load_file(path)
    except FileNotFoundError:
        raise ArgumentError(f"{library}: there is no file {os.fspath(path)!r}.") from None
    except (SafetensorError, OSError) as error:
        raise ArgumentError(
            f"{library}: {os.fspath(path)!r} is no safetensors file ({error}); a pickle, such as "
            "torch.save makes, can run code, and is not read here: load it by "
            "torch.load(path, weights_only=True), and hand over what that gives."
        ) from None
