"""The closed table of names: what a folder may speak of. Nothing is imported by a name.

A name is looked up among the public names of the package and of `jax.numpy` and `jax.nn`, and among
those that the user hands over. Of these only what cannot do anything but make a value or compute
with arrays is in the table: whoever writes a folder chooses which of its functions will be called.
"""

import dataclasses
import functools
import inspect
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.arguments.settings import function, short
from rnn_jax.errors import ArgumentError

_rooms: list[ModuleType] = []


def publish(*modules: ModuleType) -> None:
    """Let folders speak of the public names of these modules, and of the modules among them."""
    _rooms.extend(modules)
    _table.cache_clear()


class Names:
    """The table of a call: the public names, and those that the user hands over.

    Raises:
      ArgumentError: `own` is no dictionary of functions and classes, or has a name that is public.
    """

    def __init__(self, caller: str, own: Mapping[str, Any] | None) -> None:
        own = {} if own is None else own
        if not isinstance(own, Mapping):
            raise ArgumentError(
                f"{caller}: names must be a dictionary, {{'MyCell': MyCell}}, got {short(own)}."
            )
        for name, value in own.items():
            if not isinstance(name, str) or name in _table():
                raise ArgumentError(
                    f"{caller}: names: {name!r} must be a string, and none of the public names of "
                    "rnn_jax, jax.nn and jax.numpy."
                )
            function(f"{caller}: names[{name!r}]", value)
        self._values = {**_table(), **own}
        self._names: dict[Any, str] = {}
        for name, value in self._values.items():
            self._names.setdefault(value, name)

    def of(self, value: Any) -> str | None:
        """The name of a function or a class; None without one."""
        try:
            return self._names.get(value)
        except TypeError:  # what cannot be hashed is in no table
            return None

    def find(self, name: Any) -> Any:
        """What has a name; None if nothing has."""
        return self._values.get(name) if isinstance(name, str) else None


def has_settings(kind: Any) -> bool:
    """Whether it is a class whose values are their settings: a dataclass or a NamedTuple."""
    return isinstance(kind, type) and (dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"))


def settings(kind: Any) -> list[str]:
    """The names of the settings of such a class."""
    if hasattr(kind, "_fields"):
        return list(kind._fields)
    return [field.name for field in dataclasses.fields(kind) if field.init]


@functools.cache
def _table() -> dict[str, Any]:
    found: dict[str, Any] = {}
    # `jnp.tanh` is `jax.nn.tanh`: the first name counts.
    for module, allowed in ((jnp, _is_compiled), (jax.nn, _is_a_function)):
        for name, value in sorted(vars(module).items()):
            if not name.startswith("_") and allowed(value):
                found[f"{module.__name__}.{name}"] = value
    for module in _rooms:
        found.update(_public(module))
    return found


def _public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    for name in module.__all__:
        value = vars(module).get(name)  # getattr would load what a room imports when it is asked
        if inspect.ismodule(value):
            yield from _public(value)
        elif _is_a_value_class(value) or _is_of_arrays(value):
            yield f"{module.__name__}.{name}", value


def _is_compiled(value: Any) -> bool:
    """A function that JAX traces, which leaves out `save`, `load` and their like."""
    return isinstance(value, jax.stages.Wrapped | jnp.ufunc | jax.custom_jvp)


def _is_a_function(value: Any) -> bool:
    return inspect.isfunction(value) or _is_compiled(value)


def _is_a_value_class(value: Any) -> bool:
    return has_settings(value) and not inspect.isabstract(value)


def _is_of_arrays(value: Any) -> bool:
    """A function that makes an array, by its annotation: it reads no file and sets no switch."""
    return inspect.isfunction(value) and value.__annotations__.get("return") is jax.Array
