"""Every public name, found from `__all__` downward, and the file that defines it."""

import ast
import functools
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import rnn_jax


class Public(NamedTuple):
    """What a user can write behind `import rnn_jax`."""

    path: str
    """`rnn_jax.analysis.gradient_map`."""
    value: Any
    home: str
    """The module that defines it; of a module, itself."""
    line: int
    """Where in it."""
    note: str
    """The string below its assignment, which documents what has no docstring of its own."""

    @property
    def name(self) -> str:
        """`gradient_map`."""
        return self.path.rpartition(".")[2]

    @property
    def short(self) -> str:
        """As it is written after `rnn.`: `analysis.gradient_map`."""
        return self.path.partition(".")[2]

    @property
    def is_data(self) -> bool:
        """Whether it is documented where it is assigned, as a type or a table is."""
        return self.value is Any or not (
            inspect.ismodule(self.value) or inspect.isclass(self.value) or callable(self.value)
        )

    @property
    def summary(self) -> str:
        """The first paragraph of what is said of it."""
        text = self.note if self.is_data else inspect.getdoc(self.value) or ""
        return " ".join(text.split("\n\n")[0].split())


@functools.cache
def source_of(module: str) -> ast.Module:
    """A module, parsed."""
    path = importlib.import_module(module).__file__
    assert path is not None
    return ast.parse(Path(path).read_text(encoding="utf-8"))


def definition(module: str, name: str) -> tuple[str, int, str]:
    """(module, line, note) of the statement that makes a name, through all imports of it."""
    tree = source_of(module)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    assert node.module, f"{module}: a relative import of {name}"
                    return definition(node.module, alias.name)
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        names = [getattr(node, "name", None), *(getattr(t, "id", None) for t in targets)]
        if name in names:
            below = after.value if isinstance(after, ast.Expr) else None
            text = below.value if isinstance(below, ast.Constant) else ""
            return module, node.lineno, text if isinstance(text, str) else ""
    raise LookupError(f"{module} has {name} in __all__, and no statement that makes it.")


def inside(module: ModuleType) -> Iterator[Public]:
    """The names of a module and of the modules among them."""
    for name in module.__all__:
        value, path = getattr(module, name), f"{module.__name__}.{name}"
        if inspect.ismodule(value):
            yield Public(path, value, value.__name__, 0, "")
            if hasattr(value, "__all__"):
                yield from inside(value)
        else:
            yield Public(path, value, *definition(module.__name__, name))


@functools.cache
def public_names() -> tuple[Public, ...]:
    """All of them, those of the top first."""
    return tuple(inside(rnn_jax))


@functools.cache
def by_text() -> dict[str, str]:
    """{what is written in backticks: the path that it means}, where it means one thing.

    A name of the top is meant before one of a room. Two rooms that have the same name need theirs
    said, as do `read` and `write`.
    """
    found: dict[str, str] = {}
    for public in public_names():
        for text in (public.path, public.short, f"rnn.{public.short}"):
            found[text] = public.path
    for name in {public.name for public in public_names()} - found.keys():
        paths = [public.path for public in public_names() if public.name == name]
        depth = min(path.count(".") for path in paths)
        nearest = [path for path in paths if path.count(".") == depth]
        if len(nearest) == 1:
            found[name] = nearest[0]
    return found
