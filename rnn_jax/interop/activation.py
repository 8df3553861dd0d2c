"""The nonlinearity of an `Elman` or a `Dense`, which is a setting here and in most libraries."""

from collections.abc import Callable

import jax

from rnn_jax.arguments.settings import function, short
from rnn_jax.errors import ArgumentError, StructureError
from rnn_jax.interop.layout import Layout, Library

Activation = Callable[[jax.Array], jax.Array]


def chosen_activation(
    library: Library, layout: Layout, given: Activation | None
) -> Activation | None:
    """Which nonlinearity, where arrays say nothing of it; None where there may be none."""
    known = layout.activations
    if given is None:
        if known is not None and None in known.values():
            return None
        if known is not None and len(known) == 1:
            return next(iter(known.values()))
        raise ArgumentError(
            f"{library.name}: the arrays of {layout.peer} do not say what its nonlinearity is; say "
            "it, activation=jnp.tanh or another, or hand over the layer itself."
        )
    function(f"{library.name}: activation", given)
    check_activation(library, layout, given, "")
    return given


def check_activation(
    library: Library, layout: Layout, given: Activation | None, place: str
) -> None:
    """Raise where they have no such nonlinearity; `place` is where it is, in words."""
    known = layout.activations
    if known is not None and given not in known.values():
        raise StructureError(
            f"{library.name}: {place}{layout.peer} has the nonlinearity {' or '.join(known)}, got "
            f"{short(given)}."
        )
