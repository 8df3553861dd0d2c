"""A cell of this library as a module of linen, and an `RNN` that calls `unroll`."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from flax.core import FrozenDict, unfreeze

from rnn_jax.cell import Cell, Method
from rnn_jax.errors import StructureError
from rnn_jax.interop.flax_call import as_read, feature_shape, over_time
from rnn_jax.methods.bptt import BPTT
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


class RNN(linen.Module):
    """In the place of `linen.RNN`: a cell of linen over a sequence, run by `rnn_jax.unroll`.

    Called as `linen.RNN` is, with the same variables, and a part of a `linen.Bidirectional` as
    that is. What differs is the padding: a step that does not happen emits zeros, its input
    reaches neither a value nor a gradient, be it NaN, and a sequence of length 0 keeps its initial
    carry. No history of carries is kept to pick the last one from. The settings of Flax's loop,
    `unroll`, `variable_axes` and the like, are not here.

    A cell that `to_linen` made runs with its own weights gradient, one matmul for many steps; any
    other cell goes through `from_linen`, its whole step in the loop.

    Args:
      cell: A `linen.RNNCellBase`.
      time_major: Whether time is axis 0, and not the axis behind the batch.
      return_carry: Whether `(carry, outputs)` is returned, and not the outputs alone.
      reverse: Run from the last step of each sequence to its first.
      keep_order: Run backward, leave outputs with their inputs, and not in the order of processing.
      method: How to go through time, as for `unroll`.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> from flax import linen
    >>> module = rnn.interop.linen.RNN(linen.LSTMCell(5))
    >>> xs = jnp.ones((2, 7, 3))
    >>> variables = module.init(jax.random.key(0), xs)
    >>> module.apply(variables, xs, seq_lengths=jnp.array([7, 4])).shape
    (2, 7, 5)
    """

    cell: Any
    time_major: bool = False
    return_carry: bool = False
    reverse: bool = False
    keep_order: bool = False
    method: Method = BPTT()

    def __call__(
        self,
        inputs: Any,
        *,
        initial_carry: Any = None,
        init_key: Any = None,
        seq_lengths: Any = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
    ) -> Any:
        """Outputs `(*batch, T, ...)`, or `(carry, outputs)`; what is None is as the module says.

        `init_key` is there for `linen.Bidirectional`, which hands it over: nothing is drawn.
        """
        from rnn_jax.interop.linen_cell import from_linen

        del init_key
        cell, shape = self.cell, feature_shape("linen", self.cell, inputs)
        if self.is_initializing():
            x = jnp.zeros((1, *shape), inputs.dtype)
            cell(cell.initialize_carry(jax.random.key(0), x.shape), x)
        module, variables = cell.unbind()
        layer, params = from_linen(module, variables, shape)
        return over_time(
            self, layer, params, inputs, initial_carry, seq_lengths,
            return_carry, time_major, reverse, keep_order,
        )  # fmt: skip


__all__ = ["RNN", "CellModule"]
