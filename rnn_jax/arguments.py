"""What a user hands over as a setting: the value that the library works with, or a sentence.

A rule is a function `(name, value) -> value` that raises `ArgumentError`. `settle` runs rules over
the fields of a layer or of another value.
"""

import math
import operator
from collections.abc import Callable
from typing import Any, SupportsFloat

import numpy as np

from rnn_jax.errors import ArgumentError

Rule = Callable[[str, Any], Any]


def settle(owner: Any, /, **rules: Rule) -> None:
    """Replace fields of a frozen dataclass by what their rules make of them."""
    for field, rule in rules.items():
        found = rule(f"{type(owner).__name__}: {field}", getattr(owner, field))
        object.__setattr__(owner, field, found)


def integer(value: Any) -> int | None:
    """The integer of Python's that a number or an array of no axes is; None for what is none."""
    if isinstance(value, bool | np.bool_):
        return None
    try:
        return operator.index(value)
    except TypeError:  # an integer that jit traces is none either: its value is not known yet
        return None


def number(value: Any) -> float | None:
    """The finite number that a value is, as Python has it; None for what is none."""
    if isinstance(value, bool | np.bool_ | str) or not isinstance(value, SupportsFloat):
        return None
    if isinstance(value, int):
        return value
    try:
        found = float(value)
    except (TypeError, ValueError):  # an array of several, or one that is traced
        return None
    return found if math.isfinite(found) else None


def at_least(least: int, why: str = "") -> Rule:
    """An integer from `least` on."""
    wanted = {0: "an integer of 0 or more", 1: "a positive integer"}.get(
        least, f"an integer of at least {least}"
    )

    def rule(name: str, value: Any) -> int:
        found = integer(value)
        if found is None or found < least:
            raise ArgumentError(f"{name} must be {wanted}{why}, got {value!r}.")
        return found

    return rule


positive = at_least(1)
"""A positive integer: a size, a number of steps."""


def finite(name: str, value: Any) -> float:
    """A finite number."""
    found = number(value)
    if found is None:
        raise ArgumentError(f"{name} must be a finite number, got {value!r}.")
    return found


def rate(name: str, value: Any) -> float:
    """A probability short of 1."""
    found = number(value)
    if found is None or not 0 <= found < 1:
        raise ArgumentError(f"{name} must be a number in [0, 1), got {value!r}.")
    return found


def flag(name: str, value: Any) -> bool:
    """True or False, and not what merely counts as such."""
    if not isinstance(value, bool | np.bool_):
        raise ArgumentError(f"{name} must be True or False, got {value!r}.")
    return bool(value)


def sizes(name: str, value: Any) -> tuple[int, ...]:
    """The sizes of some axes, which may be none: `(4,)`, `()`."""
    found = tuple(map(integer, value)) if isinstance(value, tuple | list) else (None,)
    if any(size is None or size < 0 for size in found):
        raise ArgumentError(f"{name} must be a tuple of integers of 0 or more, got {value!r}.")
    return found  # type: ignore[return-value]


def optional(rule: Rule) -> Rule:
    """The rule, for a value that may be None."""
    return lambda name, value: None if value is None else rule(name, value)


def function(name: str, value: Any) -> Any:
    """Anything that can be called."""
    if not callable(value):
        raise ArgumentError(f"{name} must be a function, got {value!r}.")
    return value
