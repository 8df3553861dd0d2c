"""Read a layer from the arrays of a library: one way for every table."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.arguments.arrays import is_array, taken
from rnn_jax.arguments.settings import short
from rnn_jax.cell import Cell, Layer, Params
from rnn_jax.combinators.bidirectional import (
    BidirectionalParams,
    bidirectional,
    concatenate,
)
from rnn_jax.combinators.stack import stack
from rnn_jax.errors import DtypeError, ShapeError, StructureError
from rnn_jax.interop.activation import Activation, chosen_activation
from rnn_jax.interop.blocks import one_kind, params_of
from rnn_jax.interop.layout import Layout, Library
from rnn_jax.interop.names import levels
from rnn_jax.interop.nesting import nested
from rnn_jax.interop.own import SIZES
from rnn_jax.interop.sizes import misfit

Merge = Callable[[jax.Array, jax.Array], jax.Array]
Read = tuple[Layer, Params]


def read(
    library: Library, source: Any, activation: Activation | None, peer: str | None = None
) -> Read:
    """The layer whose arrays `source` holds, by their names; `peer` is what they call the cell."""
    arrays = _arrays(library, source)
    cells = [
        [cell(library, one, activation, peer) for one in directions]
        for directions in levels(library, arrays)
    ]
    return layer_of([directed(directions) for directions in cells])


def cell(
    library: Library,
    arrays: Mapping[str, Any],
    activation: Activation | None = None,
    peer: str | None = None,
) -> tuple[Cell, Params]:
    """One cell, from its arrays under the names of the table."""
    for name, forms, reason in library.unread:
        if arrays.keys() in forms:
            raise StructureError(f"{library.name}: {name} cannot be read, for {reason}.")
    candidates = [row for row in library.layouts if peer is None or row.peer == peer]
    by_name = [row for row in candidates if _has_names(row, arrays)] or candidates
    trials = [(row, *misfit(row, arrays)) for row in by_name]
    fitting = [(row, sizes) for row, sizes, complaint in trials if complaint is None]
    if len(fitting) != 1:
        raise _undecided(library, arrays, trials, [row for row, _ in fitting])
    ((layout, sizes),) = fitting
    settings: dict[str, Any] = {
        SIZES[symbol]: size for symbol, size in sizes.items() if symbol in SIZES
    }
    if layout.own.activated:
        settings["activation"] = chosen_activation(library, layout, activation)
    found = layout.own.cell(**settings)
    return found, params_of(layout, sizes, arrays)


def directed(cells: list[tuple[Cell, Params]], merge: Merge = concatenate) -> Read:
    """A layer of one direction, or of two."""
    if len(cells) == 1:
        return cells[0]
    (forward, ahead), (backward, behind) = cells
    return bidirectional(forward, backward, merge), BidirectionalParams(ahead, behind)


def layer_of(parts: list[Read]) -> Read:
    """One layer, or a stack of several."""
    if len(parts) == 1:
        return parts[0]
    layers, params = zip(*parts, strict=True)
    return stack(*layers), params


def _arrays(library: Library, source: Any) -> Mapping[str, Any]:
    if not isinstance(source, Mapping):
        raise StructureError(
            f"{library.name}: read needs a dictionary of arrays or what its docstring names, got "
            f"{short(source)}."
        )
    found = {
        str(name): taken(f"{library.name}: {name}", value)
        for name, value in nested(source).items()
        if value is not None
    }
    dtypes: dict[str, str] = {}
    for name, value in found.items():
        if not is_array(value) or not jnp.issubdtype(value.dtype, jnp.floating):
            raise DtypeError(
                f"{library.name}: {name} must be an array of floating numbers, got {short(value)}."
            )
        dtypes[str(value.dtype)] = name
    if len(dtypes) > 1:
        raise DtypeError(
            f"{library.name}: the arrays must share one dtype, got "
            f"{', '.join(f'{dtype} in {name}' for dtype, name in dtypes.items())}."
        )
    return one_kind(found)


def _has_names(layout: Layout, arrays: Mapping[str, Any]) -> bool:
    needed = {array.name for array in layout.arrays if not array.optional}
    return needed <= arrays.keys() <= {array.name for array in layout.arrays}


def _undecided(
    library: Library, arrays: Mapping[str, Any], trials: list[Any], fitting: list[Layout]
) -> Exception:
    if fitting:
        return StructureError(
            f"{library.name}: {', '.join(arrays)} may be those of "
            f"{' or '.join(row.peer for row in fitting)}, which only the layer itself says; hand "
            "it over in place of its arrays."
        )
    if len(trials) == 1:
        ((row, _, complaint),) = trials
        return ShapeError(f"{library.name}: as the arrays of {row.peer}, {complaint}.")
    found = "; ".join(f"{row.peer}: {complaint}" for row, _, complaint in trials)
    return ShapeError(f"{library.name}: the arrays are of none of its cells. {found}.")
