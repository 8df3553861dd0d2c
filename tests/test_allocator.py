"""A program's temporaries stay with the process. Allocators are set for good: processes apart."""

import platform
import subprocess
import sys

import pytest

import rnn_jax as rnn

GLIBC = platform.libc_ver()[0] == "glibc"
COUNTED = """
import resource, sys
import jax, jax.numpy as jnp
import rnn_jax as rnn

if sys.argv[1] == "kept":
    assert rnn.keep_memory()
f = jax.jit(lambda x: x @ x.T @ x)
x = jnp.ones((4096, 2))
assert f.lower(x).compile().memory_analysis().temp_size_in_bytes >= 2**26

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    jax.block_until_ready(f(x))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

pages(), pages()
print(min(pages() for _ in range(3)))
"""


def mapped(word):
    """Pages that the system maps at a call whose temporaries are 64 MiB."""
    done = subprocess.run([sys.executable, "-c", COUNTED, word], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(not GLIBC, reason="no glibc")
def test_temporaries_are_mapped_once():
    anew = mapped("given back")
    assert anew * 4096 >= 2**26  # or there would be nothing to keep
    # Whether the thread that runs the program has the heap of an earlier one is a matter of luck.
    assert any(mapped("kept") < anew / 100 for _ in range(5))


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert rnn.keep_memory() is False
