"""What a gradient becomes on its way from one step back to the step before."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.tree_util import Partial

from rnn_jax.arguments.settings import function, settle
from rnn_jax.arguments.trees import difference
from rnn_jax.cell import Carry, Cell, Params
from rnn_jax.combinators.fit import check_part
from rnn_jax.combinators.wrapper import WrappedSplitCell
from rnn_jax.errors import ArgumentError
from rnn_jax.noise import some_key
from rnn_jax.recurrence.cotangent import with_cotangent


class _Preactivations(NamedTuple):
    a: Any
    start: Carry
    """Handed over by `recur`, so that `f` sees all that flows back to the carry in one sum."""


@dataclasses.dataclass(frozen=True)
class MapCotangent(WrappedSplitCell):
    """A cell that changes the cotangent of its carry at every step. Made by `map_cotangent`."""

    inside = Cell
    f: Callable[[Carry], Carry]
    """`cotangent -> cotangent`, of the form of the carry."""

    def __post_init__(self) -> None:
        """Refuse what is no cell, and no function."""
        super().__post_init__()
        settle(self, f=function)

    def recur(self, params: Params, carry: Carry, z: Any) -> _Preactivations:
        start = with_cotangent(self.f, carry)
        return _Preactivations(self.layer.recur(params, start, z), start)

    def update(self, carry: Carry, a: _Preactivations) -> Carry:
        del carry
        return self.layer.update(a.start, a.a)

    def emit(self, carry: Carry, a: _Preactivations) -> Any:
        return self.layer.emit(carry, a.a)

    def linearize(
        self, carries: Carry, a: _Preactivations, after: Carry
    ) -> Callable[[Carry, _Preactivations], Carry]:
        return Partial(_tangent, self.layer.linearize(carries, a.a, after))


def _tangent(update: Callable[[Carry, Any], Carry], d_carry: Carry, d_a: _Preactivations) -> Carry:
    del d_carry
    return update(d_a.start, d_a.a)


def map_cotangent(cell: Cell, f: Callable[[Carry], Carry]) -> MapCotangent:
    """The cell with `f` applied to the cotangent of its carry at every step of the way back.

    Forward nothing changes. Backward, with `ct_t = dL/dc_t` and M_t the Jacobian of step t,

        ct_{t-1} = (what the loss says of c_{t-1}) + f(M_t^T ct_t)

    so that a gradient can be clipped before it explodes, instead of after it has, or stopped. `f`
    takes and returns a carry of cotangents `(*batch, H)`, and may be nonlinear. Forward mode knows
    no cotangents and gives the derivative of the cell as it is. Params and carry are the cell's
    own; derivatives of `BPTT` are those of `Scan`, in higher orders too. Sources: Graves,
    Generating sequences with recurrent neural networks, 2013, arXiv:1308.0850, which clips each
    number; Pascanu, Mikolov & Bengio, ICML 2013, on why.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> def clip(ct):
    ...     return jax.tree.map(lambda g: jnp.clip(g, -1.0, 1.0), ct)
    >>> cell = rnn.map_cotangent(rnn.Elman(3, 4), clip)
    >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((7, 2, 3))
    >>> jax.grad(lambda params: rnn.unroll(cell, params, xs)[1].sum())(params).w_hh.shape
    (4, 4)

    Raises `ArgumentError` for what is not a cell, and for an `f` that does not return what it was
    given.
    """
    check_part("map_cotangent: the cell", cell, Cell)
    function("map_cotangent: f", f)
    carry = jax.eval_shape(lambda key: cell.initial_carry(cell.init(key)), some_key())
    found = jax.eval_shape(f, carry)
    unlike = difference(carry, found)
    changed = unlike is None and jax.tree.leaves(carry) != jax.tree.leaves(found)
    if unlike is not None or changed:
        raise ArgumentError(
            f"map_cotangent: f must return a cotangent of the form, shapes and dtypes that it is "
            f"given, {carry}, got {found}."
        )
    return MapCotangent(cell, f)
