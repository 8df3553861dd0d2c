"""Compile for an H100 and for a TPU v5e on a CPU: what they would run, without either.

XLA compiles for a device that is described, not there: for a GPU by the text below, for a TPU by
its name. It needs the compilers, which are wheels: `pip install 'scan-rnn[aot]'`. Nothing that is
compiled here can run here, and nothing here says how long anything takes.
"""

import contextlib
import functools
import importlib.metadata
import os
import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import jax
import pytest
from jax.experimental import topologies

# Without the version of the driver XLA captures nothing into graphs.
_H100 = """
platform_name: "CUDA"
device_description_str: "NVIDIA H100 80GB HBM3"
dnn_version_info { major: 9 minor: 7 }
runtime_version { major: 12 minor: 8 }
gpu_device_info {
  cuda_compute_capability { major: 9 }
  driver_version: "13.0.0"
  compile_time_toolkit_version: "12.9.0"
  core_count: 132
  fpus_per_core: 128
  threads_per_warp: 32
  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472
  l2_cache_size: 52428800
  device_memory_size: 84929347584
  memory_bandwidth: 3352320000000
  clock_rate_ghz: 1.98
}
"""
# To try out kernels takes a GPU.
_OPTIONS = {"gpu": {"xla_gpu_autotune_level": 0}, "tpu": {}}
if not importlib.metadata.version("jaxlib").startswith("0.10."):
    # From 0.11 on these are tried out even so, which ends in an error without a GPU.
    _OPTIONS["gpu"]["xla_gpu_enable_triton_gemm"] = False
# What libtpu would otherwise ask a server in a data centre; and no TPU is taken from anyone.
_TPU = {
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
}


def h100():
    """The device, or a test that is skipped."""
    _need("jax-cuda12-plugin", "nvidia-cuda-nvcc-cu12")
    return _h100()


def v5e():
    """The device, or a test that is skipped."""
    _need("libtpu")
    return _v5e()


def _need(*wheels):
    for wheel in wheels:
        try:
            importlib.metadata.version(wheel)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"needs {wheel} to compile for what is not here: make test-aot")


@functools.cache
def _h100():
    topology = topologies.get_topology_desc(platform="cuda", target_config=_H100, topology="1x1x1")
    return topology.devices[0]


@functools.cache
def _v5e():
    for name, value in _TPU.items():
        os.environ.setdefault(name, value)
    return topologies.get_topology_desc("v5e:2x2", platform="tpu").devices[0]


def compiled(device, f, *args, **options):
    """The program of `f` on this device for arguments like these, for `hlo` to read."""
    shapes = jax.eval_shape(lambda *args: args, *args)
    with jax.default_device(device), _as_if_on(device):
        lowered = jax.jit(f).lower(*shapes)
    return lowered.compile(_OPTIONS[device.platform] | options)


def _as_if_on(device):
    """From 0.11.2 on JAX asks, while it lowers a kernel for a GPU, which GPU that is."""
    if device.platform != "gpu":
        return contextlib.nullcontext()
    kind = jax.sharding.AbstractDevice(device.device_kind, device.core_count, "cuda")
    axes = (1,), ("only",), (jax.sharding.AxisType.Auto,)
    return jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh(*axes, abstract_device=kind))


def launched_by_the_host(device, f, *args, **options):
    """What the host of a GPU starts one by one, `{"kCommandBuffer": 2, ...}`, each kind counted.

    A graph that was captured, a command buffer to XLA, counts once, whatever is in it. What is in
    a loop counts once too, however often it runs; a loop that is in a graph is not seen.
    """
    with tempfile.TemporaryDirectory() as folder:
        compiled(device, f, *args, xla_dump_to=folder, **options)
        (text,) = (p.read_text() for p in Path(folder).glob("*thunk_sequence_after_thunk_passes*"))
    counts, within = Counter(), None
    for indent, kind in re.findall(r"^( *)\d+: (k\w+)", text, re.MULTILINE):
        if within is not None and len(indent) > within:
            continue
        within = len(indent) if kind == "kCommandBuffer" else None
        counts[kind] += 1
    return counts


def spills(folder, kernel):
    """Of each kernel of that name in the programs in a folder, the bytes that registers spill."""
    if not list(folder.glob("*.ptx")):
        pytest.skip("it compiles, but what it spills this release of XLA does not let us see")
    import nvidia

    (ptxas,) = (Path(path) / "cuda_nvcc/bin/ptxas" for path in nvidia.__path__)
    found = []
    for source in sorted(folder.glob("*.ptx")):
        if f".entry {kernel}" not in source.read_text():
            continue
        command = [ptxas, "-arch=sm_90a", "-v", source, "-o", folder / "unread.cubin"]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        found.append(int(re.search(r"(\d+) bytes spill stores", told)[1]))
    return found
