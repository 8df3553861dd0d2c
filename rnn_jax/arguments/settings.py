"""Rules for settings: each returns the value that the library works with, or raises.

A rule is a function `(name, value) -> value` that raises `ArgumentError`. `settle` runs rules over
the fields of a layer or of another value.
"""

import dataclasses
import functools
import inspect
import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple, SupportsFloat

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from rnn_jax.errors import ArgumentError, StructureError


class Of(NamedTuple):
    """The name of an argument of a layer, made into text only where an error needs it."""

    owner: Any
    what: str

    def __str__(self) -> str:
        return f"{self.owner!r}: {self.what}"


Name = str | Of
Rule = Callable[[Any, Any], Any]


def settle(owner: Any, /, **rules: Rule) -> None:
    """Check fields of a frozen dataclass, and store the values that their rules return."""
    for field, rule in rules.items():
        found = rule(f"{type(owner).__name__}: {field}", getattr(owner, field))
        object.__setattr__(owner, field, found)


def integer(value: Any) -> int | None:
    """A number or an array without axes as a Python int; None if it is no integer."""
    if isinstance(value, bool | np.bool_):
        return None
    try:
        return operator.index(value)
    except TypeError:  # also one that jit traces: its value is not known yet
        return None


def number(value: Any) -> float | None:
    """A value as a finite Python number; None if it is none."""
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

    def rule(name: Name, value: Any) -> int:
        found = integer(value)
        if found is None or found < least:
            raise ArgumentError(f"{name} must be {wanted}{why}, got {value!r}.")
        return found

    return rule


positive = at_least(1)
"""A positive integer: a size, a number of steps."""


def within(low: float, high: float, wanted: str) -> Rule:
    """A finite number from `low` to `high`; `wanted` says so in words."""

    def rule(name: Name, value: Any) -> float:
        found = number(value)
        if found is None or not low <= found <= high:
            raise ArgumentError(f"{name} must be {wanted}, got {value!r}.")
        return found

    return rule


LEAST = math.ulp(0.0)
finite = within(-math.inf, math.inf, "a finite number")
"""A finite number."""
above_zero = within(LEAST, math.inf, "a positive number")
"""A positive number: a width, a gain."""
not_negative = within(0, math.inf, "a number of 0 or more")
"""A number that is not negative: a variance, a tolerance."""
fraction = within(0, 1, "a number in [0, 1]")
"""A share, both ends included."""
one_rate = within(0, math.nextafter(1, 0), "a number in [0, 1)")
"""A probability below 1."""


def flag(name: Name, value: Any) -> bool:
    """True or False; no other value that Python takes as true or false."""
    if not isinstance(value, bool | np.bool_):
        raise ArgumentError(f"{name} must be True or False, got {value!r}.")
    return bool(value)


def optional(rule: Rule) -> Rule:
    """The rule, for a value that may be None."""
    return lambda name, value: None if value is None else rule(name, value)


def integers(name: Name, value: Any, most: int | None = None) -> np.ndarray:
    """One or more integers of 0 or more, up to `most`, in a list or an array of one axis."""
    found = _vector(value)
    if found is None or found.min() < 0 or (most is not None and found.max() > most):
        span = "of 0 or more" if most is None else f"from 0 to {most}"
        raise ArgumentError(f"{name} must be integers {span}, got {short(value)}.")
    return found


def increasing(name: Name, value: Any, most: int | None = None) -> np.ndarray:
    """Positive integers in increasing order, up to `most`."""
    found = _vector(value)
    if (
        found is None
        or found[0] < 1
        or (np.diff(found) < 1).any()
        or (most is not None and found[-1] > most)
    ):
        span = "positive integers" if most is None else f"integers from 1 to {most}"
        raise ArgumentError(f"{name} must be increasing {span}, got {short(value)}.")
    return found


def _vector(value: Any) -> np.ndarray | None:
    try:
        found = np.asarray(value)
    except (TypeError, ValueError):  # a ragged list, or what jit traces
        return None
    whole = np.issubdtype(found.dtype, np.integer)
    return found if found.ndim == 1 and found.size and whole else None


def function(name: Name, value: Any) -> Any:
    """Anything that can be called; hashable, for layers are compared by their settings."""
    if not callable(value):
        raise ArgumentError(f"{name} must be a function, got {short(value)}.")
    try:
        hash(value)
    except TypeError:
        raise ArgumentError(
            f"{name} must be hashable, for layers are compared by their settings; {value!r} is not."
        ) from None
    return value


def traceable(name: Name, value: Any) -> Any:
    """A function that JAX can trace, as far as can be told without calling it."""
    found = function(name, value)
    if isinstance(found, np.ufunc) or getattr(found, "__module__", "") == "math":
        raise ArgumentError(
            f"{name}, {value!r}, computes outside JAX, which can neither trace nor differentiate "
            f"it; take jnp.{found.__name__}, jax.numpy's own."
        )
    return found


