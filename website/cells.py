"""What a page of a cell has more: its arrays at some size, its gates, its names elsewhere."""

import dataclasses
import inspect
import math
from types import ModuleType
from typing import Any

import jax

import rnn_jax
from rnn_jax import interop
from rnn_jax.interop.description import gate_order
from website.names import Public
from website.rst import table

SIZES = (64, 32, 16)
"""Of the example, in the order of a cell's settings; each divides the one before."""

LIBRARIES = [
    module.LIBRARY
    for module in map(interop.__dict__.get, interop.__all__)
    if isinstance(module, ModuleType) and hasattr(module, "LIBRARY")
]


def more(public: Public) -> list[str]:
    """The tables of a cell; nothing of what is none, or is to be derived from."""
    kind = public.value
    is_cell = inspect.isclass(kind) and issubclass(kind, rnn_jax.Cell)
    if not is_cell or inspect.isabstract(kind) or not public.home.startswith("rnn_jax.cells."):
        return []
    return [*arrays(kind), *gates(kind), *elsewhere(kind)]


def example(kind: type) -> Any:
    """A cell of the sizes above."""
    needed = [f for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING and f.init]
    needed = [f for f in needed if f.default_factory is dataclasses.MISSING]
    return kind(*SIZES[: len(needed)])


def arrays(kind: type) -> list[str]:
    """What it learns and what it carries, with the number of numbers."""
    cell = example(kind)
    params = jax.eval_shape(cell.init, jax.random.key(0))
    carry = jax.eval_shape(cell.initial_carry, params)
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
    text = f"The arrays of ``{cell!r}``, {count:,} numbers to learn, and what it carries:"
    rows = [("params", *named) for named in leaves(params)]
    rows += [("carry", *named) for named in leaves(carry)]
    return [".. rubric:: Shapes", text, table(["", "array", "shape"], rows)]


def leaves(tree: Any) -> list[tuple[str, str]]:
    """(name, shape) of every array."""
    paths, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [
        (f"`{jax.tree_util.keystr(path, simple=True, separator='.')}`", f"`{leaf.shape}`")
        for path, leaf in paths
    ]


def gates(kind: type) -> list[str]:
    """The blocks on the last axis of its weights, in their order."""
    names = getattr(kind, "gates", ())
    if not names:
        return []
    order = ", ".join(names)
    return [".. rubric:: Gates", f"Side by side on the last axis of the weights: {order}."]


def elsewhere(kind: type) -> list[str]:
    """The cells of other libraries that have the same numbers, and how they order the gates."""
    rows = [
        (library.name, layout.peer, gate_order(layout))
        for library in LIBRARIES
        for layout in library.layouts
        if layout.own.cell is kind
    ]
    if not rows:
        return []
    text = "What has the same numbers, and is read and written by :doc:`interop </docs/interop>`."
    if any("-" in order for *_, order in rows):
        text += " A minus before a gate: theirs is 1 minus ours."
    return [".. rubric:: In other libraries", text, table(["library", "cell", "gates"], rows)]
