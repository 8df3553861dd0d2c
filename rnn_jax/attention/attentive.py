"""Attention within the loop: a cell that reads what its last state finds in a memory."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import function, instance, settle, short
from rnn_jax.attention.attention import Attention
from rnn_jax.cell import Carry, Cell, Input, Params
from rnn_jax.combinators.fit import check_part, describe
from rnn_jax.combinators.joined import check_joined, draw_joined, join, own_input
from rnn_jax.combinators.wrapper import WrappedSplitCell
from rnn_jax.errors import ArgumentError, ShapeError, StructureError
from rnn_jax.noise import some_key
from rnn_jax.recurrence.memory import AttentionParams
from rnn_jax.recurrence.steps import Steps

Query = Callable[[Carry], jax.Array]
"""`carry -> (*batch, Q)`: what a cell asks of the memory, from its carry."""


def hidden_state(carry: Carry) -> jax.Array:
    """The first array of a carry: `h`, and of a stack that of its lowest cell.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> carry = rnn.LSTMCarry(h=jnp.ones(3), c=jnp.zeros(3))
    >>> rnn.attention.hidden_state(carry).tolist()
    [1.0, 1.0, 1.0]

    Raises `StructureError` for a carry without an array.
    """
    leaves = jax.tree.leaves(carry)
    if not leaves:
        raise StructureError(f"hidden_state: the carry has no array, got {short(carry)}.")
    return leaves[0]


class AttentiveParams(NamedTuple):
    """The params of the cell, and those of the attention."""

    layer: Params
    """The params of the cell."""
    attention: AttentionParams
    """The params of the attention, and its memory."""


class AttentiveCarry(NamedTuple):
    """The carry of the cell, and where it has looked."""

    layer: Carry
    """The carry of the cell."""
    weights: Any
    """`(*batch, S)` for a score that reads them, `LocationSensitive`; zeros at first. Else `()`."""


class _Preactivations(NamedTuple):
    a: Any
    context: jax.Array
    weights: Any


@dataclasses.dataclass(frozen=True)
class Attentive(WrappedSplitCell):
    """A cell that attends at each step. Made by `attentive`."""

    inside = Cell
    attention: Attention
    """Reads the memory."""
    query: Query = dataclasses.field(default=hidden_state, repr=False)
    """Makes the query of the carry of the cell inside."""

    def __post_init__(self) -> None:
        """Refuse what is no cell, no attention, and what does not fit together."""
        super().__post_init__()
        settle(self, attention=instance(Attention), query=function)
        check_joined("attentive", self.layer, self.attention.memory_size, "the context")
        carry = jax.eval_shape(lambda k: self.layer.initial_carry(self.layer.init(k)), some_key())
        found = jax.eval_shape(self.query, carry) if jax.tree.leaves(carry) else None
        if getattr(found, "shape", None) != self.attention.input.shape:
            made = "nothing" if found is None else getattr(found, "shape", found)
            raise ArgumentError(
                f"attentive: {self.attention!r} reads queries {describe(self.attention.input)}, "
                f"but of the carry of {self.layer!r} query makes {made}; by default it is the "
                "first array of the carry."
            )

    @property
    def input(self) -> Input:
        """What the cell inside reads before the context."""
        return own_input(self.layer, self.attention.memory_size)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> AttentiveParams:
        """The params of the cell, and those of the attention."""
        k_layer, k_attention = jax.random.split(key)
        return AttentiveParams(
            self.layer.init(k_layer, dtype), self.attention.init(k_attention, dtype)
        )

    def initial_carry(
        self, params: AttentiveParams, batch_shape: tuple[int, ...] = ()
    ) -> AttentiveCarry:
        """The initial carry of the cell, which has looked nowhere yet."""
        carry = self.layer.initial_carry(params.layer, batch_shape)
        if not self.attention.score.located:
            return AttentiveCarry(carry, ())
        shape = (*batch_shape, self.attention.places(params.attention))
        return AttentiveCarry(carry, jnp.zeros(shape, hidden_state(params.attention).dtype))

    def draw(self, params: AttentiveParams, xs: Any, steps: Steps) -> tuple[Params, Any]:
        """Draw the noise of the cell."""
        size = self.attention.memory_size
        layer, xs = draw_joined(self.layer, params.layer, xs, size, steps)
        return params._replace(layer=layer), xs

    def project(self, params: AttentiveParams, xs: Any) -> Any:
        """The inputs: the cell inside projects them within the loop, with the context."""
        del params
        return xs

    def recur(self, params: AttentiveParams, carry: AttentiveCarry, z: Any) -> _Preactivations:
        """What the last state finds in the memory, and the preactivations of the cell."""
        located = self.attention.score.located
        places = self.attention.places(params.attention)
        if located and carry.weights.shape[-1] != places:
            raise ShapeError(
                f"{self!r}: the carry has weights of {carry.weights.shape[-1]} places, but the "
                f"memory has {places}; initial_carry of the params with their memory makes one. A "
                "learned_carry goes inside attentive, around the cell."
            )
        context, weights = self.attention.read(
            params.attention, self.query(carry.layer), carry.weights if located else None
        )
        inner = self.layer.project(params.layer, join(z, context))
        a = self.layer.recur(params.layer, carry.layer, inner)
        return _Preactivations(a, context, weights if located else ())

    def update(self, carry: AttentiveCarry, a: _Preactivations) -> AttentiveCarry:
        return AttentiveCarry(self.layer.update(carry.layer, a.a), a.weights)

    def emit(self, carry: AttentiveCarry, a: _Preactivations) -> Any:
        return self.layer.emit(carry.layer, a.a), a.context

    def linearize(
        self, carries: AttentiveCarry, a: _Preactivations, after: AttentiveCarry
    ) -> Callable[[AttentiveCarry, _Preactivations], AttentiveCarry]:
        return Partial(_tangent, self.layer.linearize(carries.layer, a.a, after.layer))

    def readout(self, params: AttentiveParams, hs: Any, xs: Any) -> jax.Array:
        """What the cell emits, and the context."""
        hs, context = hs
        ys = self.layer.readout(params.layer, hs, join(xs, context))
        return jnp.concatenate([ys, context], -1)


def _tangent(
    update: Callable[[Carry, Any], Carry], d_carry: AttentiveCarry, d_a: _Preactivations
) -> AttentiveCarry:
    return AttentiveCarry(update(d_carry.layer, d_a.a), d_a.weights)


def attentive(cell: Cell, attention: Attention, query: Query = hidden_state) -> Attentive:
    """The cell with what its last state finds in a memory joined to its input, at each step.

    `c_t = attention(query(carry_{t-1}))`, `h_t = cell([x_t, c_t])`; emitted is `[h_t, c_t]`. A
    cell that reads D + M numbers becomes one that reads D. Shapes: x `(*batch, D)`, y
    `(*batch, H + M)`. Params: `AttentiveParams`, those of cell and attention, beside which
    `with_memory` puts a memory. Carry: `AttentiveCarry`, that of the cell, and for a
    `LocationSensitive` score the weights of the step before; the memory is no part of it.

    Cost: within the loop each step compares one query with S places, and makes of `[x, c]` what
    the cell would make of all its inputs before the loop. The backward pass keeps h and c of each
    step. Where the context need not be fed back, a `stack` with an `AttentionReadout` attends with
    all steps at once. Sources: Bahdanau, Cho & Bengio, ICLR 2015, arXiv:1409.0473; Chorowski et
    al., NeurIPS 2015, arXiv:1506.07503.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> from rnn_jax.attention import Additive, Attention, attentive, with_memory
    >>> cell = attentive(rnn.LSTM(3 + 6, 8), Attention(8, 6, Additive(5)))
    >>> decoder = rnn.stack(rnn.Embedding(10, 3), cell, rnn.Dense(8 + 6, 10))
    >>> params = with_memory(decoder, decoder.init(jax.random.key(0)), jnp.ones((9, 2, 6)))
    >>> rnn.unroll(decoder, params, jnp.zeros((7, 2), int))[1].shape
    (7, 2, 10)

    Args:
      cell: Any cell that reads vectors: a stack, one with zoneout or with dropout between its
        layers too.
      attention: What it reads the memory by.
      query: Makes the query of the cell's carry: its first array, by default.

    Raises `ArgumentError` for what is not a cell, or no attention, for a cell that does not read
    more numbers than a place of the memory has, and where the query is not as long as the
    attention wants it.
    """
    check_part("attentive: the attention", attention, Attention)
    check_joined("attentive", cell, attention.memory_size, "the context")
    return Attentive(cell, attention, query)
