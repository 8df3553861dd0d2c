"""How a program is compiled and run, beside what it computes: each a named row of its own."""

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
from jax.typing import DTypeLike


@dataclasses.dataclass(frozen=True)
class Variant:
    """What may differ between two runs of the same network."""

    dtype: DTypeLike = jnp.float32
    """Of params, inputs and outputs."""
    options: Mapping[str, bool | int | str] = dataclasses.field(default_factory=dict)
    """For XLA, by the name of the flag without its dashes."""
    split: bool = False
    """The batch split over all devices; on a CPU, one device a core."""
    donate: bool = False
    """The step gives its buffers back: it takes a step of SGD and returns new params in place of
    the old; forward, outputs are returned in place of inputs."""


CAPTURED = {
    "xla_gpu_enable_command_buffer": "FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,CUDNN,"
    "DYNAMIC_SLICE_FUSION,WHILE",
    "xla_gpu_enable_dynamic_slice_fusion": False,
}
"""What XLA collects into CUDA graphs: what it does by default, and loops. See docs/gpu.md."""
PLAIN = "plain"
VARIANTS: dict[str, Variant] = {
    PLAIN: Variant(),
    "bfloat16": Variant(dtype=jnp.bfloat16),
    "a device a core": Variant(split=True),
    "donated": Variant(donate=True),
    "captured": Variant(options=CAPTURED),
}
"""A row here is a word for `--variants`."""
