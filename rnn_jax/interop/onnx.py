"""ONNX: models of the operators `RNN`, `LSTM` and `GRU`, in one direction or two, in layers."""

import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.arguments.settings import short
from rnn_jax.cell import Layer, Params
from rnn_jax.combinators.bidirectional import concatenate
from rnn_jax.errors import ArgumentError, StructureError
from rnn_jax.interop import reading, writing
from rnn_jax.interop.activation import Activation
from rnn_jax.interop.layout import Array, Layout, Library, Naming, Own, Piece, pieces
from rnn_jax.interop.own import ELMAN, GRU_, LSTM_, RESET_BEFORE_GRU

ACTIVATIONS = {
    "Tanh": jnp.tanh,
    "Relu": jax.nn.relu,
    "Sigmoid": jax.nn.sigmoid,
    "Softplus": jax.nn.softplus,
}
RESET_AFTER, RESET_BEFORE = "GRU, linear_before_reset=1", "GRU"
GATES = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}
OPSET, IR = 17, 8  # of 2022: what runs models has known them for long


def _layout(
    peer: str, own: Own, gates: str, recurrent: tuple[Piece, ...], at_state: Any, **more: Any
) -> Layout:
    arrays = (
        Array("W", (pieces("w_xh", gates),), transposed=True),
        Array("R", (recurrent,), transposed=True),
        Array("B", ((*pieces("b_h", gates), *at_state),), optional=True),
    )
    return Layout(peer, own, arrays, **more)


LIBRARY = Library(
    "ONNX",
    (
        _layout("RNN", ELMAN, "", pieces("w_hh"), pieces("b_h"), activations=ACTIVATIONS),
        _layout("LSTM", LSTM_, "iofg", pieces("w_hh", "iofg"), pieces("b_h", "iofg")),
        _layout(
            RESET_AFTER,
            GRU_,
            "zrn",
            pieces("w_hh", "zrn"),
            (*pieces("b_h", "zr"), Piece("b_hn")),
        ),
        _layout(
            RESET_BEFORE,
            RESET_BEFORE_GRU,
            "zrn",
            (*pieces("w_hh", "zr"), Piece("w_hn")),
            pieces("b_h", "zrn"),
        ),
    ),
    Naming("{name}", ("forward/{name}", "reverse/{name}"), "layers/{layer}/"),
    merges=(concatenate,),
)


def read(source: Any, *, activation: Activation | None = None) -> tuple[Layer, Params]:
    """The layer and the params that an ONNX model of recurrent operators is.

    Args:
      source: An `onnx.ModelProto` or the path of one, for which the package onnx must be
        installed: one `RNN`, `LSTM` or `GRU`, or several, each of which reads what the one before
        emits, with its directions side by side. Or the arrays of one direction by name, W, R and
        B, without their axis of directions.
      activation: That of an `RNN`, where only its arrays are handed over.

    Raises:
      StructureError, ShapeError, DtypeError: The model has an operator, an attribute or an initial
        state that has no counterpart; the message names it.
      ArgumentError: The activation is missing or said twice, or the file cannot be read.

    >>> import jax, numpy as np, rnn_jax as rnn
    >>> arrays = {"W": np.ones((20, 3)), "R": np.ones((20, 5)), "B": np.ones(40)}
    >>> cell, params = rnn.interop.onnx.read(arrays)
    >>> cell == rnn.LSTM(3, 5), params.b_h[0].item()
    (True, 2.0)
    """
    if isinstance(source, Mapping):
        return reading.read(LIBRARY, source, activation)
    if activation is not None:
        raise ArgumentError("ONNX: activation is for arrays alone; a model says it itself.")
    if isinstance(source, str | os.PathLike):
        source = _loaded(source)
    if not hasattr(source, "graph"):
        raise StructureError(
            f"ONNX: read needs a model, the path of one, or arrays by name, got {short(source)}."
        )
    return _Graph(source.graph).read()


