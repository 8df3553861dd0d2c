"""The table of a library in words, for the page of the docs."""

from collections.abc import Iterable, Iterator

from rnn_jax.interop.layout import Layout, Library, Piece
from rnn_jax.interop.sizes import symbols


def describe(library: Library) -> str:
    """What a library's arrays hold, as Markdown."""
    lines = [
        f"### {library.name}",
        "",
        f"Named {', '.join(_names(library))}.",
        "",
        "| theirs | ours | array | shape | holds |",
        "| --- | --- | --- | --- | --- |",
    ]
    for layout in library.layouts:
        lines += _rows(layout)
    notes = [f"`{kind.__name__}`: {reason}." for kind, reason in library.refused]
    notes += [
        f"`{row.own.cell.__name__}` whose `{field.name}` is not zero: {row.absent}."
        for row in library.layouts
        for field in row.own.fields
        if field.name not in {p.field for array in row.arrays for line in array.rows for p in line}
    ]
    if notes:
        lines += ["", f"Not written: {' '.join(notes)}"]
    if library.unread:
        lines += ["", f"Not read: {' '.join(f'`{n}`: {why}.' for n, _, why in library.unread)}"]
    return "\n".join(lines)


def _names(library: Library) -> Iterator[str]:
    naming = library.naming
    yield f"`{naming.one}`"
    if naming.both:
        yield f"in two directions `{naming.both[0]}` and `{naming.both[1]}`"
    if naming.layers:
        yield f"in a stack with `{naming.layers}` before it"


def _rows(layout: Layout) -> Iterator[str]:
    ours = f"`{layout.own.cell.__name__}`"
    if layout.activations:
        ours += f" ({', '.join(layout.activations)})"
    seen: set[tuple[str, str]] = set()
    names = f"`{layout.peer}`", ours
    for array in layout.arrays:
        held = " above ".join(", ".join(_held(row, seen)) for row in array.rows)
        more = "; transposed" * array.transposed + "; may be absent" * array.optional
        shape = symbols(array.shape(layout.own))
        yield f"| {' | '.join([*names, f'`{array.name}`', f'`{shape}`', held + more])} |"
        names = "", ""


def _held(row: Iterable[Piece], seen: set[tuple[str, str]]) -> Iterator[str]:
    """The pieces of a row, those of one field and one law together."""
    groups: list[tuple[tuple[str, str, str], list[str]]] = []
    for piece in row:
        law = "added to " if piece.key in seen else ""
        sign = "-" if piece.sign < 0 else ""
        offset = f" {-piece.offset:+d}".replace("+", "+ ").replace("-", "- ") * (piece.offset != 0)
        seen.add(piece.key)
        same = law + sign, piece.field, offset
        if not groups or groups[-1][0] != same:
            groups.append((same, []))
        groups[-1][1].append(piece.gate)
    for (law, field, offset), gates in groups:
        yield f"{law}`{field}`{''.join(f' {gate}' for gate in gates if gate)}{offset}"
