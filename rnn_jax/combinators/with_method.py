"""A layer that goes its own way through time."""

import dataclasses
from typing import Any, overload

import jax

from rnn_jax.arguments.settings import one_method, settle
from rnn_jax.cell import Carry, Cell, Layer, Method, Params
from rnn_jax.combinators.fit import check_part
from rnn_jax.combinators.wrapper import WrappedCell, Wrapper
from rnn_jax.recurrence.steps import Steps


@dataclasses.dataclass(frozen=True)
class WithMethodLayer(Wrapper):
    """A layer with a method of its own. Made by `with_method`."""

    method: Method
    """In place of the one that `unroll` is given."""

    def __post_init__(self) -> None:
        """Refuse what is no layer, and no method."""
        super().__post_init__()
        settle(self, method=one_method)

    def unroll(
        self, params: Params, xs: Any, carry: Carry, steps: Steps, method: Method
    ) -> tuple[Carry, jax.Array]:
        """The layer inside, by its own method."""
        # A single step is no loop: whoever takes one, such as `step`, knows how.
        own = method if xs.shape[0] == 1 else self.method
        return self.layer.unroll(params, xs, carry, steps, own)


@dataclasses.dataclass(frozen=True)
class WithMethod(WithMethodLayer, WrappedCell):
    """A cell with a method of its own, which is a cell."""


@overload
def with_method(layer: Cell, method: Method) -> WithMethod: ...
@overload
def with_method(layer: Layer, method: Method) -> WithMethodLayer: ...
def with_method(layer: Layer, method: Method) -> WithMethodLayer:
    """The layer with a method of its own, whichever one `unroll` is given.

    So that in one stack the linear layers go through time in parallel and an LSTM step by step.
    Params, carry and numbers are the layer's own. A cell remains a cell.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> by_scan = rnn.with_method(rnn.LSTM(4, 4), rnn.Scan())
    >>> model = rnn.stack(by_scan, rnn.GRU(4, 4))  # the GRU by the method of unroll
    >>> rnn.unroll(model, model.init(jax.random.key(0)), jnp.ones((7, 4)))[1].shape
    (7, 4)

    Raises `ArgumentError` for what is not a layer, or not a method.
    """
    check_part("with_method: the layer", layer)
    return (WithMethod if isinstance(layer, Cell) else WithMethodLayer)(layer, method)
