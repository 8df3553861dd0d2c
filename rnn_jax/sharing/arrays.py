"""Params as a safetensors file: arrays by name, and nothing that is run when it is read."""

import hashlib
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.arguments.settings import short
from rnn_jax.cell import Layer, Params
from rnn_jax.errors import ArgumentError, DtypeError, RNNError, ShapeError, StructureError
from rnn_jax.noise import some_key

DTYPES = ("float16", "bfloat16", "float32", "float64")
"""What safetensors both writes and reads for NumPy."""


def package(caller: str) -> ModuleType:
    """The part of safetensors for NumPy, which is an extra; raises a sentence without it."""
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ArgumentError(
            f"{caller}: arrays are kept by the package safetensors, which is not installed: "
            "pip install safetensors."
        ) from error
    return safetensors.numpy


def named(params: Params) -> dict[str, Any]:
    """The arrays by their paths, `0.w_xh`; raises where two have the same."""
    found: dict[str, Any] = {}
    for path, leaf in jax.tree.leaves_with_path(params):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        if name in found:
            raise StructureError(
                f"save: two arrays of the params would both be called {name!r}; a key of a "
                "dictionary that has a dot in it cannot be told from two keys."
            )
        found[name] = leaf
    return found


def write(path: Path, arrays: dict[str, Any]) -> None:
    """Write arrays by name; raises for a dtype that a file cannot hold."""
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise DtypeError(
                f"save: {name!r} is {array.dtype}, and a safetensors file holds "
                f"{', '.join(DTYPES)}; optax.tree.cast(params, dtype) casts them."
            )
    # Row after row: from an array that lies in memory another way, the bytes would be written as
    # they lie there, and read as another matrix.
    plain = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    try:
        package("save").save_file(plain, path)
    except Exception as error:  # the library's own, for a disk that is full too
        raise ArgumentError(f"save: cannot write {str(path)!r}: {error}.") from error


def shapes(where: str, layer: Layer) -> Any:
    """The shapes of the params of a layer; raises where its settings can make none."""
    try:
        return jax.eval_shape(layer.init, some_key())
    except RNNError:
        raise
    except Exception as error:  # settings that are edited, or a user's own class
        raise StructureError(
            f"{where}: these settings of {layer!r} make no params: {error}."
        ) from error


def read(path: Path, layer: Layer, expected: Any) -> Params:
    """The params of a layer, of which the shapes are expected.

    Raises:
      ArgumentError: The file is missing, or damaged, or is something else.
      StructureError, ShapeError, DtypeError: The arrays are those of another layer.
    """
    where = f"load: {str(path)!r}"
    arrays = _loaded(where, path)
    wanted = named(expected)
    for name in [name for name in wanted if name not in arrays]:
        raise StructureError(
            f"{where} has no array {name!r}, which {layer!r} needs: its arrays are those of "
            "another layer."
        )
    for name in [name for name in arrays if name not in wanted]:
        raise StructureError(
            f"{where} has an array {name!r}, and {layer!r} has none of that name: its arrays are "
            "those of another layer."
        )
    for name, want in wanted.items():
        _check(where, name, arrays[name], want.shape, layer)
    if len({array.dtype for array in arrays.values()}) > 1:
        kinds = {array.dtype.name: name for name, array in arrays.items()}
        found = ", ".join(f"{kind} in {name!r}" for kind, name in sorted(kinds.items()))
        raise DtypeError(f"{where}: params must share one dtype, got {found}.")
    # Copies, for what was read may still be the file itself.
    leaves = [jnp.array(arrays[name]) for name in wanted]
    return jax.tree.unflatten(jax.tree.structure(expected), leaves)


def digest(path: Path) -> str:
    """What tells a file from any other, and from itself with one bit changed."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _loaded(where: str, path: Path) -> dict[str, np.ndarray]:
    load_file = package("load").load_file
    try:
        return load_file(path)
    except FileNotFoundError:
        raise ArgumentError(f"{where} is not there, and holds the arrays.") from None
    except Exception as error:  # the library's own, and what NumPy says to a dtype it has not
        raise ArgumentError(
            f"{where} is damaged, or no safetensors file ({error}); a pickle can run code, and is "
            "not read here, and a pointer of git lfs becomes the file itself by `git lfs pull`."
        ) from None


def _check(where: str, name: str, array: np.ndarray, shape: tuple[int, ...], layer: Layer) -> None:
    if array.shape != shape:
        raise ShapeError(
            f"{where}: {name!r} must have shape {shape}, as in {layer!r}, got {array.shape}: it is "
            "an array of another layer."
        )
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise DtypeError(f"{where}: {name!r} must be floating, got {short(array)}.")
    if jax.dtypes.canonicalize_dtype(array.dtype) != array.dtype:
        raise DtypeError(
            f"{where}: {name!r} is {array.dtype}, which JAX is not set to hold; "
            "jax.config.update('jax_enable_x64', True) before it is loaded does so."
        )
