"""The package as a whole: what it exports, what importing it costs, who may import whom."""

import ast
import importlib
import importlib.util
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import rnn_jax

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "rnn_jax"

# The house, from the ground up: each part, and the parts that it may import.
GROUND = ["errors", "arguments", "devices", "process", "recurrence"]
CONTRACT = [*GROUND, "cell", "methods"]
SHARED = ["arithmetic", "initializers", "noise"]
CORE = [*CONTRACT, *SHARED, "cells", "layers", "combinators", "checks", "unroll", "attention"]
USES = ["losses", "seq2seq", "serving", "sharing", "training", "decoding", "batching", "tasks"]
USES += ["analysis", "interop", "words", "placement"]
MAY_IMPORT = {
    "errors": [],
    "arguments": ["errors"],
    "devices": ["errors", "arguments", "recurrence"],
    "process": [],
    "recurrence": [],
    "cell": GROUND,
    "methods": GROUND,
    "arithmetic": ["errors", "arguments", "devices"],
    "initializers": [*GROUND, "cell", "arithmetic"],
    "noise": [*GROUND, "cell"],
    "cells": [*CONTRACT, *SHARED],
    "layers": [*CONTRACT, *SHARED],
    "combinators": [*CONTRACT, *SHARED, "layers"],
    "checks": [*GROUND, "cell", "noise"],
    "unroll": [*CONTRACT, "checks"],
    "placement": [*GROUND, "cell", "noise", "checks", "unroll"],
    "attention": [*CONTRACT, *SHARED, "layers", "combinators", "checks"],
    "losses": ["errors", "arguments", "arithmetic"],
    "seq2seq": [*CORE, "losses"],
    "serving": [*CONTRACT, "checks", "unroll"],
    "sharing": [*CONTRACT, "noise", "checks", "combinators"],
    "training": [*CONTRACT, "checks", "unroll", "losses"],
    "decoding": [*CONTRACT, "arithmetic", "checks", "unroll"],
    "batching": [*GROUND, "cell"],
    "tasks": ["errors", "arguments"],
    "analysis": [*CORE, "losses"],
    "words": CORE,
    "interop": CORE,
    "__init__": [*CORE, *USES],
    "language": [*CORE, *USES, "__init__"],  # a user of the library, as any
    "__main__": ["errors", "process", "language", "__init__"],
}

# What `import rnn_jax` must leave alone, for each costs more than all of rnn_jax, and the folders
# that may import it: they are for those who use the command line, the plots or the adapters.
HEAVY = {
    "equinox": ["interop"],
    "flax": ["interop"],
    "haiku": ["interop"],
    "keras": ["interop"],
    "matplotlib": ["language", "analysis/plots"],
    "onnx": ["interop"],
    "orbax": ["language"],
    "safetensors": ["interop", "sharing"],
    "torch": ["interop"],
    "tqdm": ["language"],
}


def part_of(module):
    """'rnn_jax.cells.lstm' -> 'cells', 'rnn_jax' -> '__init__'."""
    return [*module.split("."), "__init__"][1]


def imported_parts(source, module, is_package=False):
    """The parts of rnn_jax that the source of a module imports, at its top or anywhere inside."""
    package = module if is_package else module.rpartition(".")[0]
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            # `from rnn_jax import cell` names the part in its list
            names |= {f"{base}.{alias.name}" for alias in node.names}
    parts = set()
    for name in names:
        if name.split(".")[0] == "rnn_jax":
            part = part_of(name)
            parts.add(part if part in MAY_IMPORT or is_module(part) else "__init__")
    return parts


def is_module(part):
    return (PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").is_file()


SOURCES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_upward(path):
    is_package = path.name == "__init__.py"
    names = path.relative_to(ROOT).with_suffix("").parts
    module = ".".join(names[:-1] if is_package else names)
    part = part_of(module)
    assert part in MAY_IMPORT, f"{part} has no place in the house: give it one in MAY_IMPORT"
    downward = imported_parts(path.read_text(), module, is_package) - {part, *MAY_IMPORT[part]}
    assert not downward, f"{module} imports {sorted(downward)}"


def test_what_an_import_is():
    source = """
import jax
from rnn_jax import cell, Elman
from ..methods.scan import Scan
def late():
    import rnn_jax.language.train
    from . import lstm
"""
    parts = imported_parts(source, "rnn_jax.cells.gru")
    assert parts == {"cell", "__init__", "methods", "language", "cells"}
    assert imported_parts("from .cells import LSTM", "rnn_jax", is_package=True) == {"cells"}


def imported_packages(statements):
    """The packages that these statements import, at the top of a module or anywhere inside."""
    names = set()
    for statement in statements:
        for node in ast.walk(statement):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module or "")
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_is_heavy_is_imported_in_few_places(path):
    body = ast.parse(path.read_text()).body
    for package in imported_packages(body) & HEAVY.keys():
        homes = [PACKAGE / folder for folder in HEAVY[package]]
        assert any(path.is_relative_to(home) for home in homes), f"{package} is not for {path}"
    at_the_top = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert "matplotlib" not in imported_packages(at_the_top), "it is an extra: import it to draw"


def test_importing_is_light():
    program = f"import sys, rnn_jax; print(*[m for m in {[*HEAVY]} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [], "import rnn_jax pulls these in"


def public_modules():
    for info in pkgutil.walk_packages(rnn_jax.__path__, "rnn_jax."):
        if not info.name.endswith("__main__"):
            module = importlib.import_module(info.name)
            if hasattr(module, "__all__"):
                yield module
    yield rnn_jax


def test_public_names_exist_and_are_documented():
    assert rnn_jax.__all__
    for module in public_modules():
        assert len(set(module.__all__)) == len(module.__all__), f"{module.__name__}: named twice"
        for name in module.__all__:
            assert hasattr(module, name), f"{module.__name__}.__all__ names {name}, which is absent"
            value = getattr(module, name)
            if inspect.isclass(value) or callable(value) or inspect.ismodule(value):
                # what NamedTuple and dataclass write themselves documents nothing
                text = inspect.getdoc(value) or ""
                undocumented = not text or text.startswith(f"{name}(")
                assert not undocumented, f"{module.__name__}.{name} has no docstring"


def test_types_are_shipped():
    assert (PACKAGE / "py.typed").is_file()
