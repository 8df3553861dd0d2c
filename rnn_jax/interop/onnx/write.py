"""Write a layer as a model of ONNX's own operators, one recurrent operator a layer."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.cell import Layer, Params
from rnn_jax.checks import check_layer, check_params
from rnn_jax.combinators.fit import output
from rnn_jax.combinators.stack import LayerStack, stack
from rnn_jax.combinators.tied import Tied
from rnn_jax.errors import DtypeError, StructureError
from rnn_jax.interop import writing
from rnn_jax.interop.layout import Own
from rnn_jax.interop.onnx.drawing import LENGTHS, XS, YS, Drawing, Name
from rnn_jax.interop.onnx.package import needed
from rnn_jax.interop.onnx.table import IR, LIBRARY, OPERATORS, OPSET, operator
from rnn_jax.interop.own import DENSE, EMBEDDING
from rnn_jax.interop.writing import Written
from rnn_jax.layers.dense import Dense, DenseParams
from rnn_jax.layers.dropout import Dropout
from rnn_jax.noise import some_key

Part = list[Written]
"""A layer of one direction, or of two."""
DTYPES = ("float16", "float32", "float64")


def write(layer: Layer, params: Params) -> Any:
    """An `onnx.ModelProto` that has the numbers of `layer`, of ONNX's own operators.

    Inputs: `xs` `(T, batch, D)`, or `(T, batch)` of int64 where an `Embedding` reads tokens;
    `lengths` `(batch,)` of int32, how many steps each sequence has, 0 to T. Outputs: `ys`
    `(T, batch, features)`, zeros where a sequence has ended; and the carry that each recurrent
    layer ends with: `final_h_1` `(directions, batch, H)` is the h of `layers[1]`, and `final_c_1`
    the c of an `LSTM`, by their place in the stack that `read` gives; that of a layer by itself is
    0, and those of `tied` count from the embedding. T and batch are open.

    The carry to begin with is `initial_h_1`, an input that may be left out, which is zeros: of each
    sequence, or with a batch of 1 the same for all. So a sequence may be run in pieces: what is
    `final_` of one is `initial_` of the next.

    A recurrent layer is one operator, its two directions as well: `RNN`, `LSTM`, `GRU`; an
    `Embedding` is a `Gather`, a `Dense` a `MatMul` and an `Add`. A token outside the vocabulary is
    an error of the runtime. What is written is `layer.deterministic()`, the layer as evaluation
    runs it, and layers of dropout are left out, for they do nothing then. `read` gives the layer
    and its params again, to the bit; of a stack of one layer it gives the layer, and of `tied` a
    body that is a `stack`. Takes the package onnx.

    Args:
      layer: An `Elman` of tanh, ReLU, sigmoid or softplus, an `LSTM`, a `GRU`, a
        `ResetBeforeGRU`, a `bidirectional` layer of two of a kind; an `Embedding`; a `Dense` whose
        activation ONNX has; a `stack` of these; or `tied` of such a body.
      params: Its params, float16, float32 or float64; runtimes may know float32 alone.

    Raises:
      StructureError: ONNX has no such layer, or these are no params of it.
      DtypeError: ONNX has no operators of the dtype of the params.
      ArgumentError: The package onnx is not installed.
    """
    parts = writing.written(LIBRARY, *opened(layer, params))
    kind = next(iter(parts[0][0].arrays.values())).dtype
    if kind.name not in DTYPES:
        raise DtypeError(
            f"ONNX: its recurrent operators take {', '.join(DTYPES)}, got params of {kind}; cast "
            "them: optax.tree.cast(params, 'float32')."
        )
    for part in parts:
        _check_directions(part)
    onnx = needed("to write a model")
    reads = layer.input
    drawing = Drawing(np.int64 if reads.kind is jnp.integer else kind, reads.shape)
    drawing.returned(YS, kind, ["T", "batch", *output(layer).shape])
    if isinstance(layer, Tied):
        # One table in the file, where the last layer would have its own.
        drawing.node("Transpose", ["table_0"], f"weight_{len(parts) - 1}", perm=[1, 0])
    rows = XS
    for index, part in enumerate(parts):
        rows = DRAW.get(part[0].layout.own, _recurrent)(drawing, index, part, rows)
    if parts[-1][0].layout.own in DRAW:
        drawing.blank(rows, kind, YS)
    else:
        drawing.node("Identity", [rows], YS)
    model = onnx.helper.make_model(
        drawing.graph(), opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def opened(layer: Layer, params: Params) -> tuple[Layer, Params]:
    """The layer without its noise and its layers of dropout, a `Tied` with its table twice."""
    check_layer(f"{LIBRARY.name}: write", layer)
    check_params(layer, params, None)
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(params)):
        raise StructureError(
            "ONNX: a model holds numbers, and under jit or grad the params have none; write "
            "outside of it."
        )
    layer = layer.deterministic()
    parts = [(one, own) for one, own in _parts(layer, params) if not isinstance(one, Dropout)]
    if len(parts) < 2:
        return parts[0] if parts else (layer, params)
    layers, all_params = zip(*parts, strict=True)
    return stack(*layers), all_params


def _parts(layer: Layer, params: Params) -> list[tuple[Layer, Params]]:
    """Layer by layer, from the one that reads the input."""
    if isinstance(layer, Tied):
        embedding, body = layer.layer.layers
        own, inside = params.layer
        scores = Dense(embedding.features, embedding.vocabulary_size)
        above = (scores, DenseParams(own.w.T, params.b))
        return [(embedding, own), *_parts(body, inside), above]
    if isinstance(layer, LayerStack):
        return list(zip(layer.layers, params, strict=True))
    return [(layer, params)]


def _embedding(drawing: Drawing, index: int, part: Part, tokens: Name) -> Name:
    """Rows of the table, times its scale."""
    del tokens  # an embedding reads what the model reads
    ((embedding, _, arrays),) = part
    reads = [
        drawing.constant(f"table_{index}", arrays["table"]),
        drawing.tokens(embedding.vocabulary_size),
    ]
    rows = drawing.node("Gather", reads, f"rows_{index}", axis=0)
    if embedding.scale == 1:
        return rows
    # All digits of the setting, rounded where it is used, as JAX does.
    scale = drawing.constant(f"scale_{index}", np.float64(embedding.scale))
    factor = drawing.node("CastLike", [scale, rows], f"factor_{index}")
    return drawing.node("Mul", [rows, factor], f"ys_{index}")


def _dense(drawing: Drawing, index: int, part: Part, rows: Name) -> Name:
    """A matmul, its bias, its activation."""
    ((dense, _, arrays),) = part
    weight, bias = (drawing.constant(f"{name}_{index}", array) for name, array in arrays.items())
    product = drawing.node("MatMul", [rows, weight], f"product_{index}")
    summed = drawing.node("Add", [product, bias], f"sum_{index}")
    if dense.activation is None:
        return summed
    (name,) = (name for name, known in OPERATORS.items() if known == dense.activation)
    kind, settings = operator(name)
    return drawing.node(kind, [summed], f"ys_{index}", **settings)


def _recurrent(drawing: Drawing, index: int, part: Part, rows: Name) -> Name:
    """One operator for both directions, from the carry that is given to the one that is left."""
    layout, cell = part[0].layout, part[0].cell
    kind, settings = operator(layout.peer)
    settings["hidden_size"] = cell.hidden_size
    settings["direction"] = "bidirectional" if len(part) > 1 else "forward"
    if layout.activations:
        names = {value: name for name, value in layout.activations.items()}
        settings["activations"] = [names[one.cell.activation] for one in part]
    arrays = {
        array.name: np.stack([one.arrays[array.name] for one in part]) for array in layout.arrays
    }
    dtype = arrays["W"].dtype
    weights = [drawing.constant(f"{name}_{index}", array) for name, array in arrays.items()]
    states = [f"{name}_{index}" for name in _carry(cell)._fields]
    shape = len(part), cell.hidden_size
    befores = [_initial(drawing, state, dtype, *shape) for state in states]
    afters = [f"last_{state}" for state in states]
    drawing.node(kind, [rows, *weights, LENGTHS, *befores], f"apart_{index}", *afters, **settings)
    for state, before, after in zip(states, befores, afters, strict=True):
        # A sequence without a step keeps its carry, where ONNX says nothing and runtimes say 0.
        drawing.node("Where", [drawing.begun, after, before], f"final_{state}")
        drawing.returned(f"final_{state}", dtype, [len(part), "batch", cell.hidden_size])
    return _side_by_side(drawing, index, *shape)


def _check_directions(part: Part) -> None:
    """Raise for two directions that one operator has not."""
    forms = {(one.layout, getattr(one.cell, "hidden_size", None)) for one in part}
    if len(forms) > 1:
        raise StructureError(
            f"ONNX: both directions of a layer must be of one kind and size, got "
            f"{' and '.join(repr(one.cell) for one in part)}."
        )
    if len(part) > 1 and part[0].layout.own in DRAW:
        raise StructureError(
            f"ONNX: {part[0].cell!r} has no memory, so that there are no two directions of it; "
            "write a layer whose forward and backward are recurrent."
        )


def _carry(cell: Any) -> Any:
    """The form of its carry."""
    return jax.eval_shape(lambda key: cell.initial_carry(cell.init(key)), some_key())


def _initial(drawing: Drawing, state: str, dtype: Any, directions: int, hidden: int) -> Name:
    """A carry for each sequence, of the one that is given: zeros unless somebody does."""
    zeros = np.zeros((directions, 1, hidden), dtype)
    name = drawing.constant(f"initial_{state}", zeros)
    drawing.given(name, dtype, [directions, "batch_or_1", hidden])
    return drawing.node("Expand", [name, drawing.each_row], f"first_{state}")


def _side_by_side(drawing: Drawing, index: int, directions: int, hidden: int) -> Name:
    """`(T, directions, batch, H)` to `(T, batch, directions * H)`."""
    apart = f"apart_{index}"
    if directions == 1:
        return drawing.node("Squeeze", [apart, drawing.constant("axis_1", [1])], f"ys_{index}")
    turned = drawing.node("Transpose", [apart], f"turned_{index}", perm=[0, 2, 1, 3])
    shape = drawing.constant(f"shape_{index}", [0, 0, directions * hidden])
    return drawing.node("Reshape", [turned, shape], f"ys_{index}")


DRAW: dict[Own, Callable[[Drawing, int, Part, Name], Name]] = {EMBEDDING: _embedding, DENSE: _dense}
"""How a layer without memory is drawn; all others are recurrent."""

__all__ = ["write"]
