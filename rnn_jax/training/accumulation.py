"""A batch in parts, one after the other, for batches whose gradients do not fit at once."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.arguments.batch_axes import (
    argument_axes,
    averages,
    axis_of_each,
    check_count,
    check_divides,
    check_has_axis,
    result_axes,
)
from rnn_jax.arguments.settings import function, optional, positive
from rnn_jax.devices.split_batch import check_mean

_CALLER = "accumulate"


def accumulate(
    f: Callable[..., Any],
    parts: int,
    in_axes: Sequence[int | None],
    out_axes: Any = None,
    *,
    count: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """`f` over a batch in equal parts, one after the other: their results are averaged.

    A gradient of a long sequence keeps what its backward pass needs of every row. In parts, it
    keeps that of one part, and the arithmetic is the same:

        grads = rnn.training.accumulate(jax.value_and_grad(loss), 4, in_axes=(None, 1, 1))
        value, gradient = jax.jit(grads)(params, xs, targets)

    As the mean over equal parts of a batch is the mean over the batch, a mean loss and its gradient
    are those of `f`, to rounding. A mean over real tokens, of which each part has another number,
    is told how many by `count`. What `out_axes` gives a batch axis is put together again: a carry
    goes on through a stream. Part p has the rows p, p + parts, p + 2 parts, and so on: where a
    batch is split over devices, each of them has rows of every part.

    It is `split_batch` in time in place of space, with the same arguments. Cost: the time of `f`,
    and a sum of the results a part; memory of `f` on one part.

    Args:
      f: Any function of arrays; a mean over the batch, where `out_axes` is None.
      parts: How many.
      in_axes: For each argument the axis that is the batch's, of all arrays in it, or None for
        one that each part needs whole, such as params. Keys of noise, one a part, have an axis
        too: each part gets an array with its own.
      out_axes: The batch's axis in the result, or in each part of it, as in `jax.vmap`; None for
        what is averaged.
      count: A function of the same arguments, the number of things that `f` is a mean over:
        `lambda params, xs, mask: mask.sum()`. Each part weighs as much as it counts; where all of
        them count nothing, what is averaged is 0.

    Raises:
      ArgumentError: parts not positive, not one entry of `in_axes` for each argument, axes of
        another form, or a function whose mean over parts is not its value.
      ShapeError: a batch that does not divide into so many parts, or a result without the axis
        that `out_axes` gives it.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.LSTM(3, 5)
    >>> loss = lambda params, xs: jnp.mean(jnp.square(rnn.unroll(cell, params, xs)[1]))
    >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((7, 4, 3))
    >>> in_parts = rnn.training.accumulate(loss, 2, in_axes=(None, 1))
    >>> bool(jnp.allclose(in_parts(params, xs), loss(params, xs), rtol=1e-5))
    True
    """
    function(f"{_CALLER}: f", f)
    optional(function)(f"{_CALLER}: count", count)
    parts = positive(f"{_CALLER}: parts", parts)
    axes, out_axes = argument_axes(_CALLER, in_axes), result_axes(_CALLER, out_axes)
    if parts == 1:  # nothing need be known of f, nor compiled
        return f
    # Under jit, so that it is traced once for what is read of it and what runs.
    run = jax.jit(lambda *arguments: f(*arguments), inline=True)

    def accumulated(*arguments: Any) -> Any:
        check_divides(_CALLER, axes, arguments, parts, "after the other")
        rows = [_cut(x, axis, parts) for axis, x in zip(axes, arguments, strict=True)]
        whole = [axis is None for axis in axes]

        def part(index: Any) -> tuple[Any, ...]:
            return tuple(
                x if one else jax.tree.map(lambda leaf: leaf[index], x)
                for one, x in zip(whole, rows, strict=True)
            )

        if count is None and averages(out_axes):
            check_mean(_CALLER, run, axes, part(0))
        like, structure = jax.tree.flatten(jax.eval_shape(run, *part(0)))
        of_each = axis_of_each(_CALLER, out_axes, structure)
        for x, axis in zip(like, of_each, strict=True):
            check_has_axis(_CALLER, axis, x)
        zeros = [
            jnp.zeros(x.shape, _of_sums(x.dtype))
            for x, axis in zip(like, of_each, strict=True)
            if axis is None
        ]

        def one(totals: Any, index: jax.Array) -> tuple[Any, list[jax.Array]]:
            own = part(index)
            weight = jnp.ones((), int) if count is None else check_count(_CALLER, count(*own))
            sums, counted = totals
            found = list(zip(jax.tree.leaves(run(*own)), of_each, strict=True))
            means = [x for x, axis in found if axis is None]
            # A part that counts nothing has a mean of 0/0.
            sums = [
                total + jnp.where(weight > 0, x.astype(total.dtype) * weight.astype(total.dtype), 0)
                for total, x in zip(sums, means, strict=True)
            ]
            return (sums, counted + weight), [x for x, axis in found if axis is not None]

        start = jnp.zeros((), jax.eval_shape(count, *part(0)).dtype if count else int)
        (sums, counted), stacked = jax.lax.scan(one, (zeros, start), jnp.arange(parts))
        counted = jnp.where(counted > 0, counted, jnp.ones_like(counted))
        means = iter([total / counted.astype(total.dtype) for total in sums])
        joined = iter(stacked)
        return structure.unflatten(  # type: ignore[attr-defined]
            _narrowed(next(means), x.dtype) if axis is None else _joined(next(joined), axis)
            for x, axis in zip(like, of_each, strict=True)
        )

    return accumulated


def _of_sums(dtype: Any) -> Any:
    """What numbers of a dtype are summed in: float32 for shorter ones and for integers."""
    wide = jnp.issubdtype(dtype, jnp.inexact) and jnp.finfo(dtype).bits >= 32
    return dtype if wide else jnp.float32


def _narrowed(mean: jax.Array, dtype: Any) -> jax.Array:
    """A mean in the dtype of what it is of; that of integers is none."""
    return mean.astype(dtype) if jnp.issubdtype(dtype, jnp.inexact) else mean


def _cut(tree: Any, axis: int | None, parts: int) -> Any:
    """Every array with its parts on a new first axis: of each stretch of `parts` rows, one."""
    if axis is None:
        return tree

    def leaf(x: Any) -> jax.Array:
        x, place = jnp.asarray(x), axis % jnp.ndim(x)
        shape = (*x.shape[:place], -1, parts, *x.shape[place + 1 :])
        return jnp.moveaxis(x.reshape(shape), place + 1, 0)

    return jax.tree.map(leaf, tree)


def _joined(x: jax.Array, axis: int) -> jax.Array:
    """The inverse of `_cut`: the first axis becomes the last factor of the batch's."""
    place = axis % (x.ndim - 1)
    x = jnp.moveaxis(x, 0, place + 1)
    return x.reshape(*x.shape[:place], -1, *x.shape[place + 2 :])
