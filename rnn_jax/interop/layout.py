"""How another library lays out what a cell is made of: the form of every table in this folder.

A table says, array by array, which pieces of our params it holds: a piece is the block of one gate.
Everything else, import, export, refusals and the page of the docs, is read from the tables.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Field(NamedTuple):
    """A field of our params: one block a gate, side by side on the last axis."""

    name: str
    shape: tuple[str, ...]
    """Of one block, in symbols: `("D", "H")`."""
    gates: tuple[str, ...]
    """Their letters, in our order; one without a letter where there are no gates."""


@dataclasses.dataclass(frozen=True)
class Own:
    """A cell of ours: what its params are made of, and which symbol is which of its sizes."""

    cell: type
    params: type
    fields: tuple[Field, ...]

    @property
    def activated(self) -> bool:
        """Whether its nonlinearity is a setting."""
        return "activation" in self.cell.__dataclass_fields__  # type: ignore[attr-defined]

    def shape(self, field: str) -> tuple[str, ...]:
        """Of one block of a field, in symbols."""
        (found,) = (f.shape for f in self.fields if f.name == field)
        return found


@dataclasses.dataclass(frozen=True)
class Piece:
    """A block of ours as it lies in an array of theirs: `ours = sign * theirs + offset`."""

    field: str
    gate: str = ""
    sign: int = 1
    offset: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """Which block of ours it is."""
        return self.field, self.gate


def pieces(field: str, gates: str = "") -> tuple[Piece, ...]:
    """The blocks of a field side by side, in the order that the letters say."""
    return tuple(Piece(field, gate) for gate in gates or ("",))


@dataclasses.dataclass(frozen=True)
class Array:
    """An array of theirs.

    A piece that several arrays hold is their sum: written, it goes into the first of them.
    """

    name: str
    rows: tuple[tuple[Piece, ...], ...]
    """Rows of pieces, one below another; in a row side by side."""
    transposed: bool = False
    optional: bool = False
    """Whether they may leave it out, which is a zero."""

    def shape(self, own: Own) -> tuple[Counter[str], ...]:
        """How often each symbol counts in each axis; the symbol `1` is a row of a bias."""
        width = Counter(own.shape(piece.field)[-1] for piece in self.rows[0])
        height = Counter(([*own.shape(row[0].field)[:-1], "1"])[0] for row in self.rows)
        if height == {"1": 1}:
            return (width,)
        return (width, height) if self.transposed else (height, width)


@dataclasses.dataclass(frozen=True)
class Layout:
    """A cell of theirs, the cell of ours that has its numbers, and where they lie."""

    peer: str
    """What they call it."""
    own: Own
    arrays: tuple[Array, ...]
    activations: Mapping[str, Callable[..., Any] | None] | None = None
    """Of a cell with a nonlinearity: those that they have, by their name for it; None for any
    function."""
    absent: str = ""
    """Why a block of ours that no array holds must be zero."""
    module: str = ""
    """Where a library names arrays by modules, the module that it is by default."""

    def __hash__(self) -> int:
        """There is one object a row of a table."""
        return id(self)


@dataclasses.dataclass(frozen=True)
class Naming:
    """How arrays are called, by where their cell is: patterns of layer, module and name."""

    one: str
    """Of a layer that runs forward."""
    both: tuple[str, str] | None = None
    """Of the two directions of a bidirectional one; None if they have none."""
    layers: str | None = None
    """What stands before them in a stack; None if they have no stacks."""


@dataclasses.dataclass(frozen=True)
class Library:
    """The table of a library."""

    name: str
    layouts: tuple[Layout, ...]
    """Where several have the same cell of ours, the first is written."""
    naming: Naming
    merges: tuple[Callable[..., Any], ...] | None = ()
    """How a bidirectional layer may merge; None for any function."""
    uniform: bool = False
    """Whether all layers of a stack are of one cell, one size and as many directions."""
    refused: tuple[tuple[type, str], ...] = ()
    """Cells of ours that it has not, with the reason, where more can be said than that."""
    unread: tuple[tuple[str, tuple[frozenset[str], ...], str], ...] = ()
    """Cells of theirs that cannot be read: their name, their arrays and the reason."""

    def __hash__(self) -> int:
        """There is one object a library."""
        return id(self)
