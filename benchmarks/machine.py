"""What the numbers belong to."""

import datetime
import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

import jax

VERSIONS = ["jax", "jaxlib", "flax", "dm-haiku", "equinox", "keras", "torch", "numpy"]
VARIABLES = ["XLA_FLAGS", "JAX_PLATFORMS", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "KMP_BLOCKTIME"]


def machine() -> dict:
    """Date, hardware, versions, flags and commit."""
    device = jax.devices()[0]
    return {
        "date": datetime.date.today().isoformat(),
        "device": device.device_kind,
        "devices": jax.device_count(),
        "processor": _processor(),
        "threads": threads(),
        "memory, GB": round(_pages("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **_versions(),
        **{name: os.environ[name] for name in VARIABLES if name in os.environ},
        "matmul precision": jax.config.jax_default_matmul_precision or "default",
        "commit": _commit(),
    }


def threads() -> int:
    """How many cores this process may use: those that XLA and torch get alike."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_bytes() -> int:
    """Of the memory that the device computes in."""
    stats = jax.devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    available = Path("/proc/meminfo")
    if available.exists():
        found = re.search(r"MemAvailable:\s+(\d+) kB", available.read_text())
        if found:
            return 1024 * int(found[1])
    return _pages("SC_AVPHYS_PAGES")


def _pages(name: str) -> int:
    return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    found = information.exists() and re.search(
        r"^model name\s*:\s*(.+)$", information.read_text(), re.MULTILINE
    )
    return found[1] if found else platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    versions = {}
    for name in VERSIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "absent"
    return versions


def _commit() -> str:
    """The commit checked out, and whether files differ from it."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "..")
    return git("rev-parse", "--short", "HEAD") + (" and changes" if changed else "")
