"""What may stand beside the params: None as `init` makes them, so that no optimiser sees it."""

from typing import Any, Protocol, runtime_checkable

import jax


@runtime_checkable
class HasRoom(Protocol):
    """Params with a place for it: a NamedTuple that knows itself without."""

    def bare(self) -> Any:
        """The params as `init` made them."""


def bare(params: Any) -> Any:
    """The params as `init` made them."""
    return jax.tree.map(lambda node: node.bare() if _has(node) else node, params, is_leaf=_has)


def has_room(params: Any) -> bool:
    """Whether something may stand beside any of them."""
    return any(map(_has, jax.tree.leaves(params, is_leaf=_has)))


def _has(node: Any) -> bool:
    return isinstance(node, HasRoom)
