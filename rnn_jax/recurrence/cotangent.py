"""An identity whose cotangent is another."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

NAME = "map_cotangent"


def with_cotangent(f: Callable[[Any], Any], tree: Any) -> Any:
    """The tree itself; backward, `f` is applied to its cotangent.

    It has a tangent too, that of the identity, which is what `jax.custom_vjp` forbids. Backward,
    `f` is differentiated like any other function, so that higher derivatives are those of what
    really runs.
    """
    leaves, structure = jax.tree.flatten(tree)

    def on_leaves(cotangents: Sequence[jax.Array]) -> list[jax.Array]:
        return jax.tree.leaves(f(jax.tree.unflatten(structure, cotangents)))

    return jax.tree.unflatten(structure, _primitive.bind(*leaves, f=on_leaves))


def _identity(*leaves: Any, f: Any) -> list[Any]:
    del f
    return list(leaves)


def _jvp(primals: Any, tangents: Any, *, f: Any) -> Any:
    tangents = map(ad.instantiate_zeros, tangents)
    return _primitive.bind(*primals, f=f), _primitive.bind(*tangents, f=f)


def _transpose(cotangents: Any, *leaves: Any, f: Any) -> Any:
    del leaves
    return f([ad.instantiate_zeros(cotangent) for cotangent in cotangents])


def _batch(leaves: Any, axes: Any, *, f: Any) -> Any:
    size = next(x.shape[a] for x, a in zip(leaves, axes, strict=True) if a is not None)
    whole = [batching.bdim_at_front(x, a, size) for x, a in zip(leaves, axes, strict=True)]
    return _primitive.bind(*whole, f=jax.vmap(f)), [0] * len(leaves)


_primitive = Primitive(NAME)
_primitive.multiple_results = True
_primitive.def_impl(_identity)
_primitive.def_abstract_eval(_identity)
ad.primitive_jvps[_primitive] = _jvp
ad.primitive_transposes[_primitive] = _transpose
batching.primitive_batchers[_primitive] = _batch
mlir.register_lowering(_primitive, mlir.lower_fun(_identity, multiple_results=True))
