"""`Fused(Hopper())`: kernels by Mosaic GPU, in its interpreter and compiled for an H100."""

import functools
import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from tests import aot
from tests.kernels import OneInput, mean_square, refused

pytestmark = pytest.mark.usefixtures("no_rank_promotion")

THREADS = "32"


def runs_in_many_threads(request):
    """Whether this test has run, in a process of its own with a thread for each group of threads.

    In Mosaic's interpreter threads of XLA wait for each other, and XLA starts one a core.
    """
    if os.environ.get("NPROC") == THREADS:
        return False
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:xdist",
        "-m",
        "",
        request.node.nodeid,
    ]
    ran = subprocess.run(
        command,
        env={**os.environ, "NPROC": THREADS},
        cwd=request.config.rootpath,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stdout
    return True


def on_a_hopper(cell, steps, rows, key):
    """Params and inputs, all in bfloat16."""
    params = cell.init(key, jnp.bfloat16)
    return params, jax.random.normal(key, (steps, rows, cell.input_size), jnp.bfloat16)


def assert_as_rounded(found, expected):
    """Equal but for the rounding of bfloat16, in units of the largest number of each array."""
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        assert np.isfinite(a).all()
        assert np.max(np.abs(a - b)) <= 4 * float(jnp.finfo(jnp.bfloat16).eps) * np.max(np.abs(b))


def test_a_training_step_on_a_hopper_is_kernels_of_bfloat16_products_on_a_cluster(key):
    cell = rnn.Elman(16, 512)
    params, xs = on_a_hopper(cell, 3, 65, key)
    _, step = mean_square(cell, rnn.Fused(rnn.Hopper()))
    traced = str(jax.make_jaxpr(step)(params, xs))
    assert traced.count("cluster_barrier") >= 2
    assert traced.count("wgmma_ref") >= 2 * 32  # a group multiplies the units of each of 32


LITTLE = {rnn.Elman: 25_000, rnn.GRU: 27_000, rnn.LSTM: 27_000}
"""Bytes with which 64 units take two blocks, four, and four."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("units", "memory"),
    [
        pytest.param(16, {}, id="in one group of threads"),
        pytest.param(96, {}, id="in three groups"),
        pytest.param(64, LITTLE, id="in a cluster of blocks"),
    ],
)
@pytest.mark.parametrize("cell", [rnn.Elman, rnn.GRU, rnn.LSTM])
def test_both_kernels_for_a_hopper_have_the_numbers_of_scan(
    cell, units, memory, key, monkeypatch, request
):
    """Over two programs, with every mark."""
    if runs_in_many_threads(request):
        return
    # The interpreter has effects, which it knows of and does not differentiate.
    monkeypatch.setattr(jax, "checkpoint", lambda f, **_: f)
    machine = rnn.Hopper(memory[cell]) if memory else rnn.Hopper()
    method = rnn.Fused(machine, interpret=True)
    cell, steps, rows = cell(16, units), 4, 67
    params, xs = on_a_hopper(cell, steps, rows, key)
    marks = {
        "lengths": jnp.arange(rows) % (steps + 1),
        "reset": jax.random.uniform(key, (steps, rows)) < 0.3,
    }
    if memory and jax.__version_info__ < (0, 11):
        with pytest.raises(rnn.ArgumentError, match=r"takes \d blocks, and jax 0\.10.* cannot"):
            rnn.unroll(cell, params, xs, method=method)
        return
    made_for_h100 = functools.partial(rnn.unroll, cell, method=rnn.Fused(machine))
    assert ("cluster_barrier" in str(jax.make_jaxpr(made_for_h100)(params, xs))) == bool(memory)
    found, expected = (gradient_of_mean(cell, m, params, xs, marks) for m in (method, rnn.Scan()))
    assert_as_rounded(found, expected)


@functools.partial(jax.jit, static_argnums=(0, 1))
def gradient_of_mean(cell, method, params, xs, marks):
    def loss(params, xs):
        hs = rnn.unroll(cell, params, xs, **marks, method=method)[1].astype(jnp.float32)
        return jnp.sum(jnp.sin(hs)), hs

    return jax.grad(loss, (0, 1), has_aux=True)(params, xs)


@pytest.mark.parametrize("cell", [rnn.GRU(8, 96), rnn.LSTM(8, 96)], ids=["GRU", "LSTM"])
def test_both_kernels_are_made_for_units_in_several_groups(cell, key):
    params = jax.eval_shape(lambda: cell.init(key, jnp.bfloat16))
    xs = jax.ShapeDtypeStruct((9, 70, 8), jnp.bfloat16)
    _, step = mean_square(cell, rnn.Fused(rnn.Hopper()))
    _, gradient = jax.eval_shape(step, params, xs)
    assert jax.tree.map(jnp.shape, gradient) == jax.tree.map(jnp.shape, params)


def test_what_a_hopper_cannot_run_is_refused_by_name():
    a_hopper = functools.partial(refused, machine=rnn.Hopper())
    a_hopper(
        rnn.LSTM(8, 512),
        jnp.bfloat16,
        rnn.ArgumentError,
        r"the step of LSTM\(.* needs 386 KiB of the shared memory of each of 8 multiprocessors, "
        r"256 for its part of the weights .* 128 for what .*, and a program may take 227 KiB",
    )
    a_hopper(
        rnn.GRU(8, 64),
        jnp.float32,
        rnn.DtypeError,
        r"the step of GRU\(.* multiplies numbers of float32, and Hopper\(\) multiplies bfloat16",
    )
    a_hopper(
        rnn.Elman(8, 24),
        jnp.bfloat16,
        rnn.StructureError,
        r"the step of Elman\(.* has 24 units, and a Hopper multiplies 16 at once; use BPTT",
    )
    a_hopper(
        rnn.Elman(8, 16 * 13 * 8),
        jnp.bfloat16,
        rnn.StructureError,
        r"has 1664 units, which cannot be shared out equally in multiples of 16 up to 64",
    )
    a_hopper(
        rnn.LayerNormElman(8, 64),
        jnp.bfloat16,
        rnn.StructureError,
        r"has a `reduce_sum` of an array of shape \(64, 64\), of which no group of threads has all",
    )
    a_hopper(
        OneInput(8, 64),
        jnp.bfloat16,
        rnn.StructureError,
        r"has a `add` of an array of shape \(64, 256\) that is cut or joined and no product",
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "units", "spilled"),
    [
        (rnn.LSTM, 96, [0, 0]),
        (rnn.LSTM, 256, [0, 128]),
        (rnn.LSTM, 336, [96, 192]),
        (rnn.GRU, 384, [0, 0]),
        (rnn.Elman, 512, [0, 0]),
    ],
)
def test_compiled_for_an_h100_both_kernels_of_a_hopper_fit(
    cell, units, spilled, key, capfd, monkeypatch
):
    device = aot.h100()
    monkeypatch.setenv("MOSAIC_GPU_DUMP_PTXAS", "1")
    cell = cell(64, units)
    params = jax.eval_shape(lambda: cell.init(key, jnp.bfloat16))
    xs = jax.ShapeDtypeStruct((100, 100, 64), jnp.bfloat16)
    _, step = mean_square(cell, rnn.Fused(rnn.Hopper()))
    with jax.enable_x64(False):
        program = aot.compiled(device, step, params, xs).as_text()
    assert " while(" not in program
    told = re.findall(r"stack frame, (\d+) bytes spill stores", "".join(capfd.readouterr()))
    assert len(told) == 2
    assert all(int(n) <= most for n, most in zip(told, spilled, strict=True))
