"""Dropout of the same units at all steps, on what a cell reads and on its recurrent state."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.arguments.settings import one_rate, settle
from rnn_jax.cell import Carry, Layer, Params, SplitCell
from rnn_jax.combinators.fit import check_part
from rnn_jax.combinators.wrapper import WrappedSplitCell
from rnn_jax.devices.sharding import split_like
from rnn_jax.errors import ArgumentError
from rnn_jax.noise import Noisy, drop, missing_key, required_key, survivors
from rnn_jax.recurrence.steps import Steps


@dataclasses.dataclass(frozen=True)
class Variational(WrappedSplitCell):
    """A cell whose weights read the same units of the input and of the state at all steps.

    Made by `variational`.
    """

    inputs: float
    """The probability that an input unit is dropped."""
    state: float
    """The probability that a unit of the recurrent state is dropped."""

    def __post_init__(self) -> None:
        """Refuse what is no cell that splits, and no rate."""
        super().__post_init__()
        settle(self, inputs=one_rate, state=one_rate)

    def deterministic(self) -> Layer:
        """The cell inside."""
        return self.layer.deterministic()

    def draw(self, params: Params, xs: Any, steps: Steps) -> tuple[Noisy, Any]:
        """Two masks a sequence: one is applied here, to all inputs, the other in `recur`."""
        key, inner = jax.random.split(required_key(self, steps.key))
        batch_shape = xs.shape[1 : xs.ndim - len(self.input.shape)]
        leaves, structure = jax.tree.flatten(self.initial_carry(params, batch_shape))
        masks = [
            survivors(jax.random.fold_in(key, 1 + index), self.state, leaf.shape)
            for index, leaf in enumerate(leaves)
        ]
        masks = split_like(masks, xs, 1, 1 + len(batch_shape))
        if self.inputs:
            mask = survivors(jax.random.fold_in(key, 0), self.inputs, xs.shape[1:])
            xs = drop(split_like(mask, xs, 1, xs.ndim)[None], xs, self.inputs)
        params, xs = self.layer.draw(params, xs, steps._replace(key=inner))
        return Noisy(params, jax.tree.unflatten(structure, masks)), xs

    def project(self, params: Any, xs: Any) -> Any:
        if not isinstance(params, Noisy):
            raise missing_key(self)
        return self.layer.project(params.value, xs)

    def recur(self, params: Noisy, carry: Carry, z: Any) -> Any:
        """The preactivations, from the state with its mask; `update` reads the state without."""
        seen = jax.tree.map(lambda mask, c: drop(mask, c, self.state), params.noise, carry)
        return self.layer.recur(params.value, seen, z)

    def readout(self, params: Noisy, hs: jax.Array, xs: Any) -> jax.Array:
        return self.layer.readout(params.value, hs, xs)

    def linearize(self, carries: Carry, a: Any, after: Carry) -> Callable[[Carry, Any], Carry]:
        return self.layer.linearize(carries, a, after)


def variational(cell: SplitCell, inputs: float, state: float) -> Variational:
    """The cell with variational dropout: one mask for all steps of a run.

    Where the cell reads x it reads `m_x x / (1 - inputs)`, and where its weights read the state h
    they read `m_h h / (1 - state)`, each mask drawn from the `key` of `unroll` once a run,
    sequence and unit. Params and carry are the cell's own, and `deterministic()` is the cell. On
    what a layer emits: `VariationalDropout`. Other rates are another program; for a schedule of
    them let them change in a few stages. Source: Gal & Ghahramani, NeurIPS 2016.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.variational(rnn.LSTM(3, 4), inputs=0.25, state=0.25)
    >>> params = cell.init(jax.random.key(0))
    >>> _, ys = rnn.unroll(cell, params, jnp.ones((7, 2, 3)), key=jax.random.key(1))
    >>> cell.deterministic() == rnn.LSTM(3, 4)
    True

    Raises `ArgumentError` for a cell whose step does not split into `recur` and `update`, for a
    rate outside [0, 1), for dropped inputs where they are integers, and where a key is missing.
    """
    check_part("variational: the cell", cell, SplitCell)
    inputs, state = one_rate("inputs", inputs), one_rate("state", state)
    if inputs and cell.input.kind is jnp.integer:
        raise ArgumentError(f"variational: {cell!r} reads integers, which cannot be dropped.")
    return Variational(cell, inputs, state)
