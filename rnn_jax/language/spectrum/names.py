"""What a token, and what a recurrent matrix, is called."""

from __future__ import annotations

from collections.abc import Iterable

from rnn_jax.language.cells import gates

TOKENS = {"char": "character", "word": "word"}


def by_layer(names: Iterable[str]) -> dict[str, str]:
    """Names of recurrent matrices -> the same with recurrent layers counted from 1.

    `layer.1.2.w_hh.0`, where a matrix lies among params, becomes `1.w_hh.0`: embedding, dropout
    and what is around them do not count.
    """
    names = list(names)
    places = list(dict.fromkeys(name.partition("w_hh")[0] for name in names))
    numbered = {}
    for name in names:
        place, matrix, gate = name.partition("w_hh")
        numbered[name] = f"{places.index(place) + 1}.{matrix}{gate}"
    return numbered


def matrix_name(name: str, cell: str) -> str:
    """`1.w_hh.0` of an LSTM -> `layer 1, input gate`; of a cell that names no gates, `block 1`."""
    layer, _, *block = name.split(".")
    known = dict(enumerate(gates(cell)))
    return ", ".join([f"layer {layer}", *(known.get(int(n), f"block {int(n) + 1}") for n in block)])
