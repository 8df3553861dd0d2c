"""A layer and its params in a folder that can be shared."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from rnn_jax.arguments.arrays import taken_tree
from rnn_jax.arguments.settings import instance, integer, short
from rnn_jax.arguments.trees import difference
from rnn_jax.cell import Layer, Params
from rnn_jax.checks import check_own_params
from rnn_jax.errors import ArgumentError, StructureError
from rnn_jax.recurrence.beside import bare
from rnn_jax.sharing import arrays
from rnn_jax.sharing.card import card
from rnn_jax.sharing.names import Names
from rnn_jax.sharing.values import described, made

FORMAT = "rnn_jax"
VERSION = 1
"""Of the form of `config.json`: a larger one is of a newer rnn_jax."""
CONFIG, ARRAYS, CARD = "config.json", "model.safetensors", "README.md"


def save(
    folder: str | os.PathLike[str],
    layer: Layer,
    params: Params,
    *,
    names: Mapping[str, Any] | None = None,
) -> None:
    """Write a layer and its params into a folder, in the form of the Hugging Face hub.

    =================== =======================================================================
    file                holds
    =================== =======================================================================
    `config.json`       the layer as a value: classes and functions by name, settings by value
    `model.safetensors` the params, each array by its path: `0.w_xh`
    `README.md`         a model card; one that is there already is left as it is
    =================== =======================================================================

    There is no code in it, and `load` runs none. A folder that `save` made may be saved to again.
    Needs the package safetensors (the extra `safetensors`). Source: the form of safetensors,
    https://github.com/huggingface/safetensors.

    Args:
      folder: Where to write; made if it is not there.
      layer: Any layer, noise and methods included. Its classes are those of rnn_jax, and its
        functions of rnn_jax, `jax.nn` or `jax.numpy`.
      params: Its params, as arrays. A memory that `with_memory` put beside them is that of one
        batch, and is not saved: hand over the params without it.
      names: Classes and functions of your own, dataclasses among the classes, each by a name that
        you choose: `{"MyCell": MyCell}`. `load` must be handed the same.

    Raises:
      StructureError: No layer, params of another layer, or a setting that has no name, such as a
        lambda; the message says where it is.
      ShapeError, DtypeError: The params are not of this layer, or of a dtype no file can hold.
      ArgumentError: The folder cannot be written, or holds something else; safetensors is missing.

    >>> import rnn_jax as rnn
    >>> rnn.save("model", rnn.Elman(3, 5, activation=lambda a: a), {})
    Traceback (most recent call last):
    rnn_jax.errors.StructureError: save: layer.activation, the function <lambda>, has no ...
    """
    place = _path("save", folder)
    _one_layer("save: layer", layer)
    table = Names("save", names)
    description = described(layer, table, "save: layer")
    if made(description, table, "save: layer") != layer:
        raise StructureError(f"save: {layer!r} is not made again by its settings alone.")
    params = _checked(layer, params)
    config = place / CONFIG
    if config.exists():
        # Raises where it is not ours to overwrite.
        _read(config, "save", "it would be overwritten: save to another folder")
    arrays.package("save")
    try:
        place.mkdir(parents=True, exist_ok=True)
        if not (place / CARD).exists():
            text = card(layer, params)
            _write(place / CARD, lambda draft: draft.write_text(text, encoding="utf-8"))
        _write(place / ARRAYS, lambda draft: arrays.write(draft, arrays.named(params)))
        record = {
            "format": FORMAT,
            "version": VERSION,
            "sha256": arrays.digest(place / ARRAYS),
            "layer": description,
        }
        # Last: until it is there, the folder is none.
        content = json.dumps(record, indent=2) + "\n"
        _write(config, lambda draft: draft.write_text(content, encoding="utf-8"))
    except OSError as error:
        raise ArgumentError(
            f"save: cannot write {str(place)!r}: {error.strerror or error}."
        ) from error


def load(
    folder: str | os.PathLike[str], *, names: Mapping[str, Any] | None = None
) -> tuple[Layer, Params]:
    """The layer and the params that `save` wrote, equal and to the bit.

    Nothing in the folder is run, whoever wrote it. A name in `config.json` is looked up among the
    classes and functions of arrays that are public in rnn_jax, the functions of `jax.nn`, and those
    of `jax.numpy` that JAX compiles; it is never imported. The arrays are numbers. So what a
    stranger's folder can do is to compute something else than its card says.

    Args:
      folder: Where it lies; of the hub, what `huggingface_hub.snapshot_download` returns.
      names: What `save` was handed under that name.

    Returns:
      `(layer, params)`: the params as arrays of JAX, of the dtype that they were saved in.

    Raises:
      ArgumentError: There is no such folder, a file in it is damaged or of a newer rnn_jax, it
        speaks of a name that is not known, or safetensors is missing.
      StructureError, ShapeError, DtypeError: The arrays are those of another layer.
    """
    place = _path("load", folder)
    table = Names("load", names)
    if not place.is_dir():
        raise ArgumentError(f"load: there is no folder {str(place)!r}.")
    config = place / CONFIG
    record = _read(config, "load", "a run becomes one by `python -m rnn_jax share`")
    where = f"load: {str(config)!r}"
    try:
        layer = _one_layer(f"{where}: layer", made(record.get("layer"), table, f"{where}: layer"))
        params = arrays.read(place / ARRAYS, layer, arrays.shapes(f"{where}: layer", layer))
    except RecursionError:
        raise ArgumentError(f"{where} is damaged: it is nested too deeply.") from None
    if arrays.digest(place / ARRAYS) != record.get("sha256"):
        raise ArgumentError(
            f"load: {str(place / ARRAYS)!r} is damaged, or not the file that {CONFIG} was written "
            "with: its digest is another."
        )
    return layer, params


_one_layer = instance(Layer)


def _path(caller: str, folder: Any) -> Path:
    if not isinstance(folder, str | os.PathLike):
        raise ArgumentError(f"{caller}: folder must be a path, got {short(folder)}.")
    return Path(folder)


def _checked(layer: Layer, params: Params) -> Params:
    """The params as they are written; raises where they are not those of the layer."""
    params = taken_tree(layer, "params", params)
    for path, leaf in jax.tree.leaves_with_path(params):
        if isinstance(leaf, jax.core.Tracer):
            raise ArgumentError(
                f"save: params{jax.tree_util.keystr(path)} is traced, by jit or the like, so that "
                "its numbers are not known yet; call save outside, with arrays."
            )
    check_own_params(layer, params, None)
    if difference(bare(params), params) is not None:
        raise StructureError(
            "save: beside the params is what belongs to one batch, the memory of an attention or "
            "the guess of guided; hand over the params without it, as they are trained."
        )
    return params


def _read(config: Path, caller: str, advice: str) -> dict[str, Any]:
    """The record in `config.json`; raises where it is none, or of a newer version."""
    where = f"{caller}: {str(config)!r}"
    try:
        record = json.loads(config.read_bytes().decode(), parse_constant=_no_number)
    except OSError as error:
        raise ArgumentError(
            f"{where} cannot be read: {error.strerror or error}; a folder that save wrote has it."
        ) from None
    except (ValueError, RecursionError) as error:
        raise ArgumentError(f"{where} is damaged: {error}.") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ArgumentError(f"{where} is not of a folder that rnn_jax.save wrote; {advice}.")
    version = integer(record.get("version"))
    if version is None or version < 1:
        raise ArgumentError(f"{where} is damaged: its version is {short(record.get('version'))}.")
    if version > VERSION:
        raise ArgumentError(
            f"{where} was written by a newer rnn_jax, in version {version} of the format, and this "
            f"one knows those up to {VERSION}; update rnn_jax."
        )
    return record


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _write(path: Path, write: Callable[[Path], Any]) -> None:
    """Replace a file at one stroke: whoever reads it sees the old content or the new one."""
    draft = path.with_name(path.name + ".tmp")
    write(draft)
    draft.replace(path)
