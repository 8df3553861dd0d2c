"""An `RNN` for nnx that calls `unroll`."""

from typing import Any

from flax import nnx

from rnn_jax.cell import Method
from rnn_jax.interop.flax_call import feature_shape, over_time
from rnn_jax.interop.nnx_cell import from_nnx
from rnn_jax.methods.bptt import BPTT


class RNN(nnx.Module):
    """In the place of `nnx.RNN`: a cell of nnx over a sequence, run by `rnn_jax.unroll`.

    Called as `nnx.RNN` is, and a part of an `nnx.Bidirectional` as that is. What differs is the
    padding: a step that does not happen emits zeros, its input reaches neither a value nor a
    gradient, be it NaN, and a sequence of length 0 keeps its initial carry. No history of carries
    is kept to pick the last one from. The settings of Flax's loop, `unroll`, `state_axes`,
    `broadcast_rngs` and `rngs`, are not here.

    A cell that `to_nnx` made runs with its own weights gradient, one matmul for many steps; any
    other cell goes through `from_nnx`, its whole step in the loop. `to_nnx(*read(cell))` makes the
    first of the second, where there is a counterpart.

    Args:
      cell: An `nnx.RNNCellBase`.
      time_major: Whether time is axis 0, and not the axis behind the batch.
      return_carry: Whether `(carry, outputs)` is returned, and not the outputs alone.
      reverse: Run from the last step of each sequence to its first.
      keep_order: Run backward, leave outputs with their inputs, and not in the order of processing.
      method: How to go through time, as for `unroll`.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> from flax import nnx
    >>> cell = nnx.LSTMCell(3, 5, rngs=nnx.Rngs(0))
    >>> rnn.interop.nnx.RNN(cell)(jnp.ones((2, 7, 3)), seq_lengths=jnp.array([7, 4])).shape
    (2, 7, 5)
    """

    def __init__(
        self,
        cell: Any,
        *,
        time_major: bool = False,
        return_carry: bool = False,
        reverse: bool = False,
        keep_order: bool = False,
        method: Method = BPTT(),
    ) -> None:
        """See the class."""
        self.cell = cell
        self.time_major = time_major
        self.return_carry = return_carry
        self.reverse = reverse
        self.keep_order = keep_order
        self.method = method

    def __call__(
        self,
        inputs: Any,
        *,
        initial_carry: Any = None,
        seq_lengths: Any = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
        rngs: Any = None,
    ) -> Any:
        """Outputs `(*batch, T, ...)`, or `(carry, outputs)`; what is None is as the module says.

        `rngs` is there for `nnx.Bidirectional`, which hands it over: nothing is drawn.
        """
        del rngs
        layer, params = from_nnx(self.cell, feature_shape("nnx", self.cell, inputs))
        return over_time(
            self, layer, params, inputs, initial_carry, seq_lengths,
            return_carry, time_major, reverse, keep_order,
        )  # fmt: skip


__all__ = ["RNN"]
