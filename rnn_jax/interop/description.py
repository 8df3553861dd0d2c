"""The table of a library in words, for the pages of the docs."""

from collections.abc import Iterable, Iterator

from rnn_jax.interop.layout import Array, Layout, Library, Piece
from rnn_jax.interop.own import GRU_, IFGO, LSTM_, RESET_BEFORE_GRU, RZN
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


def compare(library: Library) -> str:
    """A library's cells and arrays beside ours: the head of a table of Markdown."""
    lstm = next(row for row in library.layouts if row.own is LSTM_)
    gru = next(row for row in library.layouts if row.own in (GRU_, RESET_BEFORE_GRU))
    cells = {row.peer: row.own.cell.__name__ for row in library.layouts}
    rows = [
        ("", library.name, "here"),
        ("---", "---", "---"),
        ("cells", _listed(cells), _listed(cells.values())),
        ("gates of an LSTM", gate_order(lstm), " ".join(IFGO)),
        ("gates of a GRU", gate_order(gru), " ".join(RZN)),
        ("weights of an LSTM at x", _shaped(lstm, "w_xh"), "`w_xh` `(D, 4 H)`"),
        ("biases of an LSTM", _shaped(lstm, "b_h") + _law(lstm, "b_h"), "`b_h` `(4 H,)`"),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _pieces(array: Array, field: str) -> list[Piece]:
    """The blocks of a field of ours that an array holds."""
    return [piece for row in array.rows for piece in row if piece.field == field]


def gate_order(layout: Layout) -> str:
    """The gates as they lie side by side, or one after the other."""
    held = [piece for array in layout.arrays for piece in _pieces(array, "w_xh")]
    return " ".join("-" * (piece.sign < 0) + piece.gate for piece in held)


def _shaped(layout: Layout, field: str) -> str:
    """The arrays that hold a field of ours, those of one shape together."""
    shapes: dict[str, list[str]] = {}
    for array in layout.arrays:
        if _pieces(array, field):
            shapes.setdefault(symbols(array.shape(layout.own)), []).append(array.name)
    return ", ".join(f"{_listed(names)} `{shape}`" for shape, names in shapes.items())


def _law(layout: Layout, field: str) -> str:
    """What becomes of the blocks of a field when the peer runs."""
    held = [piece for array in layout.arrays for piece in _pieces(array, field)]
    said = "; they are added" * (len({piece.key for piece in held}) < len(held))
    return said + "".join(f"; {p.offset} is added to {p.gate}" for p in held if p.offset)
