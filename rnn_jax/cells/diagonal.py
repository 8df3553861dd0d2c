"""Gated cells whose recurrent weights are one number a unit and gate."""

import dataclasses
from typing import final

import jax
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import function, settle
from rnn_jax.arithmetic import row, split
from rnn_jax.cells.gated import InputGatedCell
from rnn_jax.initializers import Initializer, Uniform


@dataclasses.dataclass(frozen=True)
class DiagonalCell(InputGatedCell):
    """A gated cell in which a unit sees no other: its Jacobian is diagonal."""

    recurrent_init: Initializer = dataclasses.field(default=Uniform(-0.5, 0.5), repr=False)
    """Draws `w_h`, gate by gate."""

    def __post_init__(self) -> None:
        """Refuse what is no initialiser."""
        super().__post_init__()
        settle(self, recurrent_init=function)

    @final
    def diagonal_weights(self, key: jax.Array, dtype: DTypeLike) -> tuple[jax.Array, jax.Array]:
        """Draw `w_xh` `(D, G H)` and `w_h` `(G H,)` of G gates."""
        k_xh, k_h = jax.random.split(key)
        shape = (self.hidden_size,)
        return self.input_weights(k_xh, dtype), self.gate_blocks(
            "recurrent_init", k_h, shape, dtype
        )

    @final
    def fed_back(self, w_h: jax.Array, h: jax.Array) -> tuple[jax.Array, ...]:
        """What h gives each gate, `w_h h` by unit, in the dtype of the weights."""
        h = h.astype(w_h.dtype)
        return tuple(row(w, h) * h for w in split(w_h, len(self.gates)))
