"""What is known, while tracing, of the kind of device that a program is traced for."""

from contextlib import AbstractContextManager
from typing import Any

import jax

GPUS = frozenset({"gpu", "cuda", "rocm"})
"""What JAX calls a GPU: a device of it "gpu", what it is lowered for "cuda" or "rocm"."""


def on_gpu(tree: Any) -> bool:
    """Whether what reads these arrays is traced for a GPU, as far as JAX tells while tracing."""
    return platform(tree) in GPUS


def platform(tree: Any) -> str:
    """Of what reads these arrays, such as "cpu", "gpu" or "tpu".

    By the first that says: the mesh of an array, that of the context, the default device.

    All three are in the key of JAX's caches of traced programs, so that a program that was traced
    for one platform is not taken for another. What is not told is where a single array lies that
    was put on a device other than the default one, and what `jax.export(platforms=)` will lower
    for.
    """
    meshes = (jax.typeof(leaf).sharding.mesh for leaf in jax.tree.leaves(tree))
    split = [mesh for mesh in meshes if not mesh.empty]
    for mesh in (*split, jax.sharding.get_abstract_mesh()):
        if mesh.abstract_device is not None:
            return mesh.abstract_device.platform
    device = jax.config.jax_default_device  # type: ignore[attr-defined]
    if device is None:
        return jax.default_backend()
    return device if isinstance(device, str) else device.platform


def traced_for(platform: str) -> AbstractContextManager:
    """Within it programs are traced for a platform that need not be here, such as "cuda"."""
    device = jax.sharding.AbstractDevice(device_kind=platform, num_cores=None, platform=platform)
    mesh = jax.sharding.AbstractMesh((), (), abstract_device=device)
    return jax.sharding.use_abstract_mesh(mesh)
