"""Find what one transformation of optax keeps, wherever it lies in the state of an optimiser."""

from collections.abc import Callable
from typing import Any

import jax
import optax


def states_of(opt_state: optax.OptState, kind: type) -> list[Any]:
    """All states of a kind, in order: of a chain, and within wrappers."""
    return [s for s in jax.tree.leaves(opt_state, is_leaf=_is_a(kind)) if isinstance(s, kind)]


def with_each(
    opt_state: optax.OptState, kind: type, change: Callable[[Any], Any]
) -> optax.OptState:
    """The same with every state of the kind changed."""
    return jax.tree.map(
        lambda s: change(s) if isinstance(s, kind) else s, opt_state, is_leaf=_is_a(kind)
    )


def _is_a(kind: type) -> Callable[[Any], bool]:
    return lambda node: isinstance(node, kind)
