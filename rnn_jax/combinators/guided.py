"""A guess of the carries of all steps, for a method that iterates towards them."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.trees import difference, form
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.combinators.fit import check_part
from rnn_jax.combinators.wrapper import WrappedSplitCell
from rnn_jax.devices.sharding import split_like
from rnn_jax.errors import DtypeError, ShapeError, StructureError
from rnn_jax.recurrence.beside import bare
from rnn_jax.recurrence.steps import Steps


class GuidedParams(NamedTuple):
    """The params of the cell, and beside them a guess of its carries."""

    layer: Params
    """The params of the cell."""
    guess: Carry | None = None
    """`(T, *batch, ...)`: the carry after each step, in the order in which steps are run.

    None until `params._replace(guess=carries)` puts one there: no optimiser sees it.
    """

    def bare(self) -> "GuidedParams":
        """Without the guess, and without what stands beside the params of the cell."""
        return GuidedParams(bare(self.layer))


class _Beside(NamedTuple):
    xs: Any
    guess: Carry


@dataclasses.dataclass(frozen=True)
class Guided(WrappedSplitCell):
    """A cell that is told about where its carries are. Made by `guided`."""

    inside = Cell

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> GuidedParams:
        """The params of the cell, without a guess."""
        return GuidedParams(self.layer.init(key, dtype))

    def initial_carry(self, params: GuidedParams, batch_shape: tuple[int, ...] = ()) -> Carry:
        """The initial carry of the cell."""
        return self.layer.initial_carry(params.layer, batch_shape)

    def draw(self, params: GuidedParams, xs: Any, steps: Steps) -> tuple[GuidedParams, Any]:
        """The guess beside the inputs, where it is cut into blocks and over devices as they are."""
        guess = params.guess
        if guess is not None:
            axes = xs.ndim - len(self.input.shape)
            guess = split_like(self._checked(params, xs.shape[:axes]), xs, 0, axes)
        layer, xs = self.layer.draw(params.layer, xs, steps)
        return GuidedParams(layer), xs if guess is None else _Beside(xs, guess)

    def project(self, params: GuidedParams, xs: Any) -> Any:
        return self.layer.project(params.layer, _inputs(xs))

    def recur(self, params: GuidedParams, carry: Carry, z: Any) -> Any:
        return self.layer.recur(params.layer, carry, z)

    def readout(self, params: GuidedParams, hs: Any, xs: Any) -> jax.Array:
        return self.layer.readout(params.layer, hs, _inputs(xs))

    def linearize(self, carries: Carry, a: Any, after: Carry) -> Callable[[Carry, Any], Carry]:
        return self.layer.linearize(carries, a, after)

    def guess(self, xs: Any) -> Carry | None:
        """What was put beside the params."""
        return xs.guess if isinstance(xs, _Beside) else None

    def _checked(self, params: GuidedParams, shape: tuple[int, ...]) -> Carry:
        """The guess; raises where it is not one of carries for all these steps."""
        guess = params.guess
        expected = jax.eval_shape(lambda: self.initial_carry(params, shape))
        if difference(expected, guess) is not None:
            raise StructureError(
                f"{self!r}: params.guess must be carries of all steps, of the form "
                f"{form(expected)}, got {form(guess)}."
            )
        wanted = jax.tree_util.tree_leaves_with_path(expected)
        for (path, want), leaf in zip(wanted, jax.tree.leaves(guess), strict=True):
            place = f"params.guess{jax.tree_util.keystr(path)}"
            if leaf.shape != want.shape:
                raise ShapeError(
                    f"{self!r}: {place} must have shape (T, *batch, ...) = {want.shape}, got "
                    f"{leaf.shape}; params._replace(guess=None) runs any other number of steps."
                )
            if leaf.dtype != want.dtype:
                raise DtypeError(
                    f"{self!r}: {place} must be {want.dtype}, as the carry is, got {leaf.dtype}."
                )
        return jax.tree.map(jax.lax.stop_gradient, guess)


def _inputs(xs: Any) -> Any:
    return xs.xs if isinstance(xs, _Beside) else xs


def guided(cell: Cell) -> Guided:
    """The cell with a guess of its carries beside its params, where `Newton` starts.

    An update moves the weights a little, and the carries with them: those of the last update are
    a better start for the next one than none, and what is found does not depend on it. The guess
    is `params._replace(guess=carries)` with the carry after each step, `(T, *batch, ...)`, such as
    `newton_report` returns them; None starts at the initial carry. A number of it that is not
    finite counts as none. Methods that do not iterate take no notice. Params: `GuidedParams`; carry
    and outputs are the cell's own. It goes outermost around a cell, and into a stack with others.

    When: where the same sequences come again, for the guess is as large as all their carries.
    Source: Lim et al., ICLR 2024, arXiv:2309.12252.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.guided(rnn.GRU(3, 4))
    >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((1000, 3))
    >>> (first,) = rnn.analysis.newton_report(cell, params, xs)
    >>> params = params._replace(guess=first.carries)
    >>> (second,) = rnn.analysis.newton_report(cell, params, xs)
    >>> bool((second.iterations < first.iterations).all())
    True

    Raises `ArgumentError` for what is no cell; `unroll` raises `StructureError`, `ShapeError` and
    `DtypeError` for a guess that is none of all its steps.
    """
    check_part("guided: the cell", cell, Cell)
    return Guided(cell)