def write(layer: Layer, params: Params) -> Any:
    """An `onnx.ModelProto` that has the numbers of `layer`, of ONNX's own recurrent operators.

    Its inputs are `xs` `(T, batch, D)` and `lengths` `(batch,)` of int32, how many steps each
    sequence has; its output is `ys` `(T, batch, features)`, zeros where a sequence has ended. T and
    batch are open. The initial state is zero. `read` gives the same params again, to the bit. Takes
    the package onnx.

    Args:
      layer: An `Elman` of tanh, ReLU, sigmoid or softplus, an `LSTM`, a `GRU` or a
        `ResetBeforeGRU`, a `bidirectional` layer of two of a kind, or a `stack` of these.
      params: Its params, float32 or float64; runtimes may know float32 alone.

    Raises:
      StructureError: ONNX has no such layer, or these are no params of it.
      ArgumentError: The package onnx is not installed.
    """
    parts = writing.written(LIBRARY, layer, params)
    onnx = _needed("to write a model")
    helper, nodes, constants = onnx.helper, [], []

    def constant(name: str, value: Any) -> str:
        constants.append(onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    reads = "xs"
    for index, part in enumerate(parts):
        kinds = {(one.layout, one.cell) for one in part}
        if len(kinds) > 1:
            raise StructureError(
                f"ONNX: both directions of a layer must be of one kind and size, got "
                f"{' and '.join(repr(one.cell) for one in part)}."
            )
        ((layout, cell),) = kinds
        emits = "ys" if index == len(parts) - 1 else f"ys_{index}"
        arrays = [
            constant(f"{array.name}_{index}", np.stack([one.arrays[array.name] for one in part]))
            for array in layout.arrays
        ]
        settings: dict[str, Any] = {"hidden_size": cell.hidden_size}
        settings["direction"] = "bidirectional" if len(part) > 1 else "forward"
        if layout.own is ELMAN:
            named = {value: name for name, value in ACTIVATIONS.items()}
            settings["activations"] = [named[cell.activation]] * len(part)
        if layout.peer == RESET_AFTER:
            settings["linear_before_reset"] = 1
        # (T, directions, batch, H), then the directions side by side.
        nodes += [
            helper.make_node(
                layout.peer.split(",")[0],
                [reads, *arrays, "lengths"],
                [f"apart_{index}"],
                **settings,
            ),
            helper.make_node(
                "Transpose", [f"apart_{index}"], [f"turned_{index}"], perm=[0, 2, 1, 3]
            ),
            helper.make_node(
                "Reshape", [f"turned_{index}", constant(f"shape_{index}", [0, 0, -1])], [emits]
            ),
        ]
        reads = emits
    dtype = helper.np_dtype_to_tensor_dtype(parts[0][0].arrays["W"].dtype)
    width = sum(one.cell.hidden_size for one in parts[-1])
    graph = helper.make_graph(
        nodes,
        "rnn_jax",
        [
            helper.make_tensor_value_info("xs", dtype, ["T", "batch", *layer.input.shape]),
            helper.make_tensor_value_info("lengths", onnx.TensorProto.INT32, ["batch"]),
        ],
        [helper.make_tensor_value_info("ys", dtype, ["T", "batch", width])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    onnx.checker.check_model(model, full_check=True)
    return model


class _Graph:
    """The operators of a model, in the order in which they run."""

    def __init__(self, graph: Any) -> None:
        self.onnx = _needed("to read a model")
        self.graph = graph
        self.constants = {t.name: self.onnx.numpy_helper.to_array(t) for t in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant":
                value = self.onnx.numpy_helper.to_array(node.attribute[0].t)
                self.constants[node.output[0]] = value
        self.makers = {name: node for node in graph.node for name in node.output}

    def read(self) -> tuple[Layer, Params]:
        parts: list[reading.Read] = []
        last = None
        for node in self.graph.node:
            if node.op_type in ("RNN", "LSTM", "GRU"):
                self._check_between(node, last)
                parts.append(self._layer(node))
                last = node
            elif node.op_type not in ("Transpose", "Reshape", "Squeeze", "Identity", "Constant"):
                raise StructureError(
                    f"ONNX: the operator {node.op_type} is none of RNN, LSTM and GRU; hand over a "
                    "model of these alone, or the arrays of one."
                )
        if not parts:
            raise StructureError("ONNX: the model has no operator RNN, LSTM or GRU.")
        return reading.layer_of(parts)

    def _layer(self, node: Any) -> reading.Read:
        settings = {a.name: self.onnx.helper.get_attribute_value(a) for a in node.attribute}
        direction = settings.get("direction", b"forward").decode()
        directions = 2 if direction == "bidirectional" else 1
        names = [name.decode() for name in settings.get("activations", [])]
        self._check(node, settings, direction)
        inputs = dict(zip(("X", "W", "R", "B", "lengths", "h", "c", "P"), node.input, strict=False))
        for what in ("h", "c", "P"):
            self._check_zero(node, what, inputs.get(what, ""))
        arrays = {}
        for name in ("W", "R", "B"):
            if inputs.get(name):
                if inputs[name] not in self.constants:
                    raise StructureError(
                        f"ONNX: {name} of {node.op_type} is no constant of the model, but "
                        f"{inputs[name]!r}, which it computes or is given."
                    )
                arrays[name] = self.constants[inputs[name]]
        peer, activation = node.op_type, None
        if peer == "RNN":
            given = dict.fromkeys(names or ["Tanh"])
            if len(given) > 1 or not given.keys() <= ACTIVATIONS.keys():
                _refuse(node, "activations", " or ".join(ACTIVATIONS), names)
            activation = ACTIVATIONS[next(iter(given))]
        elif names and names != GATES[peer] * directions:
            _refuse(node, "activations", str(GATES[peer]), names)
        if peer == "GRU" and settings.get("linear_before_reset", 0):
            peer = RESET_AFTER
        return reading.directed(
            [
                reading.cell(LIBRARY, {n: a[d] for n, a in arrays.items()}, activation, peer)
                for d in range(directions)
            ]
        )

    def _check(self, node: Any, settings: Mapping[str, Any], direction: str) -> None:
        if direction == "reverse":
            raise StructureError(
                f"ONNX: {node.op_type} has direction=reverse; here that is said where a layer is "
                "run, by unroll(..., reverse=True). Read its arrays alone."
            )
        for name in ("clip", "input_forget", "layout", "activation_alpha", "activation_beta"):
            if settings.get(name):
                _refuse(node, name, "none", settings[name])

    def _check_zero(self, node: Any, what: str, name: str) -> None:
        """Peepholes and an initial state: absent, zero, or an input of the model, but for P."""
        if not name or (name in self.constants and not self.constants[name].any()):
            return
        if what != "P" and name in {i.name for i in self.graph.input}:
            return
        said = "peepholes" if what == "P" else f"the initial {what}"
        raise StructureError(
            f"ONNX: {said} of {node.op_type}, {name!r}, would be lost: it must be absent or zero"
            f"{'' if what == 'P' else ', or an input of the model'}."
        )

    def _check_between(self, node: Any, last: Any) -> None:
        """A layer reads what the one before emits, with its directions side by side."""
        turns, name = [], node.input[0]
        while name in self.makers and self.makers[name] is not last:
            maker = self.makers[name]
            turns.append(self._turn(maker))
            name = maker.input[0]
        if last is None:
            return  # whichever axis is time to whoever runs the model
        if name != last.output[0] or turns not in (["squeeze"], ["merge", "swap"]):
            raise StructureError(
                f"ONNX: {node.op_type} must read what the recurrent operator before it emits, by "
                "Squeeze of axis 1, or Transpose of perm 0 2 1 3 and Reshape to 0 0 -1."
            )

    def _turn(self, node: Any) -> str:
        settings = {a.name: self.onnx.helper.get_attribute_value(a) for a in node.attribute}
        second = self.constants.get(node.input[1]) if len(node.input) > 1 else None
        given = [] if second is None else second.ravel().tolist()
        if node.op_type == "Transpose" and list(settings.get("perm", [])) == [0, 2, 1, 3]:
            return "swap"
        if node.op_type == "Reshape" and given[:2] == [0, 0] and len(given) == 3:
            return "merge"
        if node.op_type == "Squeeze" and (given or list(settings.get("axes", []))) == [1]:
            return "squeeze"
        return node.op_type


def _refuse(node: Any, name: str, wanted: str, found: Any) -> None:
    raise StructureError(
        f"ONNX: {node.op_type} with other {name} than {wanted} has no counterpart, got {found}."
    )


def _needed(why: str) -> Any:
    try:
        import onnx
    except ImportError:
        raise ArgumentError(f"ONNX: {why} takes the package onnx: pip install onnx.") from None
    return onnx


def _loaded(path: str | os.PathLike[str]) -> Any:
    onnx = _needed(f"to read the file {os.fspath(path)!r}")
    try:
        return onnx.load(path)
    except Exception as error:  # that of protobuf, which is not ours to name
        raise ArgumentError(f"ONNX: {os.fspath(path)!r} cannot be read: {error}.") from error


__all__ = ["read", "write"]
