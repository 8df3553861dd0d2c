"""Pickling of values: functions are stored by the name under which another process finds them.

JAX's own functions, such as `jax.nn.relu` and `jnp.tanh`, are objects that pickle cannot take.
"""

import dataclasses
import functools
import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class _Named(NamedTuple):
    module: str
    name: str


def reduced(value: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """What `__reduce__` of a frozen dataclass returns: the value is made anew, and looked at."""
    fields = dataclasses.fields(value)
    return _rebuilt, (type(value), {f.name: _named(getattr(value, f.name)) for f in fields})


def _rebuilt(kind: type, settings: dict[str, Any]) -> Any:
    return kind(**{name: _found(setting) for name, setting in settings.items()})


def _named(setting: Any) -> Any:
    """A function by its name, public if there is one; anything else as it is."""
    if not callable(setting) or isinstance(setting, type):
        return setting
    own = getattr(setting, "__module__", None)
    name = getattr(setting, "__qualname__", None) or getattr(setting, "__name__", None)
    for module in (jax.numpy.__name__, jax.nn.__name__, jax.lax.__name__, own):
        if module and name and _is_at(_Named(module, name), setting):
            return _Named(module, name)
    return setting


def _found(setting: Any) -> Any:
    return _look_up(setting) if isinstance(setting, _Named) else setting


def _is_at(place: _Named, setting: Any) -> bool:
    try:
        return _look_up(place) is setting
    except (ImportError, AttributeError):
        return False


def _look_up(place: _Named) -> Any:
    module = importlib.import_module(place.module)
    return functools.reduce(getattr, place.name.split("."), module)
