"""Any cell of nnx as a `Cell`: what it is in its graph, its numbers as params."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import short
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.errors import StructureError
from rnn_jax.interop.foreign import ForeignCell, placed, shapes_of
from rnn_jax.interop.nnx_module import CellModule


@dataclasses.dataclass(frozen=True)
class NnxCell(ForeignCell):
    """A cell of nnx. Made by `from_nnx`."""

    graph: Any = dataclasses.field(repr=False)
    """What the module is without its arrays, as `nnx.split` gives it."""
    structure: Any = dataclasses.field(repr=False)
    """The form of its params as a state of nnx."""
    streams: Any = dataclasses.field(repr=False)
    """The same of its random streams, which no step draws from."""
    stream_leaves: tuple[Any, ...] = dataclasses.field(repr=False)
    """Shapes and dtypes of their arrays."""

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Params:
        """Not to be had, for a module of nnx does not keep how it was drawn.

        Raises `StructureError`; under jit, where nothing can be raised, every number is NaN.
        """
        if not isinstance(key, jax.core.Tracer):
            raise StructureError(
                "NnxCell.init: a module of nnx does not keep how it was drawn; make another module "
                "with other rngs, and take its params, from_nnx(module)[1]."
            )
        state = self.structure.unflatten([jnp.full(s, jnp.nan, dtype) for s in self.shapes])
        return nnx.to_pure_dict(state)

    def begin(self, params: Params, key: jax.Array, shape: tuple[int, ...]) -> Carry:
        return self._module(params, key).initialize_carry(shape, nnx.Rngs(key))

    def call(self, params: Params, key: jax.Array, carry: Carry, x: jax.Array) -> Any:
        return self._module(params, key)(carry, x)

    def _module(self, params: Params, key: jax.Array) -> Any:
        streams = self.streams.unflatten(
            [
                jnp.broadcast_to(key, shape)
                if jnp.issubdtype(dtype, jax.dtypes.prng_key)
                else jnp.zeros(shape, dtype)
                for shape, dtype in self.stream_leaves
            ]
        )
        return nnx.merge(self.graph, self.structure.unflatten(jax.tree.leaves(params)), streams)


def from_nnx(module: Any, input_shape: Iterable[int] | None) -> tuple[Cell, Params]:
    """The cell that a module of nnx is, and its params."""
    if isinstance(module, CellModule):
        return module.layer, module.arrays()
    name = type(module).__name__ if isinstance(module, nnx.Module) else short(module)
    what = f"from_nnx: {name}"
    if not hasattr(module, "initialize_carry") or not hasattr(module, "num_feature_axes"):
        of = "; hand over its cell" if hasattr(module, "cell") else ""
        raise StructureError(f"{what} is no cell, an nnx.RNNCellBase{of}.")
    parts: Any = nnx.split(module, nnx.Param, nnx.RngState, ...)
    graph, state, streams, rest = parts
    others = nnx.to_flat_state(rest)
    if others:
        path, variable = next(iter(others))
        raise StructureError(
            f"{what} has more than params: {'.'.join(map(str, path))} is of "
            f"{type(variable).__name__}, and what a Cell hands from step to step is its carry."
        )
    params = nnx.to_pure_dict(state)

    def make(shape: tuple[int, ...]) -> NnxCell:
        return NnxCell(
            type(module).__name__,
            shape,
            shapes_of(params),
            graph,
            jax.tree.structure(state),
            jax.tree.structure(streams),
            tuple((leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(streams)),
        )

    return placed(what, make, params, module.num_feature_axes, input_shape), params


__all__ = ["NnxCell", "from_nnx"]
