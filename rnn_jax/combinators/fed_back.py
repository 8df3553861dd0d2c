"""A cell that reads what it emitted at the step before."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax.cell import Carry, Cell, Input, Params
from rnn_jax.combinators.fit import check_part, describe, output
from rnn_jax.combinators.joined import check_joined, draw_joined, join, own_input
from rnn_jax.combinators.wrapper import WrappedCell
from rnn_jax.errors import ArgumentError
from rnn_jax.recurrence.steps import Steps


class FedBackCarry(NamedTuple):
    """The carry of the cell, and what it has emitted last."""

    layer: Carry
    """The carry of the cell."""
    y: jax.Array
    """`(*batch, F)`: what it emitted at the step before; zeros at first."""


@dataclasses.dataclass(frozen=True)
class FedBack(WrappedCell):
    """A cell with its last output joined to its input. Made by `fed_back`."""

    def __post_init__(self) -> None:
        """Refuse what is no cell, or does not read what it emits."""
        super().__post_init__()
        check_joined("fed_back", self.layer, self._size, "its last output")

    @property
    def _size(self) -> int:
        return output(self.layer).shape[0]

    @property
    def input(self) -> Input:
        """What the cell inside reads before its own output."""
        return own_input(self.layer, self._size)

    def initial_carry(self, params: Params, batch_shape: tuple[int, ...] = ()) -> FedBackCarry:
        """The initial carry of the cell, and zeros."""
        leaves = jax.tree.leaves(params)
        dtype = leaves[0].dtype if leaves else jnp.float32
        y = jnp.zeros((*batch_shape, self._size), dtype)
        return FedBackCarry(self.layer.initial_carry(params, batch_shape), y)

    def draw(self, params: Params, xs: Any, steps: Steps) -> tuple[Params, Any]:
        """Draw the noise of the cell."""
        return draw_joined(self.layer, params, xs, self._size, steps)

    def project(self, params: Params, xs: Any) -> Any:
        """The inputs: the cell inside projects them within the loop, with its output."""
        del params
        return xs

    def step(self, params: Params, carry: FedBackCarry, z: Any) -> tuple[FedBackCarry, jax.Array]:
        """One step of the cell, its readout too."""
        x = join(z, carry.y)
        after, h = self.layer.step(params, carry.layer, self.layer.project(params, x))
        y = self.layer.readout(params, h, x)
        return FedBackCarry(after, y), y

    def readout(self, params: Params, hs: jax.Array, xs: Any) -> jax.Array:
        """It was made within the loop."""
        del params, xs
        return hs

    unroll = Cell.unroll


def fed_back(cell: Cell) -> FedBack:
    """The cell with what it emitted at the step before joined to its input.

    `y_t = cell([x_t, y_{t-1}])`, with zeros for `y_{-1}`: a cell that reads D + F numbers and emits
    F becomes one that reads D. Around `stack(cell, AttentionReadout(...))` it is Luong's input
    feeding, by which attention knows what it has attended to. Shapes: x `(*batch, D)`, y
    `(*batch, F)`. Params: the cell's own. Carry: `FedBackCarry`, that of the cell and y. Cost:
    what the cell makes of its inputs before the loop, and of its states behind it, is made within.
    Source: Luong, Pham & Manning, EMNLP 2015, arXiv:1508.04025, section 3.3.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> from rnn_jax.attention import Attention, AttentionReadout, General, with_memory
    >>> readout = AttentionReadout(Attention(8, 6, General()), features=5)
    >>> cell = rnn.fed_back(rnn.stack(rnn.LSTM(3 + 5, 8), readout))
    >>> params = with_memory(cell, cell.init(jax.random.key(0)), jnp.ones((9, 2, 6)))
    >>> rnn.unroll(cell, params, jnp.ones((7, 2, 3)))[1].shape
    (7, 2, 5)

    Raises `ArgumentError` for what is not a cell, for one that does not emit a vector, or does not
    read more numbers than it emits.
    """
    check_part("fed_back: the cell", cell, Cell)
    emitted = output(cell)
    if len(emitted.shape) != 1:
        raise ArgumentError(
            f"fed_back: the cell must emit a vector a step, to read it at the next; {cell!r} "
            f"emits {describe(emitted)}."
        )
    return FedBack(cell)
