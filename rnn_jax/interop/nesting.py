"""Dictionaries in dictionaries, and one with long names."""

from collections.abc import Mapping
from typing import Any


def nested(arrays: Mapping[Any, Any], above: str = "") -> dict[str, Any]:
    """Dictionaries in dictionaries as one, with a slash between their names."""
    found: dict[str, Any] = {}
    for name, value in arrays.items():
        if isinstance(value, Mapping):
            found |= nested(value, f"{above}{name}/")
        else:
            found[f"{above}{name}"] = value
    return found


def unnested(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """And back."""
    found: dict[str, Any] = {}
    for full, value in arrays.items():
        *above, name = full.split("/")
        inside = found
        for part in above:
            inside = inside.setdefault(part, {})
        inside[name] = value
    return found
