"""One layer at each of several places of what is read, with the same weights at all."""

import dataclasses
from typing import Any, overload

import jax
import jax.numpy as jnp

from rnn_jax.arguments.settings import positive, settle
from rnn_jax.cell import Carry, Cell, Input, Layer, Method, Params
from rnn_jax.combinators.fit import check_part
from rnn_jax.combinators.wrapper import WrappedCell, Wrapper
from rnn_jax.errors import ArgumentError
from rnn_jax.noise import some_key
from rnn_jax.recurrence.memory import readers
from rnn_jax.recurrence.steps import Steps


@dataclasses.dataclass(frozen=True)
class AtEachLayer(Wrapper):
    """The layer at each place; to it places are one more batch axis. Made by `at_each`."""

    places: int
    """How many."""

    def __post_init__(self) -> None:
        """Refuse what is no layer, no number, and what attends to a memory of each sequence."""
        super().__post_init__()
        settle(self, places=positive)
        if readers(jax.eval_shape(self.layer.init, some_key())):
            raise ArgumentError(
                f"at_each: {self.layer!r} attends to a memory of each sequence, which has no axis "
                "of places; attend in a layer of the stack that reads all places."
            )

    @property
    def input(self) -> Input:
        """What the layer inside reads, at each place."""
        inside = self.layer.input
        return inside._replace(shape=(self.places, *inside.shape))

    def initial_carry(self, params: Params, batch_shape: tuple[int, ...] = ()) -> Carry:
        """That of the layer inside, at each place: every leaf `(*batch, places, ...)`."""
        return self.layer.initial_carry(params, (*batch_shape, self.places))

    def unroll(
        self, params: Params, xs: Any, carry: Carry, steps: Steps, method: Method
    ) -> tuple[Carry, jax.Array]:
        """Run the layer inside on a larger batch."""
        return self.layer.unroll(params, xs, carry, self._at_places(steps), method)

    def _at_places(self, steps: Steps) -> Steps:
        """The same steps happen at all places."""

        def beside(marks: jax.Array | None) -> jax.Array | None:
            if marks is None:
                return None
            return jnp.broadcast_to(marks[..., None], (*marks.shape, self.places))

        return steps._replace(valid=beside(steps.valid), reset=beside(steps.reset))


@dataclasses.dataclass(frozen=True)
class AtEach(AtEachLayer, WrappedCell):
    """A cell at each of so many places, which is a cell."""

    def draw(self, params: Params, xs: Any, steps: Steps) -> tuple[Params, Any]:
        """What the cell inside draws, for each place anew."""
        return self.layer.draw(params, xs, self._at_places(steps))


@overload
def at_each(layer: Cell, places: int) -> AtEach: ...
@overload
def at_each(layer: Layer, places: int) -> AtEachLayer: ...
def at_each(layer: Layer, places: int) -> AtEachLayer:
    """One layer at each of so many places, with the same weights and a carry of its own.

    `y_t[k] = layer(x[k])_t` for every place k: a key of a piano, a sensor, a pixel of a row. No
    place reads another; put a layer in front that shows each what is around it. Shapes: x
    `(*batch, places, *D)`, y `(*batch, places, *E)`, where the layer reads D and emits E. Params:
    the layer's own. Carry: the layer's own, with an axis of the places behind those of the batch.

    Cost of a step: that of the layer with a batch so many times larger. Where `heads` has other
    weights in each of its cells and one input, this has other inputs and one set of weights, so
    what was learned at one place is known at all. A cell remains a cell.
    Source: Johnson, EvoMUSART 2017 (tied parallel networks).

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.at_each(rnn.GRU(3, 4), 88)
    >>> params = cell.init(jax.random.key(0))
    >>> carry, ys = rnn.unroll(cell, params, jnp.ones((7, 5, 88, 3)))
    >>> params.w_hh.shape, carry.h.shape, ys.shape
    ((4, 12), (5, 88, 4), (7, 5, 88, 4))

    Raises `ArgumentError` for what is no layer, for one that attends to a memory, and for a number
    that is not a positive integer.
    """
    check_part("at_each: the layer", layer)
    places = positive("at_each: places", places)
    return (AtEach if isinstance(layer, Cell) else AtEachLayer)(layer, places)
