"""A layer as JSON and back: classes and functions by name, settings by value.

============================ ==================================================
a value                      is written as
============================ ==================================================
None, a bool, a number, text itself
a tuple                      a list
a dataclass, a NamedTuple    `{"class": name, setting: value, ...}`
a function                   `{"name": name}`
============================ ==================================================
"""

import math
from typing import Any

from rnn_jax.arguments.settings import short
from rnn_jax.errors import ArgumentError, StructureError
from rnn_jax.sharing.names import Names, has_settings, settings


def described(value: Any, names: Names, place: str) -> Any:
    """What JSON can hold of a value; `place` is where it is, in words.

    Raises:
      StructureError: It has no name, or is no value by its settings.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if type(value) is tuple:
        return [described(one, names, f"{place}[{i}]") for i, one in enumerate(value)]
    name = names.of(value)
    if name is not None:
        return {"name": name}
    kind = type(value)
    name = names.of(kind)
    if name is None and (callable(value) or has_settings(kind)):
        raise StructureError(
            f"{place}, {short(value)}, has no public name, and nothing but names and numbers is "
            "written; take a function of jax.nn or jax.numpy, or a class of rnn_jax, or give yours "
            "a name, here and where it is loaded: names={'mine': ...}."
        )
    if name is None or not has_settings(kind):
        raise StructureError(
            f"{place} is {short(value)}, which cannot be written: a setting is a number, a text, a "
            "function, a dataclass, or a tuple of them."
        )
    fields = {field: getattr(value, field) for field in settings(kind)}
    return {
        "class": name,
        **{field: described(one, names, f"{place}.{field}") for field, one in fields.items()},
    }


def made(description: Any, names: Names, place: str) -> Any:
    """The value that was described; `place` is where it is, in words.

    Raises:
      ArgumentError: It speaks of a name that is not in the table, or of settings that make no such
        value.
    """
    if description is None or isinstance(description, bool | str | int | float):
        return description
    if isinstance(description, list):
        return tuple(made(one, names, f"{place}[{i}]") for i, one in enumerate(description))
    if description.keys() == {"name"}:
        return _found(description["name"], names, place)
    if "class" not in description:
        raise ArgumentError(
            f"{place} must be a value by its class, {{'class': ...}}, or by its name, "
            f"{{'name': ...}}, got the keys {', '.join(map(repr, description)) or 'of none'}."
        )
    kind = _found(description["class"], names, place)
    if not has_settings(kind):
        raise ArgumentError(f"{place}: {description['class']!r} is no class of values.")
    given = {
        field: made(one, names, f"{place}.{field}")
        for field, one in description.items()
        if field != "class"
    }
    try:
        return kind(**given)
    except Exception as error:  # the class may be a user's own
        said = str(error).rstrip(".")
        raise ArgumentError(
            f"{place}: these settings make no {description['class']}: {said}."
        ) from error


def _found(name: Any, names: Names, place: str) -> Any:
    found = names.find(name)
    if found is None:
        raise ArgumentError(
            f"{place} speaks of {name!r}, which is no public name of rnn_jax, jax.nn or jax.numpy "
            "that may stand in a folder, and nothing else is looked up; if it is a class or a "
            f"function of yours, hand it over: names={{{name!r}: ...}}."
        )
    return found
