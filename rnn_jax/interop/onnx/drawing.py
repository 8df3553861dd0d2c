"""A graph as it is drawn: its operators, its constants, and what padding and carries take."""

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np

from rnn_jax.interop.onnx.package import needed

Name = str
"""That of a value in the graph."""
XS, LENGTHS, YS = "xs", "lengths", "ys"


class Drawing:
    """A graph that reads `xs` `(T, batch, ...)` and `lengths` `(batch,)`.

    What several layers need, such as which steps happen, is drawn once, where it is asked for
    first.
    """

    def __init__(self, kind: Any, shape: tuple[int, ...]) -> None:
        """`kind` and `shape` are the dtype and the axes of one step of `xs`."""
        self.onnx = needed("to write a model")
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.names: set[Name] = set()
        self.given(XS, kind, ["T", "batch", *shape])
        self.given(LENGTHS, np.int32, ["batch"])

    def given(self, name: Name, kind: Any, shape: Iterable[str | int]) -> Name:
        """An input of the model; one that has a constant of its name may be left out."""
        self.inputs.append(self._described(name, kind, shape))
        return name

    def returned(self, name: Name, kind: Any, shape: Iterable[str | int]) -> None:
        """Make a value an output of the model."""
        self.outputs.append(self._described(name, kind, shape))

    def constant(self, name: Name, value: Any) -> Name:
        """A number or an array of the model, unless its name is that of a value already."""
        if name not in self.names:
            self.names.add(name)
            self.constants.append(self.onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, kind: str, reads: Iterable[Name], *makes: Name, **settings: Any) -> Name:
        """An operator; returns the first value that it makes."""
        self.names.update(makes)
        self.nodes.append(self.onnx.helper.make_node(kind, [*reads], [*makes], **settings))
        return makes[0]

    def graph(self) -> Any:
        """The graph of all that was drawn."""
        return self.onnx.helper.make_graph(
            self.nodes, "rnn_jax", self.inputs, self.outputs, self.constants
        )

    @functools.cached_property
    def zero(self) -> Name:
        """As a count."""
        return self.constant("zero", np.int32(0))

    @functools.cached_property
    def valid(self) -> Name:
        """Which steps happen: `(T, batch)`."""
        self.node("Shape", [XS], "shape_of_time", start=0, end=1)
        self.node("Squeeze", ["shape_of_time"], "steps_of_time")
        to = self.onnx.TensorProto.INT32
        self.node("Cast", ["steps_of_time"], "all_steps", to=to)
        self.node("Range", [self.zero, "all_steps", self.constant("one", np.int32(1))], "steps")
        self.node("Unsqueeze", ["steps", self.constant("axis_1", [1])], "steps_in_rows")
        return self.node("Less", ["steps_in_rows", LENGTHS], "valid")

    @functools.cached_property
    def valid_rows(self) -> Name:
        """Which steps happen, for vectors: `(T, batch, 1)`."""
        return self.node("Unsqueeze", [self.valid, self.constant("axis_2", [2])], "valid_rows")

    @functools.cached_property
    def begun(self) -> Name:
        """Which sequences have a step: `(batch, 1)`."""
        self.node("Greater", [LENGTHS, self.zero], "have_steps")
        return self.node("Unsqueeze", ["have_steps", self.constant("axis_1", [1])], "begun")

    @functools.cached_property
    def each_row(self) -> Name:
        """The shape `(1, batch, 1)`, to which a carry is broadcast."""
        self.node("Shape", [LENGTHS], "shape_of_batch")
        ones = self.constant("ones", [1])
        return self.node("Concat", [ones, "shape_of_batch", ones], "each_row", axis=0)

    def tokens(self, vocabulary_size: int) -> Name:
        """`xs` for a lookup: 0 where no step happens, and an error of the runtime if below 0.

        ONNX counts negative numbers from the end of a table, which would be a wrong result.
        """
        zero = self.constant("no_token", np.int64(0))
        size = self.constant("vocabulary_size", np.int64(vocabulary_size))
        self.node("Where", [self.valid, XS, zero], "tokens_of_steps")
        self.node("GreaterOrEqual", ["tokens_of_steps", zero], "known")
        return self.node("Where", ["known", "tokens_of_steps", size], "tokens")

    def blank(self, rows: Name, kind: Any, makes: Name) -> Name:
        """Zeros where no step happens."""
        zero = self.constant("zeros", np.zeros((), kind))
        return self.node("Where", [self.valid_rows, rows, zero], makes)

    def _described(self, name: Name, kind: Any, shape: Iterable[str | int]) -> Any:
        dtype = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind))
        return self.onnx.helper.make_tensor_value_info(name, dtype, [*shape])
