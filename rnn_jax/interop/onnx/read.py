"""Read a model of ONNX: follow what it returns back to what it reads, layer by layer."""

import collections
import os
from collections.abc import Mapping
from typing import Any

from rnn_jax.arguments.settings import short
from rnn_jax.cell import Cell, Layer, Params
from rnn_jax.combinators.stack import Stack
from rnn_jax.combinators.tied import TiedParams, tied
from rnn_jax.errors import ArgumentError, StructureError
from rnn_jax.interop import reading
from rnn_jax.interop.activation import Activation
from rnn_jax.interop.onnx.chain import TURNS, Between, chain
from rnn_jax.interop.onnx.graph import Graph
from rnn_jax.interop.onnx.operators import dense_of, embedding_of, is_blank, recurrent_of
from rnn_jax.interop.onnx.package import loaded
from rnn_jax.interop.onnx.table import LIBRARY, RECURRENT
from rnn_jax.layers.dense import Dense
from rnn_jax.layers.embedding import Embedding


def read(source: Any, *, activation: Activation | None = None) -> tuple[Layer, Params]:
    """The layer and the params that an ONNX model is.

    The model is a chain: an `Embedding` (`Gather` of a constant, perhaps times a number), recurrent
    layers, whose directions lie side by side for the next one, and `Dense` layers (`MatMul` and
    `Add` of constants, perhaps an activation), each as often as you like, as `write` makes them and
    exporters of other libraries do. Final carries may be outputs as well. Where the last `Dense`
    has the table of the embedding, the model is `tied`, its body a `stack`. Initialisers are the
    default ones, for a file has none.

    Args:
      source: An `onnx.ModelProto` or the path of one, for which the package onnx must be
        installed. Or the arrays of one layer by name, those of the table in docs/interop.md, such
        as W, R and B of one direction, without their axis of directions.
      activation: That of an `RNN` or of a matmul, where only its arrays are handed over.

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
        source = loaded(source)
    if not hasattr(source, "graph"):
        raise StructureError(
            f"ONNX: read needs a model, the path of one, or arrays by name, got {short(source)}."
        )
    return _of(Graph(source.graph))


def _of(graph: Graph) -> tuple[Layer, Params]:
    nodes = chain(graph)
    parts: list[reading.Read] = []
    left, between = collections.deque(nodes), Between(graph)
    while left:
        node = left.popleft()
        if node.op_type in RECURRENT:
            between.check(node)
            parts.append(recurrent_of(graph, node))
        elif node.op_type == "Gather":
            parts.append(embedding_of(graph, node, left))
            between.check(node)
        elif node.op_type == "MatMul":
            between.check(node)
            parts.append(dense_of(graph, node, left))
        elif node.op_type in TURNS:
            between.turns.append(node)
        elif not is_blank(graph, node):
            raise StructureError(
                f"ONNX: the operator {node.op_type} is none of "
                f"{', '.join((*RECURRENT, 'Gather', 'MatMul'))}, nor stands behind one as their "
                "bias or activation does; hand over a model of these alone, or the arrays of one."
            )
    if not parts:
        raise StructureError(
            f"ONNX: the model has no operator {', '.join(RECURRENT)}, Gather or MatMul."
        )
    return _tied(parts) if _shares_table(graph, nodes) else reading.layer_of(parts)


def _shares_table(graph: Graph, nodes: list[Any]) -> bool:
    """Whether the last layer scores by the table that the first one looks up."""
    tables = [graph.source(node.input[0])[1] for node in nodes if node.op_type == "Gather"]
    weights = [graph.source(node.input[1]) for node in nodes if node.op_type == "MatMul"]
    return bool(tables) and weights[-1:] == [(True, table) for table in tables]


def _tied(parts: list[reading.Read]) -> reading.Read:
    """A stack as `tied`, where it can be one; else as it is, with the table twice."""
    (embedding, first), *body, (scores, last) = parts
    cells = [layer for layer, _ in body]
    if (
        not isinstance(embedding, Embedding)
        or not isinstance(scores, Dense)
        or scores.activation is not None
        or not cells
        or not all(isinstance(layer, Cell) for layer in cells)
    ):
        return reading.layer_of(parts)
    params = tuple(own for _, own in body)
    return tied(embedding, Stack(tuple(cells))), TiedParams((first, params), last.b)


__all__ = ["read"]
