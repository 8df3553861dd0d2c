"""Leaky units that learn how much of their state to keep."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import number
from rnn_jax.arithmetic import at_least_float32, gate, pointwise
from rnn_jax.cell import Carry, Params, SplitCell
from rnn_jax.combinators.fit import check_part
from rnn_jax.combinators.wrapper import WrappedSplitCell
from rnn_jax.errors import ArgumentError
from rnn_jax.recurrence.steps import Steps


class TimeScalesParams(NamedTuple):
    """The params of the cell, and a number for each unit of its carry."""

    layer: Params
    """The params of the cell."""
    keep: Carry
    """Without batch axes; a unit keeps `sigmoid(keep)` of its state at a step."""


class _Preactivations(NamedTuple):
    a: Any
    keep: Carry


@dataclasses.dataclass(frozen=True)
class TimeScales(WrappedSplitCell):
    """A cell of leaky integrators that learn their time scales. Made by `time_scales`."""

    shortest: float
    """The shortest time scale before training, in steps."""
    longest: float
    """The longest time scale before training, in steps."""

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> TimeScalesParams:
        """The params of the cell, and time scales spread evenly by their logarithm."""
        params = self.layer.init(key, dtype)

        def spread(c: jax.Array) -> jax.Array:
            wide = at_least_float32(dtype)
            scales = jnp.geomspace(self.shortest, self.longest, c.size, dtype=wide)
            # sigmoid(keep) = exp(-1 / scale)
            return -jnp.log(jnp.expm1(1 / scales)).astype(dtype).reshape(c.shape)

        return TimeScalesParams(params, jax.tree.map(spread, self.layer.initial_carry(params)))

    def initial_carry(self, params: TimeScalesParams, batch_shape: tuple[int, ...] = ()) -> Carry:
        """The initial carry of the cell."""
        return self.layer.initial_carry(params.layer, batch_shape)

    def draw(self, params: TimeScalesParams, xs: Any, steps: Steps) -> tuple[Params, Any]:
        """Draw the noise of the cell."""
        layer, xs = self.layer.draw(params.layer, xs, steps)
        return params._replace(layer=layer), xs

    def project(self, params: TimeScalesParams, xs: Any) -> Any:
        return self.layer.project(params.layer, xs)

    def recur(self, params: TimeScalesParams, carry: Carry, z: Any) -> _Preactivations:
        """The preactivations of the cell, and those of the gates that keep the old carry."""
        keep = jax.tree.map(lambda c, k: jnp.broadcast_to(k, c.shape), carry, params.keep)
        return _Preactivations(self.layer.recur(params.layer, carry, z), keep)

    def update(self, carry: Carry, a: _Preactivations) -> Carry:
        """A weighted mean of the old carry and the new."""
        after = self.layer.update(carry, a.a)
        return jax.tree.map(_mix, carry, a.keep, after)

    def emit(self, carry: Carry, a: _Preactivations) -> Any:
        return self.layer.emit(carry, a.a)

    def readout(self, params: TimeScalesParams, hs: jax.Array, xs: Any) -> jax.Array:
        return self.layer.readout(params.layer, hs, xs)


@pointwise
def _mix(old: jax.Array, keep: jax.Array, new: jax.Array) -> jax.Array:
    return gate(keep).blend(old, new)


def time_scales(cell: SplitCell, shortest: float, longest: float) -> TimeScales:
    """The cell with leaky units, each of which learns its own time scale.

    `c_t = k c_{t-1} + (1 - k) update(c_{t-1}, a_t)` with `k = sigmoid(params.keep)`, one number a
    unit. A unit with `k = exp(-1/s)` forgets over s steps; at first the scales s are spread from
    `shortest` to `longest`, evenly by their logarithm, so that some units follow the last step
    and some a mean over many. Carry: the cell's own. Params: those of the cell, and one number for
    each of its carry. `leaky` is the same with rates that are given. Sources: Mozer, Induction of
    multiscale temporal structure, NeurIPS 1992; Mikolov et al., Learning longer memory in
    recurrent neural networks, 2014, arXiv:1412.7753.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.time_scales(rnn.Elman(3, 4), shortest=1.0, longest=27.0)
    >>> params = cell.init(jax.random.key(0))
    >>> (-1 / jnp.log(jax.nn.sigmoid(params.keep.h))).round(2).tolist()
    [1.0, 3.0, 9.0, 27.0]
    >>> rnn.unroll(cell, params, jnp.ones((7, 2, 3)))[1].shape
    (7, 2, 4)

    Raises `ArgumentError` for a cell whose step does not split into `recur` and `update`, and
    where `0 < shortest <= longest` does not hold.
    """
    check_part("time_scales: the cell", cell, SplitCell)
    least, most = number(shortest), number(longest)
    if least is None or most is None or not 0 < least <= most:
        raise ArgumentError(
            "time_scales: 0 < shortest <= longest must hold, both in steps; got "
            f"shortest={shortest!r} and longest={longest!r}."
        )
    return TimeScales(cell, least, most)
