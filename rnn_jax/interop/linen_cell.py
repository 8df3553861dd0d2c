"""Any cell of linen as a `Cell`: a module is a value, its variables are params."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from flax.core import unfreeze
from flax.errors import InvalidRngError
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import short
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.checks import check_params
from rnn_jax.errors import StructureError
from rnn_jax.interop.foreign import ForeignCell, placed, shapes_of
from rnn_jax.interop.linen_module import CellModule


@dataclasses.dataclass(frozen=True)
class LinenCell(ForeignCell):
    """A cell of linen. Made by `from_linen`."""

    module: Any = dataclasses.field(repr=False)
    """The module, which is not bound."""

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Params:
        """Fresh params, as the module draws them."""
        x = jnp.zeros((1, *self.input_shape), dtype)
        carry = self.module.initialize_carry(key, x.shape)
        params = unfreeze(self.module.init(key, carry, x))["params"]
        return jax.tree.map(lambda p: p.astype(dtype), params)

    def begin(self, params: Params, key: jax.Array, shape: tuple[int, ...]) -> Carry:
        del params
        return self.module.initialize_carry(key, shape)

    def call(self, params: Params, key: jax.Array, carry: Carry, x: jax.Array) -> Any:
        del key  # no stream is handed over, so that a module that draws says so
        try:
            return self.module.apply({"params": params}, carry, x)
        except InvalidRngError:
            raise StructureError(
                f"from_linen: a step of {type(self.module).__name__} draws random numbers, which a "
                "Cell reads beside its inputs; switch it off there, and put rnn.dropout or "
                "rnn.zoneout around the cell."
            ) from None


def from_linen(
    module: Any, variables: Any, input_shape: Iterable[int] | None
) -> tuple[Cell, Params]:
    """The cell that a module of linen is, and the params that its variables are."""
    if not isinstance(module, linen.Module) or not hasattr(module, "initialize_carry"):
        of = "; hand over its cell" if hasattr(module, "cell") else ""
        name = type(module).__name__ if isinstance(module, linen.Module) else short(module)
        raise StructureError(f"from_linen: {name} is no cell, a linen.RNNCellBase{of}.")
    what = f"from_linen: {type(module).__name__}"
    if not isinstance(variables, Mapping) or "params" not in variables:
        raise StructureError(
            f'{what}: variables must be {{"params": ...}}, as module.init returns them, got '
            f"{short(variables)}."
        )
    others = [name for name in variables if name != "params" and jax.tree.leaves(variables[name])]
    if others:
        raise StructureError(
            f"{what} has more than params, the collection {others[0]!r}, and what a Cell hands "
            "from step to step is its carry."
        )
    params = unfreeze(dict(variables))["params"]
    if isinstance(module, CellModule):
        own = params.get("weights")
        check_params(module.layer, own, None)
        return module.layer, own
    module = module.clone(parent=None, name=None)

    def make(shape: tuple[int, ...]) -> LinenCell:
        return LinenCell(type(module).__name__, shape, shapes_of(params), module)

    return placed(what, make, params, module.num_feature_axes, input_shape), params


__all__ = ["LinenCell", "from_linen"]
