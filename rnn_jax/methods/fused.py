"""All steps of time in one kernel."""

import dataclasses
from typing import Any

import jax
from jax.export import is_symbolic_dim

from rnn_jax.arguments.settings import at_least, flag, instance, optional, settle
from rnn_jax.devices.platform import on_gpu, platform
from rnn_jax.errors import ArgumentError
from rnn_jax.methods.kernel.gpu import GPU
from rnn_jax.methods.kernel.hopper import Hopper
from rnn_jax.methods.kernel.scan import Kernel, Machine
from rnn_jax.methods.kernel.tpu import TPU
from rnn_jax.methods.linear.fused import Fused as FusedLinear
from rnn_jax.methods.orbit.fused import Fused as FusedOrbit
from rnn_jax.methods.tangent import TwoLoops
from rnn_jax.recurrence.recurrence import Carry, Params, Recurrence


@dataclasses.dataclass(frozen=True)
class Fused:
    """For an accelerator: all steps of time in one kernel, and all steps back in another.

    The numbers, the derivatives of every mode and order, padding and resets are those of `BPTT`,
    to rounding. A loop that is compiled step by step has several launches a step, and reads its
    weights from memory at each; here any cell's step is traced into the body of one kernel, in
    which weights and carry stay on the chip from the first step to the last. Narrow numbers are
    summed in float32. Sources: Diamos et al., Persistent RNNs, ICML 2016; Pöppel, Beck &
    Hochreiter, FlashRNN, 2024, arXiv:2412.07752.

    It has been compiled for a TPU v5e and an H100, and its numbers compared with those of `Scan` by
    an interpreter on a CPU; it has not run on an accelerator, and nothing has been timed there.

    Memory: the carries and their cotangents, `(T, *batch, H)` each, what `project` makes of all
    steps, which is several times as large for a cell with gates, and of the backward loop the
    derivatives of `update` at all steps; `Checkpointed(Fused(), every=1000)` bounds all but the
    first by a stretch. Of a batch that an Explicit mesh or `shard_map` splits each device runs its
    own rows; of one that XLA would split, it cannot split the kernel. What `map_cotangent` changes
    on the way back runs step by step.

    Raises `ArgumentError` for settings that make no sense, for a size that does not fit on the
    chip, for one that `jax.export` leaves open, and where there is no kernel for the platform;
    `StructureError` for a step that is made for one size of batch, for one that a `GPU` or a
    `Hopper` cannot run, and, differentiated, for one with a `jax.custom_vjp` inside; `DtypeError`
    for a carry that is not floating, and for products that a `Hopper` does not know.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> cell = rnn.GRU(3, 4)
    >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((7, 2, 3))
    >>> _, hs = rnn.unroll(cell, params, xs, method=rnn.Fused(interpret=True))
    >>> bool(jnp.allclose(hs, rnn.unroll(cell, params, xs)[1], atol=1e-6))
    True
    """

    machine: Machine | None = None
    """What the kernel is made for: `TPU()`, `GPU()` or `Hopper()`.

    None takes that of the platform that the program is traced for. A value makes a program
    for a machine that is elsewhere, as by `jax.export`, or sets how much of the chip it takes.
    """
    interpret: bool = False
    """Whether the kernel is interpreted, as ordinary operations of whatever platform there is.

    For tests on a CPU: it is slower than `BPTT`. Without it a CPU has no kernel.
    """
    store: int = 64 * 2**20
    """How many bytes of preactivations may be kept for the gradient, as by `BPTT`."""

    def __post_init__(self) -> None:
        """Refuse what is no machine, and settings that make no sense."""
        settle(self, machine=optional(instance(MACHINES)), interpret=flag, store=at_least(0))

    def __call__(
        self, cell: Recurrence, params: Params, xs: Any, carry: Carry
    ) -> tuple[Carry, jax.Array]:
        """Both loops in one kernel each."""
        for size in [size for leaf in jax.tree.leaves((xs, carry)) for size in leaf.shape]:
            if is_symbolic_dim(size):
                raise ArgumentError(
                    f"Fused: a kernel is made for one size, but one of xs is left open, {size}; "
                    "use BPTT(), or export for one size."
                )
        kernel = Kernel(self._machine((params, xs)), self.interpret, f"the step of {cell!r}")
        run = TwoLoops(FusedOrbit(kernel), FusedLinear(kernel), self.store)
        return run(cell, params, xs, carry)

    def _machine(self, arrays: Any) -> Machine:
        if self.machine is not None:
            return self.machine
        if on_gpu(arrays):
            return GPU()
        found = platform(arrays)
        if found == "tpu" or self.interpret:
            return TPU()
        raise ArgumentError(
            f"Fused: there is no kernel for the platform that JAX traces for here, {found}; use "
            "BPTT(), the default. Fused(interpret=True) computes the same numbers here, slowly, "
            "for tests; Fused(TPU()) or Fused(GPU()) makes a program for a chip that is elsewhere."
        )


MACHINES = (GPU, Hopper, TPU)
"""The machines that there are kernels for."""
