"""A state that keeps a part of itself: by chance (zoneout), or always (leaky units)."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.tree_util import Partial

from rnn_jax.arguments.settings import one_rate
from rnn_jax.cell import Carry, Params, SplitCell
from rnn_jax.combinators.fit import check_part
from rnn_jax.combinators.wrapper import WrappedSplitCell
from rnn_jax.devices.sharding import split_like
from rnn_jax.errors import ArgumentError
from rnn_jax.noise import Noisy, missing_key, required_key, some_key, survivors_by_step
from rnn_jax.recurrence.steps import Steps, select

Rate = Any
"""A number in [0, 1), or a carry of them: `LSTMCarry(h=0.05, c=0.5)`."""


@dataclasses.dataclass(frozen=True)
class Leaky(WrappedSplitCell):
    """A cell of leaky integrators. Made by `leaky`."""

    rate: Rate
    """The share of the old carry that stays."""

    def update(self, carry: Carry, a: Any) -> Carry:
        """A weighted mean of the old carry and the new."""
        after = self.layer.update(carry, a)
        rates = _spread(self.rate, carry)
        return jax.tree.map(_mix, rates, carry, after)


def _mix(rate: float, old: jax.Array, new: jax.Array) -> jax.Array:
    """Mix by the smaller of the two shares, for in a narrow dtype the larger may round to 1."""
    return old + (1 - rate) * (new - old) if rate > 0.5 else new + rate * (old - new)


class _Preactivations(NamedTuple):
    a: Any
    keep: Carry
    """1.0 where the old carry stays: whatever `recur` returns has a tangent."""


@dataclasses.dataclass(frozen=True)
class Zoneout(WrappedSplitCell):
    """A cell whose units keep their state by chance. Made by `zoneout`."""

    rate: Rate
    """The probability that a unit keeps its state."""

    def deterministic(self) -> Leaky:
        """The expectation of the step: the old carry and the new in the same proportion."""
        return Leaky(self.layer.deterministic(), self.rate)

    def draw(self, params: Params, xs: Any, steps: Steps) -> tuple[Params, Noisy]:
        """Which units are updated, for all steps."""
        batch_shape = xs.shape[1 : xs.ndim - len(self.input.shape)]
        carry = jax.eval_shape(lambda: self.initial_carry(params, batch_shape))
        leaves, structure = jax.tree.flatten(carry)
        rates = jax.tree.leaves(_spread(self.rate, carry))
        key, inner = jax.random.split(required_key(self, steps.key))
        masks = [
            survivors_by_step(
                self,
                steps._replace(key=jax.random.fold_in(key, index)),
                rate,
                (xs.shape[0], *leaf.shape),
            )
            for index, (leaf, rate) in enumerate(zip(leaves, rates, strict=True))
        ]
        masks = split_like(masks, xs, 0, 1 + len(batch_shape))
        params, xs = self.layer.draw(params, xs, steps._replace(key=inner))
        return params, Noisy(xs, jax.tree.unflatten(structure, masks))

    def project(self, params: Params, xs: Any) -> Noisy:
        if not isinstance(xs, Noisy):
            raise missing_key(self)
        return Noisy(self.layer.project(params, xs.value), xs.noise)

    def recur(self, params: Params, carry: Carry, z: Noisy) -> _Preactivations:
        keep = jax.tree.map(lambda updated, c: (~updated).astype(c.dtype), z.noise, carry)
        return _Preactivations(self.layer.recur(params, carry, z.value), keep)

    def update(self, carry: Carry, a: _Preactivations) -> Carry:
        """The old value or the new one, for each unit."""
        return _keep(_chosen(a.keep), carry, self.layer.update(carry, a.a))

    def linearize(
        self, carries: Carry, a: _Preactivations, after: Carry
    ) -> Callable[[Carry, _Preactivations], Carry]:
        return Partial(_tangent, self.layer.linearize(carries, a.a, after), _chosen(a.keep))

    def emit(self, carry: Carry, a: _Preactivations) -> Any:
        return self.layer.emit(carry, a.a)

    def readout(self, params: Params, hs: jax.Array, xs: Noisy) -> jax.Array:
        return self.layer.readout(params, hs, xs.value)


def _chosen(keep: Carry) -> Carry:
    return jax.tree.map(lambda k: k > 0, keep)


def _keep(keep: Carry, old: Carry, new: Carry) -> Carry:
    return jax.tree.map(select, keep, old, new)


def _tangent(
    update: Callable[[Carry, Any], Carry], keep: Carry, d_carry: Carry, d_a: _Preactivations
) -> Carry:
    return _keep(keep, d_carry, update(d_carry, d_a.a))


def zoneout(cell: SplitCell, rate: Rate) -> Zoneout:
    """The cell with zoneout: at each step each unit of the carry keeps its value by chance.

    `c_t = d c_{t-1} + (1 - d) update(c_{t-1}, a_t)`, `d ~ Bernoulli(rate)` drawn anew for each
    step, unit and sequence, from the `key` of `unroll`. One rate for the whole carry, or a carry
    of rates. Params and carry are the cell's own; `deterministic()` is `leaky(cell, rate)`, the
    expectation of the step. Another rate is another program; for a schedule of rates let it change
    in a few stages. Source: Krueger et al., Zoneout, ICLR 2017, arXiv:1606.01305.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.zoneout(rnn.LSTM(3, 4), rnn.LSTMCarry(h=0.05, c=0.5))
    >>> params = cell.init(jax.random.key(0))
    >>> _, ys = rnn.unroll(cell, params, jnp.ones((7, 2, 3)), key=jax.random.key(1))
    >>> _, mean = rnn.unroll(cell.deterministic(), params, jnp.ones((7, 2, 3)))

    Raises `ArgumentError` for a cell whose step does not split into `recur` and `update`, for a
    rate outside [0, 1) or of another form than the carry, and where a key is missing.
    """
    return Zoneout(cell, _check_rate("zoneout", cell, rate))


def leaky(cell: SplitCell, rate: Rate) -> Leaky:
    """The cell with leaky units: a part of the old carry stays at every step.

    `c_t = rate c_{t-1} + (1 - rate) update(c_{t-1}, a_t)`, with one rate for the whole carry, or
    a carry of rates. Params and carry are the cell's own. Source: Jaeger et al., Optimization and
    applications of echo state networks with leaky-integrator neurons, Neural Networks 20, 2007.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.leaky(rnn.Elman(3, 4), 0.9)
    >>> rnn.unroll(cell, cell.init(jax.random.key(0)), jnp.ones((7, 2, 3)))[1].shape
    (7, 2, 4)

    Raises `ArgumentError` as `zoneout`.
    """
    return Leaky(cell, _check_rate("leaky", cell, rate))


def _check_rate(caller: str, cell: Any, rate: Rate) -> Rate:
    check_part(f"{caller}: the cell", cell, SplitCell)
    carry = jax.eval_shape(lambda key: cell.initial_carry(cell.init(key)), some_key())
    try:
        _spread(rate, carry)
    except ValueError:
        raise ArgumentError(
            f"{caller}: rate must be a number or of the form of the carry, "
            f"{type(carry).__name__}({', '.join(getattr(carry, '_fields', ()))}), got {rate!r}."
        ) from None
    return jax.tree.map(lambda one: one_rate(f"{caller}: rate", one), rate)


def _spread(rate: Rate, carry: Carry) -> Carry:
    """One rate, or a carry of rates, as a carry of rates."""
    return jax.tree.broadcast(rate, carry)
