"""An `RNN` for linen that calls `unroll`."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from rnn_jax.cell import Method
from rnn_jax.interop.flax_call import feature_shape, over_time
from rnn_jax.interop.linen_cell import from_linen
from rnn_jax.methods.bptt import BPTT


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


__all__ = ["RNN"]
