"""Cells whose weights have one block for each gate."""

import dataclasses
from typing import ClassVar, final

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.settings import function, settle, short, value_of
from rnn_jax.cell import SizedCell
from rnn_jax.cells.memory_bias import ForgetBias, MemoryBias
from rnn_jax.errors import ArgumentError
from rnn_jax.initializers import Initializer, check_drawn, drawn, glorot, orthogonal


@dataclasses.dataclass(frozen=True)
class InputGatedCell(SizedCell):
    """A sized cell whose weights of the input have one block a gate, side by side."""

    gates: ClassVar[tuple[str, ...]]
    """What each block is called, in their order; a class of cells says it."""

    input_init: Initializer = dataclasses.field(default=glorot, repr=False)
    """Draws `w_xh`, gate by gate."""
    memory_bias: MemoryBias = ForgetBias(0.0)
    """Draws the biases of the gates that remember and that write; other biases start at 0."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no network, and a bias that is not drawn by a value."""
        super().__post_init__()
        settle(self, input_init=function, memory_bias=one_memory_bias)

    @final
    def gate_blocks(
        self, init: str, key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike
    ) -> jax.Array:
        """Draw a block of this shape for each gate, side by side on the last axis.

        Each block is drawn alone: the blocks of an orthogonal `(H, 4H)` matrix are not orthogonal,
        and fan-in and fan-out are those of the map to one gate.
        """
        keys = jax.random.split(key, len(self.gates))
        return jnp.concatenate([drawn(self, init, k, shape, dtype) for k in keys], -1)

    @final
    def input_weights(self, key: jax.Array, dtype: DTypeLike) -> jax.Array:
        """Draw `w_xh` `(D, G H)` of G gates."""
        return self.gate_blocks("input_init", key, (self.input_size, self.hidden_size), dtype)

    @final
    def memory_biases(self, key: jax.Array, dtype: DTypeLike) -> tuple[jax.Array, jax.Array]:
        """Draw the biases of the gates that remember and that write, `(H,)` each.

        From another key than the weights are drawn from.
        """
        found = self.memory_bias(jax.random.fold_in(key, 2), self.hidden_size, dtype)
        if not isinstance(found, tuple) or len(found) != 2:
            raise ArgumentError(
                f"{self!r}: memory_bias must return a pair, the biases of what remembers and of "
                f"what writes, got {short(found)}."
            )
        remember, write = (
            check_drawn(self, "memory_bias", one, (self.hidden_size,), dtype) for one in found
        )
        return remember, write


@dataclasses.dataclass(frozen=True)
class GatedCell(InputGatedCell):
    """A gated cell whose recurrent weights are a matrix with one block a gate."""

    recurrent_init: Initializer = dataclasses.field(default=orthogonal, repr=False)
    """Draws `w_hh`, gate by gate."""

    def __post_init__(self) -> None:
        """Refuse what is no initialiser."""
        super().__post_init__()
        settle(self, recurrent_init=function)

    @final
    def gate_weights(
        self, key: jax.Array, dtype: DTypeLike, feedback: int | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Draw `w_xh` `(D, G H)` and `w_hh` `(feedback, G H)` of G gates, by default of H rows."""
        k_xh, k_hh = jax.random.split(key)
        shape = feedback or self.hidden_size, self.hidden_size
        return (
            self.input_weights(k_xh, dtype),
            self.gate_blocks("recurrent_init", k_hh, shape, dtype),
        )


one_memory_bias = value_of(
    "a draw of the biases of the memory's gates", "ForgetBias(1.0) or Chrono(longest=784)"
)
