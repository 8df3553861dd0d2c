"""What a page of a cell has more than its docstring.

Its equations as they are set in print, its gates, its arrays at some size, how far its gradient
reaches, how fast it is, and its names elsewhere.
"""

import dataclasses
import inspect
import math
from types import ModuleType
from typing import Any

import jax

import rnn_jax
from rnn_jax import interop
from rnn_jax.interop.description import gate_order
from website.equations import equations
from website.names import Public, public_names
from website.rst import table
from website.speed import speed

SIZES = (64, 32, 16)
"""Of the example, in the order of a cell's settings; each divides the one before."""

LIBRARIES = [
    module.LIBRARY
    for module in map(interop.__dict__.get, interop.__all__)
    if isinstance(module, ModuleType) and hasattr(module, "LIBRARY")
]


def is_cell(public: Public) -> bool:
    """Whether it is a cell of ours, and not one to be derived from."""
    kind = public.value
    if not inspect.isclass(kind) or not issubclass(kind, rnn_jax.Cell):
        return False
    return not inspect.isabstract(kind) and public.home.startswith("rnn_jax.cells.")


def more(public: Public) -> list[str]:
    """All of it; nothing of what is no cell."""
    if not is_cell(public):
        return []
    parts = (typeset, gates, arrays, reach, speed, elsewhere)
    return [text for part in parts for text in part(public.value)]


def pictures() -> dict[str, bytes]:
    """{file: PNG} of what the pages show of gradients."""
    from website.gradients import picture  # draws, which those who only read pages need not

    plain = example(rnn_jax.Elman)
    cells = [public.value for public in public_names() if is_cell(public)]
    return {picture_of(kind): picture(example(kind), plain) for kind in cells}


def picture_of(kind: type) -> str:
    """Where in the site it is."""
    return f"gradients/{kind.__name__}.png"


def example(kind: type) -> Any:
    """A cell of the sizes above."""
    needed = [f for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING and f.init]
    needed = [f for f in needed if f.default_factory is dataclasses.MISSING]
    return kind(*SIZES[: len(needed)])


def typeset(kind: type) -> list[str]:
    """The equations of its docstring, a line each; those that cannot be set as they are there."""
    names = {field.name for field in dataclasses.fields(kind)}
    names |= {name.strip("`").split(".")[-1] for name, _ in leaves(shapes(kind)[0])}
    lines = [
        f"| :math:`{latex}`" if latex else f"| ``{code}``" for code, latex in equations(kind, names)
    ]
    return [".. rubric:: Equations", "\n".join(lines)] if lines else []


def shapes(kind: type) -> tuple[Any, Any]:
    """Its params and its carry, as shapes."""
    cell = example(kind)
    params = jax.eval_shape(cell.init, jax.random.key(0))
    return params, jax.eval_shape(cell.initial_carry, params)


def arrays(kind: type) -> list[str]:
    """What it learns and what it carries, with the number of numbers."""
    params, carry = shapes(kind)
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
    text = f"The arrays of ``{example(kind)!r}``, {count:,} numbers to learn, and what it carries:"
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


def reach(kind: type) -> list[str]:
    """How far back its gradient reaches."""
    text = (
        f"How far back the gradient of one step's loss reaches in ``{example(kind)!r}``, fresh "
        "from ``init``, reading noise: ``gradient_by_lag``, the median and the quartiles."
    )
    alt = f"The norm of the gradient in {kind.__name__} at each lag, over that at lag 0"
    return [".. rubric:: Gradient", text, f".. image:: /{picture_of(kind)}\n   :alt: {alt}"]


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
