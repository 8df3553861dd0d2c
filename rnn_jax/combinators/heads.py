"""Several small cells side by side: one whose recurrent weights are a matrix a head."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import positive, settle
from rnn_jax.cell import Carry, Method, Params, SplitCell
from rnn_jax.combinators.fit import check_part, describe, output
from rnn_jax.combinators.wrapper import Wrapper
from rnn_jax.devices.sharding import parts_of_time
from rnn_jax.errors import ArgumentError
from rnn_jax.noise import some_key
from rnn_jax.recurrence.side_by_side import SideBySide
from rnn_jax.recurrence.steps import Steps


@dataclasses.dataclass(frozen=True)
class Heads(Wrapper, SplitCell):
    """So many of one cell, which all read the same input. Made by `heads`."""

    inside = SplitCell
    number: int
    """How many."""

    def __post_init__(self) -> None:
        """Refuse what is no cell that splits, no number, and what cannot stand side by side."""
        super().__post_init__()
        settle(self, number=positive)
        cell = self.layer
        if cell.deterministic() != cell:
            raise ArgumentError(
                f"heads: {cell!r} draws noise, which all heads would have in common; put it "
                "around the heads: zoneout(heads(cell, number), rate)."
            )
        if not jax.tree.leaves(self._carry_of_one()):
            raise ArgumentError(f"heads: {cell!r} carries nothing from step to step.")
        emitted = output(cell)
        if len(emitted.shape) != 1:
            raise ArgumentError(
                f"heads: what the heads emit is joined on one axis, but {cell!r} emits "
                f"{describe(emitted)}."
            )

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Params:
        """The params of the cell, drawn for each head: every leaf `(heads, ...)`."""
        return jax.vmap(lambda key: self.layer.init(key, dtype))(jax.random.split(key, self.number))

    def initial_carry(self, params: Params, batch_shape: tuple[int, ...] = ()) -> Carry:
        """The initial carry of each: every leaf `(*batch, heads, ...)`."""
        return jax.vmap(
            lambda params: self.layer.initial_carry(params, batch_shape), out_axes=len(batch_shape)
        )(params)

    def project(self, params: Params, xs: Any) -> Any:
        axes = self._leading(xs)
        return jax.vmap(self.layer.project, (0, None), axes)(params, xs)

    def recur(self, params: Params, carry: Carry, z: Any) -> Any:
        first, of_one = jax.tree.leaves(carry)[0], jax.tree.leaves(self._carry_of_one())[0]
        axes = first.ndim - 1 - of_one.ndim
        return jax.vmap(self.layer.recur, (0, axes, axes), axes)(params, carry, z)

    def update(self, carry: Carry, a: Any) -> Carry:
        """That of the cell, to which heads are a batch."""
        return self.layer.update(carry, a)

    def emit(self, carry: Carry, a: Any) -> Any:
        return self.layer.emit(carry, a)

    def linearize(self, carries: Carry, a: Any, after: Carry) -> Callable[[Carry, Any], Carry]:
        return self.layer.linearize(carries, a, after)

    def readout(self, params: Params, hs: Any, xs: Any) -> jax.Array:
        """What the heads emit, side by side."""
        axes = self._leading(xs)
        return _joined(jax.vmap(self.layer.readout, (0, axes, None), axes)(params, hs, xs))

    def unroll(
        self, params: Params, xs: Any, carry: Carry, steps: Steps, method: Method
    ) -> tuple[Carry, jax.Array]:
        """Hand the loop of each head to `method`: no head reads another."""
        devices = parts_of_time(xs)
        if devices > 1:
            raise ArgumentError(
                f"{self!r}: xs is split over {devices} devices along time, and heads are run side "
                "by side over all of it; jax.reshard splits xs anew, along its batch."
            )
        axes = self._leading(xs) - 1
        beside = SideBySide(method, self.number)

        def run(params: Params, carry: Carry, initial: Carry | None) -> tuple[Carry, jax.Array]:
            return self.layer.unroll(params, xs, carry, steps._replace(initial=initial), beside)

        start = None if steps.initial is None else axes
        carry, ys = jax.vmap(run, (0, axes, start), (axes, axes + 1))(params, carry, steps.initial)
        return carry, _joined(ys)

    def _leading(self, xs: Any) -> int:
        return xs.ndim - len(self.input.shape)

    def _carry_of_one(self) -> Carry:
        return jax.eval_shape(
            lambda key: self.layer.initial_carry(self.layer.init(key)), some_key()
        )


def _joined(ys: jax.Array) -> jax.Array:
    return ys.reshape(*ys.shape[:-2], ys.shape[-2] * ys.shape[-1])


def heads(cell: SplitCell, number: int) -> Heads:
    """So many of a cell side by side, which read the same input and do not read one another.

    A cell of H units becomes one of `number * H`, whose recurrent weights are block-diagonal: a
    matrix a head, `number * H^2` numbers a gate in place of `(number H)^2`. Emitted is
    `[h_1, ..., h_number]`. Shapes: x `(*batch, D)`, y `(*batch, number * H)`. Params: those of the
    cell, each `(number, ...)`. Carry: that of the cell, each `(*batch, number, ...)`.

    Cost of a step: that of the cell, so many times. What a step multiplies by is smaller than with
    one matrix, and by `Fused` a program of the kernel runs one head, whose weights fit a chip where
    one matrix would not. `Newton` solves for each head alone. Heads meet in the next layer of a
    stack.
    Sources: Beck et al., NeurIPS 2024, arXiv:2405.04517 (sLSTM of xLSTM); Pöppel et al., ICLR 2025,
    arXiv:2412.07752 (FlashRNN).

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.heads(rnn.LSTM(3, 4), 2)
    >>> params = cell.init(jax.random.key(0))
    >>> carry, ys = rnn.unroll(cell, params, jnp.ones((7, 5, 3)))
    >>> params.w_hh.shape, carry.c.shape, ys.shape
    ((2, 4, 16), (5, 2, 4), (7, 5, 8))

    Raises `ArgumentError` for a cell whose step does not split, one with noise of its own, one that
    carries nothing or emits more than one axis, for a number that is not a positive integer, and,
    run, for an `xs` whose time is split over devices.
    """
    check_part("heads: the cell", cell, SplitCell)
    return Heads(cell, positive("heads: number", number))
