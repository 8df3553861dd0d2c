"""The batch split over devices, each of which runs its part of it."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from rnn_jax.errors import ArgumentError, ShapeError

AXIS = "batch"


def split_batch(
    f: Callable[..., Any],
    in_axes: Sequence[int | None],
    out_axes: Any = None,
    devices: Sequence[jax.Device] | None = None,
) -> Callable[..., Any]:
    """`f` with its batch split over all devices: each runs `f` on its part, results are averaged.

    XLA runs the arithmetic of a loop on one core of a CPU. With a device for each core, which
    `jax.config.update("jax_num_cpu_devices", 2)` makes before anything else runs, both work:

        step = jax.jit(rnn.split_batch(jax.value_and_grad(loss), in_axes=(None, 1, 1)))
        value, grads = step(params, xs, targets)

    As the mean over equal parts of a batch is the mean over the batch, a mean loss and its
    gradient are those of `f`; sums are not, and neither is noise, which all parts draw alike from
    one key. Cost: one all-reduce of the result.

    Args:
      f: Any function of arrays; a mean over the batch, where `out_axes` is None.
      in_axes: For each argument the axis that is the batch's, of all arrays in it, or None for
        one that each device needs whole, such as params.
      out_axes: The batch's axis in the result, or in each part of it, as in `jax.vmap`; None for
        what is averaged.
      devices: All there are, if None.

    Raises:
      ArgumentError: not one entry of `in_axes` for each argument.
      ShapeError: a batch that does not divide into as many parts as there are devices.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.LSTM(3, 5)
    >>> loss = lambda params, xs: jnp.mean(jnp.square(rnn.unroll(cell, params, xs)[1]))
    >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((7, 4, 3))
    >>> step = jax.jit(rnn.split_batch(jax.value_and_grad(loss), in_axes=(None, 1)))
    >>> bool(jnp.allclose(step(params, xs)[0], loss(params, xs), rtol=1e-5))
    True
    """
    mesh = Mesh(np.array(jax.devices() if devices is None else devices), (AXIS,))

    def part(*arguments: Any) -> Any:
        found = f(*arguments)
        return _join(found, out_axes)

    def split(*arguments: Any) -> Any:
        _check(in_axes, arguments, mesh.size)
        run = jax.shard_map(
            part,
            mesh=mesh,
            in_specs=tuple(map(_spec, in_axes)),
            out_specs=jax.tree.map(_spec, out_axes, is_leaf=lambda axis: axis is None),
            check_vma=False,  # loops mix what varies over devices with what does not
        )
        return run(*arguments)

    return split


def _spec(axis: int | None) -> PartitionSpec:
    return PartitionSpec() if axis is None else PartitionSpec(*[None] * axis, AXIS)


def _join(found: Any, out_axes: Any) -> Any:
    def one(axis: int | None, value: Any) -> Any:
        return jax.lax.pmean(value, AXIS) if axis is None else value

    return jax.tree.map(one, out_axes, found, is_leaf=lambda axis: axis is None)


def _check(in_axes: Sequence[int | None], arguments: tuple[Any, ...], parts: int) -> None:
    if len(in_axes) != len(arguments):
        raise ArgumentError(
            f"split_batch: in_axes has {len(in_axes)} entries for {len(arguments)} arguments; "
            "give one for each, the batch's axis or None."
        )
    for i, (axis, argument) in enumerate(zip(in_axes, arguments, strict=True)):
        for path, leaf in jax.tree_util.tree_leaves_with_path(argument):
            if axis is not None and (leaf.ndim <= axis or leaf.shape[axis] % parts):
                raise ShapeError(
                    f"split_batch: argument {i}{jax.tree_util.keystr(path)} must have a batch on "
                    f"axis {axis} that divides into {parts} equal parts, one a device, got shape "
                    f"{leaf.shape}."
                )
