"""Write a layer as the arrays of a library: one way for every table."""

from typing import Any, NamedTuple

from rnn_jax.arguments.settings import short
from rnn_jax.cell import Layer, Params
from rnn_jax.checks import check_layer, check_params
from rnn_jax.combinators.bidirectional import Bidirectional
from rnn_jax.combinators.stack import LayerStack
from rnn_jax.errors import StructureError
from rnn_jax.interop.activation import check_activation
from rnn_jax.interop.blocks import arrays_of
from rnn_jax.interop.layout import Layout, Library
from rnn_jax.interop.names import named
from rnn_jax.interop.own import SIZES


class Written(NamedTuple):
    """A cell of ours as theirs."""

    cell: Any
    layout: Layout
    arrays: dict[str, Any]
    """Under the names of the table."""


def write(library: Library, layer: Layer, params: Params) -> dict[str, Any]:
    """The arrays of `layer`, under their full names: of NumPy, or of JAX where it traces."""
    parts = written(library, layer, params)
    arrays = [[one.arrays for one in part] for part in parts]
    return named(library, arrays, [[one.layout.module for one in part] for part in parts])


def written(library: Library, layer: Layer, params: Params) -> list[list[Written]]:
    """Layer by layer, of each one or two directions, the cell and its arrays."""
    check_layer(f"{library.name}: write", layer)
    check_params(layer, params, None)
    parts = [
        [
            (place, *one, _layout(library, place, one[0]))
            for one in _directions(library, place, *own)
        ]
        for place, *own in _opened(library, layer, params)
    ]
    if library.uniform:
        _check_uniform(library, [[one for _, one, _, _ in part] for part in parts])
    return [
        [
            Written(one, layout, arrays_of(layout, p, f"{library.name}: {place}{one!r}"))
            for place, one, p, layout in part
        ]
        for part in parts
    ]


def _opened(library: Library, layer: Layer, params: Params) -> list[tuple[str, Layer, Params]]:
    """Layer by layer, with its place in words."""
    if not isinstance(layer, LayerStack):
        return [("", layer, params)]
    if library.naming.layers is None and len(layer.layers) > 1:
        raise StructureError(
            f"{library.name} has no stack of layers; write them one by one, layers[0] with "
            "params[0]."
        )
    return [
        (f"layers[{index}], ", one, own)
        for index, (one, own) in enumerate(zip(layer.layers, params, strict=True))
    ]


def _check_uniform(library: Library, parts: list[list[Layer]]) -> None:
    sizes = [name for symbol, name in SIZES.items() if symbol != "D"]
    forms = [
        [(type(c), *(getattr(c, name, None) for name in [*sizes, "activation"])) for c in part]
        for part in parts
    ]
    for part, form in zip(parts, forms, strict=True):
        if form != forms[0] or len(set(form)) > 1:
            raise StructureError(
                f"{library.name} has one cell, one size and as many directions in all layers, but "
                f"there are {' and '.join(map(repr, [*parts[0], *part]))}."
            )


def _directions(
    library: Library, place: str, layer: Layer, params: Params
) -> list[tuple[Layer, Params]]:
    if not isinstance(layer, Bidirectional):
        return [(layer, params)]
    if library.naming.both is None:
        raise StructureError(
            f"{library.name} has no bidirectional layer; write its two cells, layer.forward with "
            "params.forward and layer.backward with params.backward."
        )
    if library.merges is not None and layer.merge not in library.merges:
        raise StructureError(
            f"{library.name}: {place}merge must be "
            f"{' or '.join(m.__name__ for m in library.merges)}, got {short(layer.merge)}."
        )
    return [(layer.forward, params.forward), (layer.backward, params.backward)]


def _layout(library: Library, place: str, one: Layer) -> Layout:
    """The row of the table for a cell of ours."""
    for layout in library.layouts:
        if type(one) is layout.own.cell:
            if layout.own.activated:
                check_activation(library, layout, one.activation, place)  # type: ignore[attr-defined]
            return layout
    for kind, reason in library.refused:
        if type(one) is kind:
            raise StructureError(f"{library.name}: {place}{one!r} cannot be written, for {reason}.")
    cells = dict.fromkeys(layout.own.cell.__name__ for layout in library.layouts)
    raise StructureError(
        f"{library.name} has no counterpart of {place}{one!r}; it has those of {', '.join(cells)}."
    )
