"""The sizes of a cell, found from the shapes of its arrays."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rnn_jax.interop.layout import Layout


def misfit(layout: Layout, arrays: Mapping[str, Any]) -> tuple[dict[str, int], str | None]:
    """The sizes that the arrays have; and what does not fit the layout, or None."""
    sizes = {"1": 1}
    axes = []
    for array in layout.arrays:
        if array.name not in arrays:
            if not array.optional:
                return sizes, f"{array.name} is missing"
            continue
        wanted, came = array.shape(layout.own), arrays[array.name].shape
        if len(wanted) != len(came):
            return sizes, f"{array.name} must have shape {symbols(wanted)}, got {tuple(came)}"
        axes += [(array, axis, number) for axis, number in zip(wanted, came, strict=True)]
    # An axis with one size that is not known yet says it; those with two come later.
    waiting = axes
    while waiting:
        later = []
        for array, axis, number in waiting:
            unknown = [symbol for symbol in axis if symbol not in sizes]
            if len(unknown) > 1:
                later.append((array, axis, number))
                continue
            rest = number - sum(sizes[s] * n for s, n in axis.items() if s in sizes)
            for symbol in unknown:
                sizes[symbol], left = divmod(rest, axis[symbol])
                rest = left if sizes[symbol] > 0 else -1
            if rest:
                wanted, came = array.shape(layout.own), tuple(arrays[array.name].shape)
                known = {s: n for s, n in sizes.items() if s not in (*unknown, "1")}
                where = ", ".join(f"{s} = {n}" for s, n in known.items())
                where = where and f" with {where}"
                return sizes, f"{array.name} must have shape {symbols(wanted)}{where}, got {came}"
        if len(later) == len(waiting):
            break
        waiting = later
    return sizes, None


def symbols(shape: tuple[Counter[str], ...]) -> str:
    """A shape in words: `(4 H, D)`."""
    axes = (
        " + ".join(str(n) if s == "1" else (s if n == 1 else f"{n} {s}") for s, n in axis.items())
        for axis in shape
    )
    return f"({', '.join(axes)}{',' if len(shape) == 1 else ''})"
