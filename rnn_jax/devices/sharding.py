"""What is known, while tracing, of how arrays are split over devices.

On an axis of a mesh that is Auto, XLA decides once all is traced; on an Explicit one the type of an
array says how it is split; within `jax.shard_map` the type says over which axes it varies, and each
device sees its own part. Where there is no mesh, nothing here does anything.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from rnn_jax.recurrence.memory import Memory


def split(x: Any) -> tuple[Any, ...]:
    """For each axis of `x` the Explicit axes of a mesh that it is split over, or None."""
    return tuple(jax.typeof(x).sharding.spec)


def parts_of_time(xs: jax.Array) -> int:
    """Over how many devices the first axis of `xs` is split."""
    sizes = jax.typeof(xs).sharding.mesh.shape
    return math.prod(sizes[name] for name in _names(split(xs)[:1]))


def rows_apart(x: jax.Array) -> bool:
    """Whether a leading axis of `x` but the first may be split over devices.

    Made one with the axes before it, it would have to be gathered.
    """
    mesh = jax.typeof(x).sharding.mesh
    if mesh.empty:
        # What `jax.jit(in_shardings=)` splits has no mesh while it is traced.
        return jax.device_count() > 1
    axes = zip(mesh.axis_sizes, mesh.axis_types, strict=True)
    if any(size > 1 and kind is AxisType.Auto for size, kind in axes):
        return True
    return any(axis is not None for axis in split(x)[1:-1])


def zeros_split_as(x: jax.ShapeDtypeStruct) -> jax.Array:
    """Zeros, split as x is on the Explicit axes of a mesh."""
    known = x.sharding is not None and AxisType.Explicit in x.sharding.mesh.axis_types
    return jnp.zeros(x.shape, x.dtype, device=x.sharding if known else None)


def split_like(tree: Any, xs: jax.Array, first: int, last: int) -> Any:
    """Every array with its leading axes split as the axes `first` to `last - 1` of `xs` are."""
    axes = split(xs)[first:last]
    if all(axis is None for axis in axes):
        return tree

    def leaf(x: jax.Array) -> jax.Array:
        return jax.reshard(x, _sharding(xs, *axes, *split(x)[len(axes) :]))

    return jax.tree.map(leaf, tree)


def whole_beside(tree: Any, xs: jax.Array, first: int, last: int) -> Any:
    """Every array whole on all devices that the axes `first` to `last - 1` of `xs` are split over.

    What a gradient says of it is split again as the array was. The batch axes of a memory, which
    are the last ones of the batch, are split as the batch is.
    """
    taken = _names(split(xs)[first:last])

    def leaf(x: Any) -> Any:
        if isinstance(x, Memory):
            batch = split(xs)[last - (x.values.ndim - 2) : last]
            return jax.tree.map(lambda m: jax.reshard(m, _sharding(xs, None, *batch)), x)
        left = [None if taken & _names([axis]) else axis for axis in split(x)]
        return x if left == list(split(x)) else jax.reshard(x, _sharding(x, *left))

    return jax.tree.map(leaf, tree, is_leaf=lambda x: isinstance(x, Memory)) if taken else tree


def on_each_part(
    run: Callable[..., tuple[Any, jax.Array]],
    axes: int,
    params: Any,
    xs: Any,
    carry: Any,
) -> tuple[Any, jax.Array]:
    """`run(params, xs, carry)`, a loop, by each device on its own part of the batch.

    What a gradient says of the weights is then summed over devices once, behind the loop.

    Args:
      run: `-> (carry, hs)`, with the leading axes of `carry` and `xs`.
      axes: How many leading axes `xs` has: time and batch.

    Where time is split, no device can run the loop of its part alone: the program stays one of
    all of time, and XLA splits it. What it must move is decided by how the loops are written.
    """

    def part(*arguments: Any) -> tuple[Any, jax.Array]:
        # A carry must vary before the first step as it does after it.
        return run(*varying(arguments))

    example = jax.tree.leaves(xs)[0]
    batch = split(example)[:axes]
    if not _names(batch):
        return part(params, xs, carry)
    arguments = (params, xs, carry)
    in_specs = jax.tree.map(lambda x: PartitionSpec(*split(x)), arguments)
    if batch[0] is not None:
        by_compiler = jax.sharding.auto_axes(
            run, axes=tuple(_names(batch)), out_sharding=(in_specs[2], PartitionSpec(*batch))
        )
        # Without a mesh around it, it would leave all axes as they are.
        with jax.sharding.use_abstract_mesh(jax.typeof(example).sharding.mesh):
            return by_compiler(*arguments)
    on_parts = jax.shard_map(
        part,
        mesh=jax.typeof(example).sharding.mesh,
        in_specs=in_specs,
        out_specs=(in_specs[2], PartitionSpec(*batch)),
        axis_names=_names(batch),
    )
    return on_parts(*arguments)


def rows_of(xs: jax.Array) -> NamedSharding | None:
    """How a row for each number of `xs` is to be split, where that must be said."""
    spec = split(xs)
    return None if all(axis is None for axis in spec) else _sharding(xs, *spec, None)


def varying(tree: Any) -> Any:
    """Every array as one that varies over all devices that any of them does."""
    over = frozenset[str]().union(*map(_over, jax.tree.leaves(tree)))

    def leaf(x: jax.Array) -> jax.Array:
        missing = tuple(sorted(over - _over(x)))
        return lax.pcast(x, missing, to="varying") if missing else x

    return jax.tree.map(leaf, tree) if over else tree


def _names(axes: Iterable[Any]) -> set[str]:
    return {name for axis in axes if axis for name in ((axis,) if isinstance(axis, str) else axis)}


def _over(x: Any) -> frozenset[str]:
    return frozenset(jax.typeof(x).manual_axis_type.varying)


def _sharding(xs: jax.Array, *axes: Any) -> NamedSharding:
    return NamedSharding(jax.typeof(xs).sharding.mesh, PartitionSpec(*axes))
