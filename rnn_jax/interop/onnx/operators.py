"""Single operators of ONNX as layers of ours."""

import dataclasses
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from rnn_jax.errors import ShapeError, StructureError
from rnn_jax.interop import reading
from rnn_jax.interop.activation import Activation
from rnn_jax.interop.onnx.chain import TURNS
from rnn_jax.interop.onnx.drawing import Name
from rnn_jax.interop.onnx.graph import Graph
from rnn_jax.interop.onnx.table import ACTIVATIONS, GATES, LIBRARY, OPERATORS, RESET_AFTER, operator

INPUTS = ("X", "W", "R", "B", "lengths", "h", "c", "P")
"""Those of the recurrent operators, in their order."""
DEFAULTS = {"alpha": 1.0, "axis": -1}
"""Attributes of activations that need not be said."""
MOVES = (*TURNS, "Slice", "Expand")
"""What makes a carry of an array, number by number."""
AFFINE, LOOKUP = "MatMul, Add", "Gather"
"""Rows of the table."""


def recurrent_of(graph: Graph, node: Any) -> reading.Read:
    """A cell, or two directions, of an `RNN`, `LSTM` or `GRU`."""
    settings = graph.settings(node)
    direction = settings.get("direction", "forward")
    directions = 2 if direction == "bidirectional" else 1
    names = settings.get("activations", [])
    _check_settings(node, settings, direction)
    inputs = dict(zip(INPUTS, node.input, strict=False))
    for what in ("h", "c", "P"):
        _check_zero(graph, node, what, inputs.get(what, ""))
    arrays = {name: _array(graph, node, name, inputs[name]) for name in "WRB" if inputs.get(name)}
    for name, array in arrays.items():
        if array.shape[:1] != (directions,):
            raise ShapeError(
                f"ONNX: {name} of {node.op_type} must have {directions} on its first axis, for "
                f"direction={direction}, got shape {array.shape}."
            )
    activations: list[Activation | None] = [None] * directions
    peer = node.op_type
    if peer == "RNN":
        names = (names or ["Tanh"]) * directions
        if not ACTIVATIONS.keys() >= {*names}:
            _refuse(node, "activations", " or ".join(ACTIVATIONS), names)
        activations = [ACTIVATIONS[name] for name in names]
    elif names and names != GATES[peer] * directions:
        _refuse(node, "activations", str(GATES[peer]), names)
    if peer == "GRU" and settings.get("linear_before_reset", 0):
        peer = RESET_AFTER
    return reading.directed(
        [
            reading.cell(LIBRARY, {n: a[d] for n, a in arrays.items()}, activations[d], peer)
            for d in range(directions)
        ]
    )


def embedding_of(graph: Graph, node: Any, left: deque[Any]) -> reading.Read:
    """A lookup, and the scale that may stand behind it."""
    table = graph.constant(node.input[0])
    axis = graph.settings(node).get("axis", 0)
    if table is None or table.ndim != 2 or axis != 0:
        raise StructureError(
            f"ONNX: Gather must look up rows of a table, a constant of two axes, got "
            f"{node.input[0]!r} and axis={axis}."
        )
    _check_tokens(graph, node.input[1], table.shape[0])
    layer, params = reading.cell(LIBRARY, {"table": table}, None, LOOKUP)
    if left and left[0].op_type == "Mul":
        scale = _scale(graph, left.popleft())
        layer = dataclasses.replace(layer, scale=scale)  # type: ignore[type-var]
    return layer, params


def dense_of(graph: Graph, node: Any, left: deque[Any]) -> reading.Read:
    """A matmul, and the bias and the activation that may stand behind it."""
    arrays = {"weight": _array(graph, node, "weight", node.input[1])}
    if left and left[0].op_type == "Add":
        add = left.popleft()
        first = graph.constant(add.input[0]) is not None
        arrays["bias"] = _array(graph, add, "bias", add.input[0 if first else 1])
    activation = None
    if left and left[0].op_type in {operator(name)[0] for name in OPERATORS} - {"Identity"}:
        activation = _activation(graph, left.popleft())
    return reading.cell(LIBRARY, arrays, activation, AFFINE)


