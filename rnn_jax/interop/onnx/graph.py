"""A graph as it is read: who makes a value, what is constant, and whether two parts are alike."""

from collections.abc import Callable
from typing import Any

import numpy as np

from rnn_jax.interop.onnx.drawing import Drawing
from rnn_jax.interop.onnx.package import needed


class Graph:
    """The operators, constants and inputs of a model's graph, by the names of the values."""

    def __init__(self, graph: Any) -> None:
        self.onnx = needed("to read a model")
        self.nodes = list(graph.node)
        self.makers = {name: node for node in self.nodes for name in node.output if name}
        self.outputs = [output.name for output in graph.output]
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        for node in self.nodes:
            if node.op_type == "Constant":
                (self._constants[node.output[0]],) = self.settings(node).values()
        self.inputs = {given.name for given in graph.input}

    def settings(self, node: Any) -> dict[str, Any]:
        """The attributes of an operator, with text as text."""

        def plain(value: Any) -> Any:
            if isinstance(value, bytes):
                return value.decode()
            return [*map(plain, value)] if isinstance(value, list | tuple) else value

        return {a.name: plain(self.onnx.helper.get_attribute_value(a)) for a in node.attribute}

    def constant(self, name: str) -> np.ndarray[Any, Any] | None:
        """The array that a value always is, perhaps turned; None for what is computed or given."""
        turned, name = self.source(name)
        if name not in self._constants:
            return None
        value = self._constants[name]
        is_tensor = isinstance(value, self.onnx.TensorProto)
        array = self.onnx.numpy_helper.to_array(value) if is_tensor else np.asarray(value)
        return array.T if turned else array

    def source(self, name: str) -> tuple[bool, str]:
        """Of which value a matrix is the transpose or the same, and whether it is the transpose."""
        turned = False
        while name in self.makers:
            node = self.makers[name]
            is_transpose = node.op_type == "Transpose" and self.settings(node).get("perm") == [1, 0]
            if node.op_type != "Identity" and not is_transpose:
                break
            turned, name = turned != is_transpose, node.input[0]
        return turned, name

    def is_like(self, name: str, other: "Graph", theirs: str) -> bool:
        """Whether a value is computed from inputs as that of another graph is."""
        constant = other.constant(theirs)
        if constant is not None:
            found = self.constant(name)
            return found is not None and np.array_equal(found, constant)
        if theirs in other.inputs:
            return name in self.inputs
        node, wanted = self.makers.get(name), other.makers[theirs]
        return (
            node is not None
            and node.op_type == wanted.op_type
            and self.settings(node) == other.settings(wanted)
            and len(node.input) == len(wanted.input)
            and all(
                self.is_like(a, other, b) for a, b in zip(node.input, wanted.input, strict=True)
            )
        )

    def is_drawn(self, name: str, draw: Callable[[Drawing], str]) -> bool:
        """Whether a value is computed from inputs as `write` does it."""
        drawing = Drawing(np.float32, ())
        drawn = draw(drawing)
        return self.is_like(name, Graph(drawing.graph()), drawn)
