"""A memory beside the params: what attention reads at every step, and no step writes.

In the carry it would be stored once a step by the backward pass; as a constant no gradient would
find it. So it is handed over among the params, as the initial carry of a reset is.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class Memory(NamedTuple):
    """Places that a query is compared with, of the dtype of the params. Made by `with_memory`."""

    values: jax.Array
    """`(S, *batch, M)`: what is read; zeros where there is no place."""
    keys: jax.Array | None
    """`(S, *batch, A)`: what a query is compared with; None where it is the values themselves."""
    valid: jax.Array | None
    """`(S, *batch)`: 1 where there is a place and 0 where there is none; None where all are.

    Floating, so that params with a memory can be cast and differentiated as one pytree.
    """


class AttentionParams(NamedTuple):
    """The params of an `Attention`, and beside them the memory that it reads."""

    w_key: jax.Array | None
    """`(M, A)`: makes the keys of the memory, once; None where its values are compared."""
    score: Any
    """The other params of the score."""
    memory: Memory | None = None
    """None until `with_memory` puts one there: no optimiser sees it."""

    def bare(self) -> "AttentionParams":
        """Without the memory."""
        return self._replace(memory=None)


def readers(params: Any) -> list[tuple[str, AttentionParams]]:
    """Who reads a memory among these params, each with its path."""
    found = jax.tree_util.tree_leaves_with_path(params, is_leaf=_reads)
    return [(jax.tree_util.keystr(path), one) for path, one in found if _reads(one)]


def remembering(params: Any, change: Callable[[AttentionParams], AttentionParams]) -> Any:
    """The params with those of each reader changed."""
    return jax.tree.map(lambda one: change(one) if _reads(one) else one, params, is_leaf=_reads)


def _reads(node: Any) -> bool:
    return isinstance(node, AttentionParams)