def is_blank(graph: Graph, node: Any) -> bool:
    """Whether an operator writes zeros where no step happens, as `write` has it."""
    if node.op_type != "Where":
        return False
    zero = graph.constant(node.input[2])
    return (
        zero is not None
        and not zero.any()
        and graph.is_drawn(node.input[0], lambda drawing: drawing.valid_rows)
    )


def _activation(graph: Graph, node: Any) -> Any:
    settings = {k: v for k, v in graph.settings(node).items() if v != DEFAULTS.get(k)}
    for name, activation in OPERATORS.items():
        if operator(name) == (node.op_type, settings):
            return activation
    (wanted,) = (name for name in OPERATORS if operator(name)[0] == node.op_type)
    raise StructureError(f"ONNX: {node.op_type} is read as {wanted}, got {settings}.")


def _scale(graph: Graph, node: Any) -> float:
    for name in node.input:
        maker = graph.makers.get(name)
        found = graph.constant(maker.input[0] if maker and maker.op_type == "CastLike" else name)
        if found is not None and found.size == 1:
            return float(found.item())
    raise StructureError("ONNX: the Mul behind a Gather must be by one constant number.")


def _array(graph: Graph, node: Any, what: str, name: Name) -> Any:
    found = graph.constant(name)
    if found is None:
        raise StructureError(
            f"ONNX: {what} of {node.op_type} is no constant of the model, but {name!r}, which it "
            "computes or is given."
        )
    return found


def _check_tokens(graph: Graph, name: Name, vocabulary_size: int) -> None:
    """Raise where something is done to the tokens before they are looked up."""
    given, maker = name, graph.makers.get(name)
    while maker is not None and maker.op_type in ("Cast", "Transpose", "Identity"):
        given = maker.input[0]
        maker = graph.makers.get(given)
    if given not in graph.inputs and not graph.is_drawn(
        name, lambda drawing: drawing.tokens(vocabulary_size)
    ):
        raise StructureError(
            f"ONNX: Gather must read tokens, an input of the model, got {given!r}, which it "
            "computes."
        )


def _check_settings(node: Any, settings: Mapping[str, Any], direction: str) -> None:
    if direction == "reverse":
        raise StructureError(
            f"ONNX: {node.op_type} has direction=reverse; here that is said where a layer is "
            "run, by unroll(..., reverse=True). Read its arrays alone."
        )
    for name in ("clip", "input_forget", "layout", "activation_alpha", "activation_beta"):
        if settings.get(name):
            _refuse(node, name, "none", settings[name])


def _check_zero(graph: Graph, node: Any, what: str, name: Name) -> None:
    """Peepholes and an initial state: absent, zero, or an input of the model, but for P."""
    given, maker = name, graph.makers.get(name)
    while maker is not None and maker.op_type in MOVES:
        given = maker.input[0]
        maker = graph.makers.get(given)
    found = _value(graph, maker) if maker is not None else graph.constant(given)
    if not given or (found is not None and not found.any()):
        return
    if what != "P" and found is None and given in graph.inputs:
        return
    said = "peepholes" if what == "P" else f"the initial {what}"
    raise StructureError(
        f"ONNX: {said} of {node.op_type}, {name!r}, would be lost: it must be absent or zero"
        f"{'' if what == 'P' else ', or an input of the model'}."
    )


def _value(graph: Graph, maker: Any) -> Any:
    """What an operator without a sequence makes: an array of a constant, or what is not known."""
    if maker.op_type == "ConstantOfShape":
        value = graph.settings(maker).get("value")
        return np.zeros(1) if value is None else graph.onnx.numpy_helper.to_array(value)
    return graph.constant(maker.output[0])


def _refuse(node: Any, name: str, wanted: str, found: Any) -> None:
    raise StructureError(
        f"ONNX: {node.op_type} with other {name} than {wanted} has no counterpart, got {found}."
    )
