"""The way of a sequence through a model, from what it reads to what it returns."""

from typing import Any

from rnn_jax.errors import StructureError
from rnn_jax.interop.onnx.graph import Graph
from rnn_jax.interop.onnx.table import RECURRENT

NOTHING = ("Identity", "Dropout")
"""Operators that change nothing, where nobody trains."""
TURNS = ("Transpose", "Reshape", "Squeeze", "Unsqueeze", *NOTHING)
"""Operators that only move numbers."""


def chain(graph: Graph) -> list[Any]:
    """The operators that a sequence goes through, in their order, from a lookup if there is one.

    What is on no way to an output does nothing, and is not looked at.
    """
    sequences = [name for name in graph.outputs if not _is_carry(graph, name)]
    if len(sequences) > 1:
        raise StructureError(
            f"ONNX: a layer emits one sequence, but the model returns {' and '.join(sequences)}."
        )
    # A model of carries alone: the sequence is that of the last layer.
    recurrent = [node for node in graph.nodes if node.op_type in RECURRENT]
    node = graph.makers.get(sequences[0]) if sequences else next(reversed(recurrent), None)
    nodes = []
    while node is not None:
        nodes.append(node)
        if node.op_type == "Gather" or not node.input:
            break
        name = _followed(graph, node)
        node = graph.makers.get(name)
        if node is not None and node.op_type in RECURRENT and name != node.output[0]:
            raise StructureError(
                f"ONNX: {nodes[-1].op_type} reads the final carry {name!r} of {node.op_type}; a "
                "layer reads every step of the one before."
            )
    return nodes[::-1]


class Between:
    """What moves numbers between two layers must leave every step at its place."""

    def __init__(self, graph: Graph) -> None:
        self.turns: list[Any] = []
        """Since the last layer."""
        self._graph = graph
        self._last: Any = None
        self._swaps = 0
        """How often time and batch have changed places since the last recurrent layer."""
        self._time_is_known = False
        """Whether there was one: until then, time is whichever axis they take it to be."""

    def check(self, node: Any) -> None:
        """Raise where a layer reads something else than what the one before emits."""
        turns = [self._turn(turn) for turn in self.turns]
        self._swaps += turns.count("swap")
        turns = [turn for turn in turns if turn not in ("swap", *NOTHING)]
        is_recurrent = node.op_type in RECURRENT
        has_moved = is_recurrent and self._time_is_known and self._swaps % 2 == 1
        if self._last is not None and (has_moved or turns not in self._wanted()):
            raise StructureError(
                f"ONNX: {node.op_type} must read what {self._last.op_type} before it emits, "
                "with every step at its place: of a recurrent operator by Squeeze of axis 1, or by "
                "Transpose of perm 0 2 1 3 and Reshape to 0 0 -1."
            )
        if is_recurrent:
            self._swaps, self._time_is_known = 0, True
        self._last, self.turns = node, []

    def _wanted(self) -> tuple[list[str], ...]:
        """What puts the directions of the last layer side by side."""
        if self._last.op_type in RECURRENT:
            return ["squeeze"], ["turn", "merge"]
        return ([],)

    def _turn(self, node: Any) -> str:
        """What an operator does, in a word."""
        settings = self._graph.settings(node)
        second = self._graph.constant(node.input[1]) if len(node.input) > 1 else None
        given = [] if second is None else second.ravel().tolist()
        perm = settings.get("perm", [])
        if node.op_type == "Transpose" and perm in ([0, 2, 1, 3], [1, 0, 2]):
            return "turn" if len(perm) == 4 else "swap"
        if node.op_type == "Reshape" and given[:2] == [0, 0] and len(given) == 3:
            return "merge"
        if node.op_type == "Squeeze" and (given or settings.get("axes")) == [1]:
            return "squeeze"
        return str(node.op_type)


def _followed(graph: Graph, node: Any) -> str:
    """Which input of an operator is the sequence: of a sum the one that is not constant."""
    if node.op_type == "Where":
        return str(node.input[1])
    if node.op_type in ("Add", "Mul") and graph.constant(node.input[0]) is not None:
        return str(node.input[1])
    return str(node.input[0])


def _is_carry(graph: Graph, name: str) -> bool:
    """Whether an output is what recurrent operators leave behind, perhaps moved."""
    node = graph.makers.get(name)
    if node is None:
        return False
    if node.op_type in RECURRENT:
        return name in node.output[1:]
    if node.op_type == "Concat":
        return all(_is_carry(graph, name) for name in node.input)
    if node.op_type == "Where":
        kept = graph.is_drawn(node.input[0], lambda drawing: drawing.begun)
        return kept and _is_carry(graph, node.input[1])
    return node.op_type in (*TURNS, "Slice") and _is_carry(graph, node.input[0])
