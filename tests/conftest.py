"""The ground that every test stands on: CPU, float64, no silent promotion, the same numbers again.

Tests that are about float32 or bfloat16 pass their dtypes; nothing here is the default of a user.
"""

import gc
import os
import signal
from pathlib import Path

from tests.compilation import QUICK

# Before jax is imported, and in the environment, so that programs started by tests inherit them.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["MPLBACKEND"] = "agg"
# What a shell starts in the background ignores ctrl-C, and so would the programs of the tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Two workers on two cores: threads of LAPACK would only wait for one another.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Nearly all of the suite's time is compilation: so there is less of it.
os.environ.setdefault("XLA_FLAGS", QUICK)

import hypothesis
import jax
import numpy as np
import pytest

# Most of what is traced stays, and is many small objects: garbage is looked for less often.
gc.set_threshold(100_000, 20, 20)

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")

# Compilation makes the first example slow, so time limits would say nothing; and a failure that
# comes and goes with the seed teaches less than one that stays.
hypothesis.settings.register_profile("rnn_jax", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("rnn_jax")


def pytest_collection_finish():
    """What is imported stays: to look at all of it for garbage again and again takes seconds."""
    gc.collect()
    gc.freeze()


MAPS = Path("/proc/self/maps")
MANY = 25_000
"""Maps of memory. Linux allows a process 65,530, each compiled program takes some, and XLA crashes
where there are no more."""


@pytest.fixture(scope="module", autouse=True)
def forget_programs():
    """After a module, let go of what was compiled, if that is very much."""
    yield
    if MAPS.exists() and MAPS.read_bytes().count(b"\n") > MANY:
        jax.clear_caches()
        gc.collect()


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def no_rank_promotion():
    """For the laws: whoever has JAX refuse to broadcast ranks silently can use the library."""
    with jax.numpy_rank_promotion("raise"):
        yield