def pointwise(units: int) -> Rule:
    """A function of rows of `units` numbers to rows of as many, checked by shapes alone."""

    def rule(name: Name, value: Any) -> Any:
        found = traceable(name, value)
        complaint = _no_activation(found, units)
        if complaint is not None:
            raise ArgumentError(f"{name}, {value!r}, {complaint}.")
        return found

    return rule


@functools.lru_cache(maxsize=256)
def _no_activation(f: Callable[..., Any], units: int) -> str | None:
    """Why `f` is no pointwise function, or None if it may be one."""
    if isinstance(f, type):
        return "is a class; make a value of it, or take a function such as jnp.tanh"
    try:
        inspect.signature(f).bind(None)
    except TypeError:
        return "must take one array, as jnp.tanh does"
    except ValueError:  # a function in C, which does not tell
        pass
    row = jax.ShapeDtypeStruct((1, units), jnp.float32)
    try:
        after = jax.eval_shape(f, row)
    except jax.errors.TracerArrayConversionError:
        return (
            "asks for the numbers of an array that JAX traces, as NumPy's functions do; write it "
            "with jax.numpy"
        )
    except Exception:  # an error of its own shows where it runs: there the dtypes may differ
        return None
    if isinstance(after, jax.ShapeDtypeStruct):
        if after.shape == row.shape and jnp.issubdtype(after.dtype, jnp.floating):
            return None
        came = f"{after.dtype} of shape {after.shape}"
    else:
        came = _a(type(after).__name__)
    return (
        f"must be pointwise, and make floating numbers in the shape of what it reads: of float32 "
        f"of shape {row.shape} it makes {came}"
    )


def value_of(what: str, example: str) -> Rule:
    """Anything that can be called and is not a class: `Scan()`, where a user may write `Scan`."""

    def rule(name: Name, value: Any) -> Any:
        if isinstance(value, type):
            raise ArgumentError(
                f"{name} must be {what}, such as {example}, got the class {value.__name__}; write "
                f"{value.__name__}(...)."
            )
        if not callable(value):
            raise ArgumentError(f"{name} must be {what}, such as {example}, got {short(value)}.")
        return value

    return rule


one_method = value_of("a way through time, as a value", "Scan() or BPTT()")
"""A method of `unroll`."""


def instance(kind: type | tuple[type, ...], more: str = "") -> Rule:
    """A value of a class, such as the result of an analysis; `more` says where it comes from."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    names = " or ".join(_a(k.__name__) for k in kinds)

    def rule(name: Name, value: Any) -> Any:
        if isinstance(value, kinds):
            return value
        raise StructureError(f"{name} must be {names}{more}, got {short(value)}.")

    return rule


def axes(name: Name, value: Any) -> tuple[Any, ...]:
    """The batch axes: a tuple of integers of 0 or more, or of the symbols of `jax.export`."""
    try:
        found = None if isinstance(value, str) else tuple(map(_axis, value))
    except TypeError:
        found = None
    if found is None or None in found:
        example = f"({value!r},)" if integer(value) is not None else "(2,), or () without any"
        raise ArgumentError(
            f"{name} must be a tuple of batch axes, such as {example}; got {short(value)}."
        )
    return found


def _axis(value: Any) -> Any:
    if jax.export.is_symbolic_dim(value):
        return value
    found = integer(value)
    return found if found is not None and found >= 0 else None


def floating(name: Name, value: Any) -> Any:
    """A floating dtype, or its name."""
    try:
        known = value is not None and jnp.issubdtype(jnp.dtype(value), jnp.floating)
    except TypeError:
        known = False
    if not known:
        raise ArgumentError(
            f"{name} must be a floating dtype, such as jnp.float32, got {short(value)}."
        )
    return value


def generator(name: Name, value: Any) -> Any:
    """A random generator of NumPy, for what runs on the host."""
    if not isinstance(value, np.random.Generator | np.random.RandomState):
        raise ArgumentError(
            f"{name} must be a NumPy generator, np.random.default_rng(seed), or None; got "
            f"{short(value)}."
        )
    return value


def short(value: Any) -> str:
    """A value on one line, for errors: an array by its shape, a NamedTuple by its fields."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if hasattr(value, "_fields"):
        return f"{type(value).__name__}({', '.join(value._fields)})"
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    if callable(value) and hasattr(value, "__name__"):
        return f"the function {value.__name__}"
    text = repr(value)
    if dataclasses.is_dataclass(value) or not (" at 0x" in text or len(text) > 60 or "\n" in text):
        return text
    return _a(type(value).__name__)


def _a(name: str) -> str:
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"
