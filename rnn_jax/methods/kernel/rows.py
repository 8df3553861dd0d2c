"""Which axes of a step's arrays are those of the batch: read from the step, never declared.

A kernel works on rows, `(rows, H)`: any batch axes become one, and none becomes one row. Of the
carries and of what a step reads of its own, those axes lead. What is read at all steps is either a
weight, whole in every row, or has a part for each row, as the carry after a reset has; where sizes
agree by chance, shapes do not tell which.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax.sharding import NamedSharding, PartitionSpec

Step = Callable[[Any, Any, Any], tuple[Any, Any]]
"""`(consts, carry, x) -> (carry, y)`."""


class Rows(NamedTuple):
    """The batch axes of a loop."""

    batch: tuple[int, ...]
    by_row: tuple[bool, ...]
    """Of each leaf of the constants, whether it has a part for each row."""

    @property
    def number(self) -> int:
        """How many rows there are."""
        return math.prod(self.batch)

    def merged(self, x: jax.Array, axis: int = 0) -> jax.Array:
        """The batch axes, from `axis` on, as one."""
        after = axis + len(self.batch)
        return x.reshape(*x.shape[:axis], self.number, *x.shape[after:])

    def over(self, step: Step) -> Step:
        """The step of merged rows."""
        # A step without batch axes need not know of any.
        return step if self.batch else jax.vmap(step, (None, 0, 0))


def rows(step: Step, consts: Any, carry: Any, x: Any) -> Rows | None:
    """Those of a step, given by shapes; None if it is not made for any number of rows.

    The step is traced for a number of rows that no array has: only where every leaf is taken for
    what it is do its shapes agree.
    """
    leaves, form = jax.tree.flatten(consts)
    carries, apart = jax.tree.leaves(carry), jax.tree.leaves((carry, x))
    other = 4 * max((n for leaf in [*leaves, *apart] for n in leaf.shape), default=1) + 1
    most = _common([leaf.shape for leaf in apart], min(leaf.ndim for leaf in carries) - 1)
    for axes in range(most, 0, -1):
        batch = carries[0].shape[:axes]
        resized = functools.partial(_resized, axes=axes, rows=other)
        may_be = [(False, True) if leaf.shape[:axes] == batch else (False,) for leaf in leaves]
        for by_row in itertools.product(*may_be):
            taken = [resized(x) if is_so else x for x, is_so in zip(leaves, by_row, strict=True)]
            of_others = jax.tree.unflatten(form, taken), *jax.tree.map(resized, (carry, x))
            if _agrees(step, of_others, other):
                return Rows(batch, by_row)
    return None if most else Rows((), (False,) * len(leaves))


def _common(shapes: Sequence[tuple[int, ...]], most: int) -> int:
    """On how many leading axes all shapes agree."""
    axes = 0
    while axes < most and len({shape[axes : axes + 1] for shape in shapes}) == 1:
        axes += 1
    return axes


def _resized(leaf: Any, axes: int, rows: int) -> jax.ShapeDtypeStruct:
    return shaped(leaf, (rows, *leaf.shape[axes:]))


def _agrees(step: Step, arguments: tuple[Any, Any, Any], rows: int) -> bool:
    _, carry, _ = arguments
    try:
        after, ys = jax.eval_shape(step, *arguments)
    except (TypeError, ValueError):  # what JAX raises for shapes that do not fit
        return False
    same = jax.tree.map(lambda before, after: before.shape == after.shape, carry, after)
    led = [y.shape[:1] == (rows,) for y in jax.tree.leaves(ys)]
    return all(jax.tree.leaves(same)) and all(led)


def shaped(x: Any, shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
    """What is known of `x`, but with another shape; within `jax.shard_map`, over what it varies."""
    if isinstance(x, jax.ShapeDtypeStruct):
        known = {"sharding": x.sharding, "manual_axis_type": x.manual_axis_type}
    else:
        kind = jax.typeof(x)
        mesh = kind.sharding.mesh
        known = {
            "sharding": None if mesh.empty else NamedSharding(mesh, PartitionSpec()),
            "manual_axis_type": kind.manual_axis_type,
        }
    return jax.ShapeDtypeStruct(shape, x.dtype, **known)


def shapes(tree: Any) -> Any:
    """What is known of arrays beside their numbers."""
    return jax.tree.map(lambda x: shaped(x, x.shape), tree)


def one_step(xs: Any) -> Any:
    """The same of one step of `xs`."""
    return jax.tree.map(lambda x: shaped(x, x.shape[1:]), xs)
