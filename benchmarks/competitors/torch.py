"""torch.nn.RNN, GRU and LSTM: the one competitor that is not in JAX."""

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.competitors.absent import Absent, needed
from benchmarks.machine import threads
from benchmarks.programs import Step, inputs
from benchmarks.shapes import FORWARD, Shape
from benchmarks.variants import Variant

CELLS = {"elman": "RNN", "gru": "GRU", "lstm": "LSTM"}


def wait_without_spinning() -> None:
    """Set how OpenMP waits: its threads would spin while the next one is timed.

    Read when the OpenMP of torch starts, in this process or in one that it makes.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("KMP_BLOCKTIME", "0")


def ready() -> tuple[Any, str]:
    """The module, and the kind of device that JAX runs on.

    Raises:
        Absent: not installed, or it cannot run there.
    """
    wait_without_spinning()
    torch = needed("torch")
    torch.set_num_threads(threads())
    return torch, _device(torch)


def build(shape: Shape, kind: str, variant: Variant) -> Step:
    torch, device = ready()
    if shape.heads > 1:
        raise Absent("has no heads")
    if variant.options or variant.split or variant.donate:
        raise Absent("is not compiled by XLA")
    torch.manual_seed(1)
    dtype = getattr(torch, jnp.dtype(variant.dtype).name)
    network = getattr(torch.nn, CELLS[shape.cell])(shape.hidden, shape.hidden)
    network = network.to(device=device, dtype=dtype)
    xs = torch.tensor(np.asarray(inputs(shape, jnp.float32))).to(device=device, dtype=dtype)

    def synchronise() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    def forward() -> Any:
        with torch.inference_mode():
            ys, _ = network(xs)
        synchronise()
        return ys

    def training_step() -> Any:
        network.zero_grad(set_to_none=True)
        ys, _ = network(xs)
        loss = ys.square().mean()
        loss.backward()
        synchronise()
        return loss.detach(), [p.grad for p in network.parameters()]

    return Step(forward if kind == FORWARD else training_step)


def _device(torch: Any) -> str:
    """The kind of device that JAX runs on."""
    if jax.default_backend() == "cpu":
        return "cpu"
    if not torch.cuda.is_available():
        raise Absent("sees no GPU")
    return "cuda"
