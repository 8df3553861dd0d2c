"""What a token, and what a recurrent matrix, is called."""

from __future__ import annotations

GATES = {
    "lstm": ("input gate", "forget gate", "candidate", "output gate"),
    "gru": ("reset gate", "update gate", "candidate"),
    "mgu": ("gate", "candidate"),
}
TOKENS = {"char": "character", "word": "word"}


def matrix_name(name: str, cell: str) -> str:
    """`1.w_hh.0` of an LSTM -> `layer 1, input gate`; the embedding is layer 0."""
    layer, _, *gate = name.split(".")
    return f"layer {layer}" + (f", {GATES[cell][int(gate[0])]}" if gate else "")
