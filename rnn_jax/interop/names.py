"""Where an array belongs, by its name: which layer, which direction, which array of the cell."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from rnn_jax.errors import StructureError
from rnn_jax.interop.layout import Library, Naming

Levels = list[list[dict[str, Any]]]
"""Layer by layer, of each one or two directions, the arrays of a cell."""


class _Place(NamedTuple):
    above: str
    """What stands in front of the name, such as the module that the layer is in."""
    layer: int
    direction: int
    name: str


def levels(library: Library, arrays: Mapping[str, Any]) -> Levels:
    """The arrays of each cell, by their names."""
    known = {array.name for layout in library.layouts for array in layout.arrays}
    known |= {name for _, forms, _ in library.unread for names in forms for name in names}
    patterns = list(_patterns(library.naming, known))
    found: dict[tuple[int, int], dict[str, Any]] = {}
    others, above = [], set()
    for full, array in arrays.items():
        place = _place(patterns, full)
        if place is None:
            others.append(full)
            continue
        above.add(place.above)
        if len(above) > 1:
            raise StructureError(
                f"{library.name}: these are arrays of several layers, {_listed(sorted(above))}; "
                "hand over those of one."
            )
        own = found.setdefault((place.layer, place.direction), {})
        if place.name in own:
            raise StructureError(
                f"{library.name}: there are two arrays that may be {place.name} of one cell, among "
                f"{_listed(arrays)}."
            )
        own[place.name] = array
    _check(library, arrays, others, above, found)
    depth = 1 + max(layer for layer, _ in found)
    return [[found[k, d] for d in (0, 1) if (k, d) in found] for k in range(depth)]


def named(library: Library, cells: Levels, modules: list[list[str]]) -> dict[str, Any]:
    """All arrays under their full names."""
    naming = library.naming
    found = {}
    for layer, (directions, called) in enumerate(zip(cells, modules, strict=True)):
        patterns = _ways(naming, len(directions) > 1)
        above = (naming.layers or "") if len(cells) > 1 else ""
        for pattern, arrays, module in zip(patterns, directions, called, strict=True):
            for name, array in arrays.items():
                found[(above + pattern).format(layer=layer, module=module, name=name)] = array
    return found


def _ways(naming: Naming, both: bool) -> tuple[str, ...]:
    return naming.both if both and naming.both else (naming.one,)


def _patterns(naming: Naming, known: Iterable[str]) -> Iterator[tuple[int, re.Pattern[str]]]:
    """A direction and the pattern of its names, the most special first; last, a cell by itself."""
    names = "|".join(map(re.escape, sorted(known, key=len, reverse=True)))
    ways = [*enumerate(naming.both or ()), (0, naming.one)]
    above = [naming.layers, ""] if naming.layers else [""]
    for direction, pattern in [(d, a + way) for a in above for d, way in ways] + [(0, "{name}")]:
        text = re.escape(pattern).replace(r"\{", "{").replace(r"\}", "}")
        text = text.format(
            layer=r"(?P<layer>\d+)", module=r"(?P<module>\w+)", name=f"(?P<name>{names})"
        )
        yield direction, re.compile(rf"(?P<above>(?:.*?[/.])??){text}")


def _place(patterns: list[tuple[int, re.Pattern[str]]], full: str) -> _Place | None:
    for direction, pattern in patterns:
        match = pattern.fullmatch(full)
        if match:
            parts = match.groupdict()
            layer = int(parts.get("layer") or 0)
            above = parts["above"] + parts.get("module", "")
            return _Place(above, layer, direction, parts["name"])
    return None


def _check(
    library: Library,
    arrays: Mapping[str, Any],
    others: list[str],
    above: set[str],
    found: Mapping[tuple[int, int], Any],
) -> None:
    if not found:
        raise StructureError(
            f"{library.name}: there is no array of a recurrent layer among {_listed(arrays)}; "
            f"the names are such as {_example(library)}."
        )
    if others:
        under = [name for name in sorted(above) if name]
        raise StructureError(
            f"{library.name}: {_listed(others)} is of no recurrent layer; hand over the arrays of "
            f"recurrent layers alone{', those under ' + _listed(under) if under else ''}."
        )
    for layer in range(1 + max(layer for layer, _ in found)):
        if (layer, 0) not in found:
            raise StructureError(
                f"{library.name}: layer {layer} is missing, or its forward direction is, among "
                f"{_listed(arrays)}."
            )


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    shown = ", ".join(map(repr, names[:4]))
    return f"{shown} and {len(names) - 4} more" if len(names) > 4 else shown or "nothing"


def _example(library: Library) -> str:
    layout = library.layouts[0]
    way = library.naming.one.format(layer=0, module=layout.module, name=layout.arrays[0].name)
    return repr(way)
