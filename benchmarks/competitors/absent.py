"""A competitor that cannot take part, and why."""

import importlib
from types import ModuleType


class Absent(Exception):
    """Not installed, or without such a cell, or too large for this machine."""


def needed(module: str, distribution: str | None = None) -> ModuleType:
    """The module, imported."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Absent(f"not installed: pip install {distribution or module}") from error
