"""Tangents of which some are known to be zero, for which no work is done."""

from collections.abc import Callable
from typing import Any

import jax
from jax.custom_derivatives import SymbolicZero


def moving(tangents: Any) -> Any:
    """The tangents with None for what is known not to move: constants and integers."""
    return jax.tree.map(
        lambda t: None if isinstance(t, SymbolicZero) or t.dtype == jax.dtypes.float0 else t,
        tangents,
        is_leaf=lambda t: isinstance(t, SymbolicZero),
    )


def jvp(f: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    """`jax.jvp` along the leaves that move; no work is done for the others."""
    leaves, structure = jax.tree.flatten(primals, is_leaf=lambda p: p is None)
    directions = jax.tree.leaves(tangents, is_leaf=lambda d: d is None)
    moving = [i for i, d in enumerate(directions) if d is not None]

    def along(*moved: Any) -> Any:
        point = list(leaves)
        for i, leaf in zip(moving, moved, strict=True):
            point[i] = leaf
        return f(*jax.tree.unflatten(structure, point))

    return jax.jvp(along, [leaves[i] for i in moving], [directions[i] for i in moving])
