"""Rules for arrays and keys: what a user hands over, as JAX works with it."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.arguments import integers
from rnn_jax.arguments.settings import Name, Of, Rule, short
from rnn_jax.errors import ArgumentError, DtypeError, ShapeError, StructureError


def is_array(value: Any) -> bool:
    """Whether it has the numbers, shape and dtype of an array of JAX or NumPy."""
    return isinstance(value, jax.Array | np.ndarray | np.generic)


def taken(name: Name, value: Any) -> Any:
    """An array of another library as one of NumPy or JAX; anything else unchanged.

    A masked array without masked entries becomes a plain one.
    """
    if isinstance(value, np.ma.MaskedArray):
        if np.ma.is_masked(value):
            raise StructureError(
                f"{name} is a masked array with masked entries, which JAX does not know; fill them "
                "with numbers, .filled(0), and say by lengths= or mask= which steps there are."
            )
        return value.data
    if is_array(value) or isinstance(value, int | float | complex | str | type):
        return value
    if hasattr(value, "__jax_array__"):
        return value.__jax_array__()
    if not hasattr(value, "__array__") and not hasattr(value, "__dlpack__"):
        return value
    try:
        return np.asarray(value) if hasattr(value, "__array__") else jnp.from_dlpack(value)
    except Exception as error:  # whatever the other library raises
        try:  # what NumPy cannot hold, such as bfloat16 and what is on an accelerator
            return jnp.from_dlpack(value)
        except Exception:
            raise StructureError(
                f"{name}, a {type(value).__name__}, cannot be read as an array: {error}."
            ) from error


def taken_tree(owner: Any, name: str, tree: Any) -> Any:
    """`taken` for every leaf of a pytree, such as params; `owner` is named in errors."""
    if all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(tree)):
        return tree
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: taken(Of(owner, f"{name}{jax.tree_util.keystr(path)}"), leaf), tree
    )


def array(name: Name, value: Any) -> jax.Array:
    """An array of numbers; a number or a list of numbers becomes one."""
    value = taken(name, value)
    if not is_array(value):
        nested = isinstance(value, list | tuple) and not hasattr(value, "_fields")
        if not nested and not isinstance(value, int | float | complex):
            raise StructureError(f"{name} must be an array of numbers, got {short(value)}.")
        try:
            value = integers.as_jax(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise StructureError(
                f"{name} must be an array of numbers, and {short(value)} makes none: {error}."
            ) from None
    if not jnp.issubdtype(value.dtype, np.number) and not jnp.issubdtype(value.dtype, np.bool):
        raise DtypeError(f"{name} must be an array of numbers, got {short(value)}.")
    return integers.as_jax(value)


def reals(name: Name, value: Any) -> jax.Array:
    """An array of floating numbers; integers become floating."""
    found = array(name, value)
    if jnp.issubdtype(found.dtype, jnp.complexfloating):
        raise DtypeError(f"{name} must be real, got {short(found)}.")
    return found if jnp.issubdtype(found.dtype, jnp.floating) else found.astype(float)


def scalar(rule: Rule) -> Rule:
    """The rule, for a number that jit may trace: of that one only the shape is looked at."""

    def maybe_traced(name: Name, value: Any) -> Any:
        if not isinstance(value, jax.core.Tracer):
            return rule(name, value)
        if reals(name, value).shape:
            raise ShapeError(f"{name} must be a scalar, got shape {value.shape}.")
        return value

    return maybe_traced


def count_of_steps(
    name: Name,
    value: Any,
    batch_shape: tuple[int, ...],
    least: int,
    most: int,
    of: str,
    steps: str = "steps",
) -> jax.Array:
    """How many of the `most` steps of `of` each sequence has, `(*batch)` int32.

    One that is not from `least` to `most` is -1 under jit, where nothing can be raised.
    """
    found = array(name, value)
    if found.shape != batch_shape:
        raise ShapeError(
            f"{name} must have shape (*batch) = {batch_shape}, got {tuple(found.shape)}."
        )
    if not jnp.issubdtype(found.dtype, jnp.integer):
        raise DtypeError(
            f"{name} must be integer, got {found.dtype}; {str(name).split(': ')[-1]}.astype "
            "converts it."
        )
    if not isinstance(found, jax.core.Tracer):
        wrong = np.argwhere((np.asarray(found) < least) | (np.asarray(found) > most))
        if len(wrong):
            place = tuple(wrong[0].tolist())
            at = f"[{', '.join(map(str, place))}]" if place else ""
            raise ArgumentError(
                f"{name}{at} is {found[place]}, but {of} has {most} {steps}; a length is from "
                f"{least} to {most}."
            )
    counted = integers.count(found, most)
    return jnp.where(counted < least, -1, counted)


def one_key(name: Name, value: Any) -> jax.Array:
    """One key of `jax.random`, typed or raw, of whatever implementation is in use."""
    if is_array(value) and _is_key(value.shape, value.dtype):
        return value
    several = is_array(value) and _is_key(value.shape[1:], value.dtype)
    advice = "take one of them, keys[0]" if several else "jax.random.split makes several of one"
    raise StructureError(
        f"{name} must be one key, made by jax.random.key(seed), got {short(value)}; {advice}."
    )


def _is_key(shape: tuple[int, ...], dtype: Any) -> bool:
    if jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return shape == ()
    in_use = jax.config.jax_default_prng_impl  # type: ignore[attr-defined]
    return dtype == np.uint32 and shape == _raw_shape(in_use)


@functools.lru_cache
def _raw_shape(implementation: str) -> tuple[int, ...]:
    """The shape of a raw key of an implementation."""
    raw = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0, impl=implementation)))
    return raw.shape
