"""Which axis of each argument and of each result is the batch's, as `jax.vmap` is told."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.arguments.settings import integer
from rnn_jax.errors import ArgumentError, ShapeError


def _axis(caller: str, axis: Any) -> int | None:
    if axis is not None and integer(axis) is None:
        raise ArgumentError(f"{caller}: an axis must be an integer or None, got {axis!r}.")
    return None if axis is None else integer(axis)


def argument_axes(caller: str, in_axes: Any) -> tuple[int | None, ...]:
    """One for each argument."""
    if not isinstance(in_axes, tuple | list):
        raise ArgumentError(
            f"{caller}: in_axes must be a tuple with one axis or None for each argument, got "
            f"{in_axes!r}."
        )
    return tuple(_axis(caller, axis) for axis in in_axes)


def result_axes(caller: str, out_axes: Any) -> Any:
    """One for each part of a result, or one for all; None for what is averaged."""
    return mapped(lambda axis: _axis(caller, axis), out_axes)


def mapped(rule: Callable[[Any], Any], axes: Any) -> Any:
    """`rule(axis)` for each axis of a pytree of them."""
    return jax.tree.map(rule, axes, is_leaf=_is_none)


def each(caller: str, axes: Any, found: Any, rule: Callable[[int | None, Any], Any]) -> Any:
    """`rule(axis, leaf)` for every leaf of a result, whose axis is given for it or for all."""
    leaves, structure = jax.tree.flatten(found)
    of_each = axis_of_each(caller, axes, structure)
    return structure.unflatten(map(rule, of_each, leaves))  # type: ignore[attr-defined]


def axis_of_each(caller: str, axes: Any, structure: Any) -> list[int | None]:
    """The axis of each leaf of a result of that structure, in their order."""
    leaves = structure.unflatten(range(structure.num_leaves))
    try:
        every = jax.tree.broadcast(axes, leaves, is_leaf=_is_none)
    except ValueError:
        raise ArgumentError(
            f"{caller}: out_axes must be an axis or None, or such for each part of the result, got "
            f"{axes!r} for {structure}."
        ) from None
    return list(jax.tree.leaves(every, is_leaf=_is_none))


def averages(axes: Any) -> bool:
    """Whether some part of a result has no batch, so that it is averaged."""
    return None in jax.tree.leaves(axes, is_leaf=_is_none)


def _is_none(axis: Any) -> bool:
    return axis is None


def check_divides(
    caller: str,
    in_axes: Sequence[int | None],
    arguments: tuple[Any, ...],
    parts: int,
    each_is: str,
) -> None:
    """Raise where there is not an axis for each argument, or a batch does not divide."""
    if len(in_axes) != len(arguments):
        raise ArgumentError(
            f"{caller}: in_axes has {len(in_axes)} entries for {len(arguments)} arguments; "
            "give one for each, the batch's axis or None."
        )
    for i, (axis, argument) in enumerate(zip(in_axes, arguments, strict=True)):
        if axis is None:
            continue
        for path, leaf in jax.tree_util.tree_leaves_with_path(argument):
            shape = np.shape(leaf)
            if not -len(shape) <= axis < len(shape) or shape[axis] % parts:
                raise ShapeError(
                    f"{caller}: argument {i}{jax.tree_util.keystr(path)} must have a batch on "
                    f"axis {axis} that divides into {parts} equal parts, one {each_is}, got shape "
                    f"{shape}."
                )


def check_has_axis(caller: str, axis: int | None, x: Any) -> None:
    """Raise where a part of a result has no such axis for its batch."""
    if axis is not None and not -x.ndim <= axis < x.ndim:
        raise ShapeError(
            f"{caller}: out_axes has a batch on axis {axis} of a result of shape {x.shape}, which "
            "has no such axis."
        )


def check_count(caller: str, count: Any) -> jax.Array:
    """What a function counts, one number."""
    count = jnp.asarray(count)
    if count.shape != () or not (
        jnp.issubdtype(count.dtype, jnp.integer) or jnp.issubdtype(count.dtype, jnp.floating)
    ):
        raise ShapeError(
            f"{caller}: count must return one number, got {count.dtype} of shape {count.shape}."
        )
    return count
