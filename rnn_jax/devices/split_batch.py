"""A batch split over devices, each of which runs its own part."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from rnn_jax.arguments.batch_axes import (
    argument_axes,
    averages,
    check_count,
    check_divides,
    check_has_axis,
    each,
    mapped,
    result_axes,
)
from rnn_jax.arguments.settings import function, optional
from rnn_jax.errors import ArgumentError
from rnn_jax.recurrence.dependence import bends_a_number_of

AXIS = "batch"
_CALLER = "split_batch"


def split_batch(
    f: Callable[..., Any],
    in_axes: Sequence[int | None],
    out_axes: Any = None,
    devices: Sequence[jax.Device] | None = None,
    *,
    count: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """`f` with its batch split over all devices: each runs `f` on its part, results are averaged.

    XLA runs the arithmetic of a loop on one core of a CPU. With a device for each core, which
    `jax.config.update("jax_num_cpu_devices", 2)` makes before anything else runs, both work:

        step = jax.jit(rnn.split_batch(jax.value_and_grad(loss), in_axes=(None, 1, 1)))
        value, grads = step(params, xs, targets)

    As the mean over equal parts of a batch is the mean over the batch, a mean loss and its
    gradient are those of `f`. A mean over real tokens, of which each part has another number, is
    told how many by `count`, and then holds as well:

        count = lambda params, xs, lengths: lengths.sum()
        step = rnn.split_batch(jax.value_and_grad(loss), in_axes=(None, 1, 0), count=count)

    Without `count`, a function that divides by one number made of its whole part is refused, or
    takes the root of such a number, its power, exponential or logarithm. Divisors of several
    numbers are not looked at: if each step has its own, made of the batch, the result is wrong.
    So is a sum, which comes out divided by the number of devices; and all parts draw the same
    noise from one key. Cost: one all-reduce of the result.

    Args:
      f: Any function of arrays; a mean over the batch, where `out_axes` is None.
      in_axes: For each argument the axis that is the batch's, of all arrays in it, or None for
        one that each device needs whole, such as params. A negative one is counted from the end
        of each array.
      out_axes: The batch's axis in the result, or in each part of it, as in `jax.vmap`; None for
        what is averaged.
      devices: All there are, if None.
      count: A function of the same arguments, the number of things that `f` is a mean over:
        `lambda params, xs, mask: mask.sum()`. Each part weighs as much as it counts.

    Raises:
      ArgumentError: not one entry of `in_axes` for each argument, axes of another form, or a
        function whose mean over parts is not its value.
      ShapeError: a batch that does not divide into as many parts as there are devices.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.LSTM(3, 5)
    >>> loss = lambda params, xs: jnp.mean(jnp.square(rnn.unroll(cell, params, xs)[1]))
    >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((7, 4, 3))
    >>> step = jax.jit(rnn.split_batch(jax.value_and_grad(loss), in_axes=(None, 1)))
    >>> bool(jnp.allclose(step(params, xs)[0], loss(params, xs), rtol=1e-5))
    True
    """
    function("split_batch: f", f)
    optional(function)("split_batch: count", count)
    in_axes, out_axes, mesh = (
        argument_axes(_CALLER, in_axes),
        result_axes(_CALLER, out_axes),
        _mesh(devices),
    )
    # Under jit, so that it is traced once for what is read of it and what runs.
    run = jax.jit(lambda *arguments: f(*arguments), inline=True)

    def part(*arguments: Any) -> Any:
        if count is None and averages(out_axes) and mesh.size > 1:
            check_mean(_CALLER, run, in_axes, arguments)
        share = None if count is None else _share(count(*arguments))
        return each(_CALLER, out_axes, run(*arguments), lambda axis, x: _join(axis, x, share))

    def split(*arguments: Any) -> Any:
        check_divides(_CALLER, in_axes, arguments, mesh.size, "a device")
        found = jax.shard_map(
            part,
            mesh=mesh,
            in_specs=tuple(map(_in_specs, in_axes, arguments)),
            out_specs=mapped(_out_spec, out_axes),
            check_vma=False,  # loops mix what varies over devices with what does not
        )(*arguments)
        return each(_CALLER, out_axes, found, _put_back)

    return split


def _mesh(devices: Sequence[jax.Device] | None) -> Mesh:
    found = jax.devices() if devices is None else devices
    if not isinstance(found, tuple | list) or not found:
        raise ArgumentError(
            f"split_batch: devices must be a list of one or more of jax.devices(), got {found!r}."
        )
    return Mesh(np.array(found), (AXIS,))


def _in_specs(axis: int | None, argument: Any) -> Any:
    if axis is None:
        return PartitionSpec()
    return jax.tree.map(lambda x: PartitionSpec(*[None] * (axis % np.ndim(x)), AXIS), argument)


def _out_spec(axis: int | None) -> PartitionSpec:
    """Of what `_join` returns: an axis counted from the end is known once there is a result."""
    return PartitionSpec() if axis is None else PartitionSpec(*[None] * max(axis, 0), AXIS)


def _join(axis: int | None, x: jax.Array, share: jax.Array | None) -> jax.Array:
    if axis is None:
        return jax.lax.pmean(x, AXIS) if share is None else _weighted(x, share)
    check_has_axis(_CALLER, axis, x)
    return x if axis >= 0 else jnp.moveaxis(x, axis, 0)


def _put_back(axis: int | None, x: jax.Array) -> jax.Array:
    return x if axis is None or axis >= 0 else jnp.moveaxis(x, 0, axis)


def _share(count: Any) -> jax.Array:
    """What part of all that is counted is counted here; where nothing is, all parts are alike."""
    count = check_count(_CALLER, count)
    total = jax.lax.psum(count, AXIS)
    some = total > 0
    share = count / jnp.where(some, total, jnp.ones_like(total))
    return jnp.where(some, share, jnp.full_like(share, 1 / jax.lax.axis_size(AXIS)))


def _weighted(x: jax.Array, share: jax.Array) -> jax.Array:
    wide = jnp.promote_types(x.dtype, share.dtype)
    part = x.astype(wide) * share.astype(wide)
    # A part that counts nothing has a mean of 0/0.
    part = jnp.where(share > 0, part, jnp.zeros_like(part))
    narrow = x.dtype if jnp.issubdtype(x.dtype, jnp.inexact) else wide
    return jax.lax.psum(part, AXIS).astype(narrow)


def check_mean(
    caller: str, run: Any, in_axes: Sequence[int | None], arguments: tuple[Any, ...]
) -> None:
    """Raise where `run` divides, or bends, a number that is made of all of its part."""
    program = jax.make_jaxpr(run)(*arguments)
    marked = [
        axis is not None
        for axis, argument in zip(in_axes, arguments, strict=True)
        for _ in jax.tree.leaves(argument)
    ]
    bent = bends_a_number_of(program.jaxpr, marked)
    if bent is not None:
        raise ArgumentError(
            f"{caller}: the mean of f over parts of the batch is not f of the batch, for f has an "
            f"operation ({bent}) on a number that it makes of all of its part. If f is a mean over "
            "what it counts, such as real tokens, say how many there are: count=lambda ...: "
            "mask.sum(), a function of the arguments of f. If not, take that step outside, after "
            f"{caller}."
        )
