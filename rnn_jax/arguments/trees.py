"""The form of a pytree in words, and where two of them differ."""

from typing import Any, NamedTuple

import jax


class Difference(NamedTuple):
    """The first place where a pytree is not of the form that was expected."""

    path: str
    """Such as `[1].layer`; empty at the top."""
    expected: str
    got: str


def form(tree: Any) -> str:
    """The nesting of a pytree by name: `(EmbeddingParams(w), LSTMParams(w_xh, w_hh, b_h))`."""
    if hasattr(tree, "_fields"):
        return f"{type(tree).__name__}({', '.join(tree._fields)})"
    if isinstance(tree, list):
        return f"[{', '.join(map(form, tree))}]"
    if isinstance(tree, tuple):
        return f"({', '.join(map(form, tree))}{',' if len(tree) == 1 else ''})"
    if isinstance(tree, dict):
        return f"{{{', '.join(f'{k}: {form(v)}' for k, v in tree.items())}}}"
    return "array" if hasattr(tree, "shape") else type(tree).__name__


def difference(expected: Any, tree: Any) -> Difference | None:
    """Where `tree` first differs in form, or None."""
    return _difference("", expected, tree)


def _difference(path: str, expected: Any, tree: Any) -> Difference | None:
    wanted: Any = jax.tree.structure(expected)
    came: Any = jax.tree.structure(tree)
    if wanted == came:
        return None
    if wanted.node_data() != came.node_data() or len(wanted.children()) != len(came.children()):
        return Difference(path, *_apart(expected, tree))
    for step, one, other in zip(_steps(expected), _inside(expected), _inside(tree), strict=True):
        found = _difference(f"{path}{step}", one, other)
        if found is not None:
            return found
    return Difference(path, *_apart(expected, tree))


def _inside(tree: Any) -> list[Any]:
    """The children of a node."""
    return jax.tree.leaves(tree, is_leaf=lambda node: node is not tree)


def _steps(tree: Any) -> list[str]:
    """The path to each child."""
    inside = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda node: node is not tree)
    return [jax.tree_util.keystr(path) for path, _ in inside]


def _apart(expected: Any, tree: Any) -> tuple[str, str]:
    wanted, came = form(expected), form(tree)
    if wanted == came and type(expected) is not type(tree):
        # As after a module was loaded anew: the names say nothing.
        came = f"another class of that name, {type(tree).__module__}.{type(tree).__qualname__}"
    return wanted, came
