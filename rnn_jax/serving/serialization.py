"""NamedTuples for `jax.export`, which stores them under their public names."""

import contextlib
from types import ModuleType

import jax.export


def register_namedtuples(*modules: ModuleType) -> None:
    """Tell `jax.export` of every NamedTuple among the public names of the modules.

    So params and carries serialise in a program that a user exports by hand. The name in the bytes
    is the public one, `rnn_jax.LSTMCarry`: it stays where it is when the code moves.
    """
    for module in modules:
        for name in module.__all__:
            kind = getattr(module, name)
            if isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields"):
                with contextlib.suppress(ValueError):  # known: the module is loaded once more
                    jax.export.register_namedtuple_serialization(
                        kind, serialized_name=f"{module.__name__}.{name}"
                    )
