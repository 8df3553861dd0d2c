"""A cell of this library as a module of linen."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from flax.core import FrozenDict, unfreeze

from rnn_jax.cell import Cell
from rnn_jax.errors import StructureError
from rnn_jax.interop.flax_call import as_read
from rnn_jax.noise import some_key
from rnn_jax.recurrence.dependence import depends
from rnn_jax.unroll import step


class CellModule(linen.RNNCellBase):
    """A cell as an `RNNCellBase` of linen. Made by `to_linen`.

    Its variables are `{"params": {"weights": params}}`, with the params of the cell as they are.
    """

    layer: Cell
    param_dtype: Any = jnp.float32

    def setup(self) -> None:
        """All params are drawn at once, by the cell's own `init`."""
        params = self.param("weights", self.layer.init, self.param_dtype)
        # Behind a function, for linen makes other containers of what it finds in attributes.
        self.arrays = lambda: unfreeze(params) if isinstance(params, FrozenDict) else params

    def __call__(self, carry: Any, inputs: Any) -> tuple[Any, jax.Array]:
        """One step, for any batch axes: the new carry, and what the cell emits."""
        params = self.arrays()
        return step(self.layer, params, as_read(self.layer, params, inputs), carry)

    @linen.nowrap
    def initialize_carry(self, rng: jax.Array, input_shape: tuple[int, ...]) -> Any:
        """The cell's own initial carry, for which nothing is drawn."""
        del rng
        batch_shape = tuple(input_shape[: len(input_shape) - self.num_feature_axes])
        if self.scope is not None:
            return self.layer.initial_carry(self.arrays(), batch_shape)
        like = jax.eval_shape(lambda key: self.layer.init(key, self.param_dtype), some_key())
        if depends(lambda params: self.layer.initial_carry(params, batch_shape), (like,), 0):
            raise StructureError(
                f"to_linen: the initial carry of {self.layer!r} is made of its params, and a "
                "module of linen that is not bound has none; take layer.initial_carry(params, "
                f"batch_shape={batch_shape})."
            )
        zeros = jax.tree.map(lambda p: jnp.zeros(p.shape, p.dtype), like)
        return self.layer.initial_carry(zeros, batch_shape)

    @property
    def num_feature_axes(self) -> int:
        """How many axes of the input are not of the batch."""
        return len(self.layer.input.shape)


__all__ = ["CellModule"]
