"""Backpropagation through time that stores only carries and collects the weight gradients."""

import dataclasses
from typing import Any

import jax

from rnn_jax.arguments.settings import at_least, optional, positive, settle
from rnn_jax.methods.linear.sequential import Sequential as SequentialLinear
from rnn_jax.methods.orbit.sequential import Sequential as SequentialOrbit
from rnn_jax.methods.tangent import TwoLoops
from rnn_jax.recurrence.recurrence import Carry, Params, Recurrence


@dataclasses.dataclass(frozen=True)
class BPTT:
    """Backpropagation through time, the default method.

    Memory of a gradient: the carries and their cotangents, `(T, *batch, H)` each, one chunk, and
    up to `store` bytes of preactivations; where they are more, they are computed again, a chunk
    at a time; `Checkpointed(BPTT())` keeps fewer carries. Time beyond the loop's own matmuls: one
    matmul a weight over each chunk's rows for its gradient, and one for preactivations that are
    computed again. An `Elman` of tanh or ReLU needs none of them. A cell whose step does not split
    into `recur` and `update` computes its step again inside the backward loop. Sources: Werbos,
    Proc. IEEE 78, 1990; collecting the weight gradients: Appleyard, Kocisky & Blunsom, 2016,
    arXiv:1604.01946; storing only carries: Gruslys et al., NeurIPS 2016.

    What None stands for below depends on the platform that is traced for, as JAX tells it then: by
    the mesh of the arrays, else that of the context, else the default device. It changes time and
    memory, and no number but by rounding.

    Raises `ArgumentError` for a `chunk` or an `unroll` that is not a positive integer, `DtypeError`
    for a cell whose carry is not floating, and, differentiated, `StructureError` for a cell with a
    `jax.custom_vjp` inside; `Scan` takes such cells.
    """

    chunk: int | None = None
    """How many steps are worked on at once; T need not be a multiple.

    None takes about as many as have a MiB of preactivations, but about 16 at least and 512 at most,
    in equal parts if T has a divisor near that, else in parts as equal as can be: 64 for an LSTM of
    64 units at batch 16; 16 for one of 256 at batch 32, of 150 steps 15, and of 151 steps 17. On a
    GPU it is 16 MiB, and 2^14 steps at most: 1024 and 128 of those LSTMs. A chunk launches twenty
    to forty kernels beside those of its steps, and works in memory of a few times its
    preactivations.

    Of what `jax.export` leaves open: a batch takes 16, as a large one would, and has nothing kept
    in `store`; a length is one chunk, whatever is asked for, as is a loop of `Scan`.
    """
    store: int = 64 * 2**20
    """How many bytes of preactivations may be kept for the gradient.

    Kept, they are not computed again, which would be two of the eight matmuls of a training step;
    where all do not fit, none is kept. 0 keeps none ever.
    """
    unroll: int | None = None
    """How many steps an iteration of the compiled loops holds, forward and backward in time.

    None takes 1, and 8 on a GPU, where every kernel waits to be launched: what copies inputs in and
    outputs out is launched once an iteration. The program is longer by as much, and takes longer to
    compile. A loop over a length that `jax.export` leaves open holds 1, whatever is asked for.
    """

    def __post_init__(self) -> None:
        """Refuse a chunk or a loop without steps."""
        settle(self, chunk=optional(positive), store=at_least(0), unroll=optional(positive))

    def __call__(
        self, cell: Recurrence, params: Params, xs: Any, carry: Carry
    ) -> tuple[Carry, jax.Array]:
        """Both loops step by step, a chunk of steps at a time."""
        orbit = SequentialOrbit(self.chunk, self.unroll)
        linear = SequentialLinear(self.chunk, self.unroll)
        return TwoLoops(orbit, linear, self.store)(cell, params, xs, carry)
