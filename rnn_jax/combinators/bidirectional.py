"""Two layers over one sequence, one of them from its end."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import instance, settle, traceable
from rnn_jax.arguments.trees import form
from rnn_jax.cell import Carry, Input, Layer, Method, Params
from rnn_jax.combinators.fit import check_part, describe, output
from rnn_jax.errors import ArgumentError, ShapeError
from rnn_jax.recurrence.steps import Steps, flip

Merge = Callable[[jax.Array, jax.Array], jax.Array]
"""`(forward (..., F), backward (..., G)) -> (..., features)`."""


class BidirectionalParams(NamedTuple):
    """The params of both layers."""

    forward: Params
    """The params of the layer that runs from the first step to the last."""
    backward: Params
    """The params of the layer that runs from the last step to the first."""


class BidirectionalCarry(NamedTuple):
    """The carries of both layers."""

    forward: Carry
    """After a run: the carry at the last step."""
    backward: Carry
    """After a run: the carry at the first step."""


def concatenate(forward: jax.Array, backward: jax.Array) -> jax.Array:
    """What both emit, side by side: `(..., F + G)`; raises `ShapeError` for unlike leading axes."""
    if jnp.shape(forward)[:-1] != jnp.shape(backward)[:-1]:
        raise ShapeError(
            "concatenate: forward and backward must have the same leading axes, got shapes "
            f"{jnp.shape(forward)} and {jnp.shape(backward)}."
        )
    return jnp.concatenate([forward, backward], axis=-1)


@dataclasses.dataclass(frozen=True)
class Bidirectional(Layer):
    """`y_t = merge(forward(x)_t, backward(reversed x)_t)`. Made by `bidirectional`.

    Its output depends on later inputs, so it has no single step.
    """

    forward: Layer
    """Runs from the first step to the last."""
    backward: Layer
    """Runs from the last step to the first."""
    merge: Merge = concatenate
    """Combines the outputs of both at each step."""

    def __post_init__(self) -> None:
        """Refuse what is no layer, and no function."""
        a_layer = instance(Layer)
        settle(self, forward=a_layer, backward=a_layer, merge=traceable)

    @property
    def input(self) -> Input:
        """The input that both layers read."""
        return self.forward.input

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> BidirectionalParams:
        """Draw the params of both, each from a key of its own."""
        k_forward, k_backward = jax.random.split(key)
        return BidirectionalParams(
            self.forward.init(k_forward, dtype), self.backward.init(k_backward, dtype)
        )

    def initial_carry(
        self, params: BidirectionalParams, batch_shape: tuple[int, ...] = ()
    ) -> BidirectionalCarry:
        """The initial carries of both layers."""
        return BidirectionalCarry(
            self.forward.initial_carry(params.forward, batch_shape),
            self.backward.initial_carry(params.backward, batch_shape),
        )

    def unroll(
        self,
        params: BidirectionalParams,
        xs: Any,
        carry: BidirectionalCarry,
        steps: Steps,
        method: Method,
    ) -> tuple[BidirectionalCarry, jax.Array]:
        """Run both layers, one from each end; outputs stay with their inputs."""
        forward, ahead = self.forward.unroll(
            params.forward, xs, carry.forward, steps.member(0), method
        )
        backward, behind = self.backward.unroll(
            params.backward, flip(xs), carry.backward, steps.member(1).reversed(), method
        )
        merged = steps.blank(self.merge(ahead, flip(behind)))
        return BidirectionalCarry(forward, backward), merged


def bidirectional(forward: Layer, backward: Layer, merge: Merge = concatenate) -> Bidirectional:
    """Two layers over one sequence, the second from its end.

    `y_t = merge(forward(x)_t, backward(reversed x)_t)`; merge is `concatenate`, `jnp.add` or any
    function of two arrays `(..., F)` and `(..., G)`. With lengths, a mask or resets each
    sequence is read from its own last step. Cost: that of both. Source: Schuster & Paliwal, IEEE
    Transactions on Signal Processing 45, 1997.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> encoder = rnn.bidirectional(rnn.GRU(3, 4), rnn.GRU(3, 4))
    >>> params = encoder.init(jax.random.key(0))
    >>> carry, ys = rnn.unroll(encoder, params, jnp.ones((7, 2, 3)), lengths=jnp.array([7, 5]))
    >>> ys.shape, carry.backward.h.shape
    ((7, 2, 8), (2, 4))

    Raises `ArgumentError` where the two read different things, or `merge` cannot take what they
    emit.
    """
    check_part("bidirectional: forward", forward)
    check_part("bidirectional: backward", backward)
    if forward.input != backward.input:
        raise ArgumentError(
            f"bidirectional: forward, {forward!r}, reads {describe(forward.input)} a step, but "
            f"backward, {backward!r}, reads {describe(backward.input)}."
        )
    emitted = output(forward), output(backward)
    traceable("bidirectional: merge", merge)
    # With two axes in front, time and batch, which it has to leave alone.
    lead = (2, 3)
    ends = (jax.ShapeDtypeStruct((*lead, *what.shape), what.kind) for what in emitted)
    try:
        merged = jax.eval_shape(merge, *ends)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"bidirectional: merge, {merge!r}, cannot take what forward and backward emit, "
            f"{describe(emitted[0])} and {describe(emitted[1])}: {error}."
        ) from error
    if getattr(merged, "shape", ())[:-1] != lead:
        raise ArgumentError(
            f"bidirectional: merge, {merge!r}, must make one array (*lead, features) of two, "
            f"whatever their leading axes; of {lead} it makes {form(merged)}"
            f"{getattr(merged, 'shape', '')}."
        )
    return Bidirectional(forward, backward, merge)
