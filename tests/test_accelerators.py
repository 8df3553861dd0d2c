"""What programs for a GPU and a TPU do, counted where there is neither.

The rule by which loops are made for a GPU needs nothing. What XLA makes of them is compiled by the
wheels of the extra `aot`; without them those tests are skipped, and `make test-aot` runs them all.
"""

import functools
import re
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest
from jax.extend.core import jaxprs_in_params

import rnn_jax as rnn
from benchmarks.variants import VARIANTS
from rnn_jax.devices.platform import traced_for
from rnn_jax.methods.blocks import FEW_LAUNCHES, FEWEST, IN_CACHE
from tests import aot, hlo
from tests.cases import assert_close

STEPS, BATCH, INPUTS, HIDDEN = 512, 32, 128, 256
CELLS = {"elman": rnn.Elman, "gru": rnn.GRU, "lstm": rnn.LSTM}
DEFAULT = rnn.BPTT()
MOST_LAUNCHES = {"elman": 6, "gru": 6, "lstm": 7}
"""A step of time, of a training step by the default method."""

WORKSPACE = 2**25 if (0, 11) <= jax.__version_info__ < (0, 12) else 0
"""Bytes that any program with a product takes for a Hopper, whatever is multiplied.

Without trying kernels out, XLA multiplies by cuBLAS from jax 0.11 on; in 0.11 it gives it 32 MiB,
from 0.12 on 4, and before there were none.
"""

every_cell = pytest.mark.parametrize("name", CELLS)


@pytest.fixture(autouse=True)
def defaults_of_a_user():
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield


def gradient(cell, method=DEFAULT, steps=STEPS, batch=BATCH, **marks):
    """A training step, and its arguments."""
    params = cell.init(jax.random.key(0))
    xs = jnp.ones((steps, batch, *cell.input.shape), jnp.float32)

    def loss(params, xs, marks):
        _, ys = rnn.unroll(cell, params, xs, method=method, **marks)
        return jnp.mean(jnp.square(ys))

    return jax.value_and_grad(loss), params, xs, marks


# -- The rule ------------------------------------------------------------------------------------


def unrollings(f, *arguments):
    """How many steps an iteration holds, of every loop that holds more than one.

    Either JAX is asked for as many, or its body has as many tanh.
    """
    found = []

    def read(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name == "scan":
                body = [inside.primitive.name for inside in equation.params["jaxpr"].jaxpr.eqns]
                found.append(max(equation.params["unroll"], body.count("tanh")))
            for inside in jaxprs_in_params(equation.params):
                read(inside)

    read(jax.make_jaxpr(f)(*arguments).jaxpr)
    return [n for n in found if n > 1]


def outputs(method=DEFAULT):
    cell = rnn.Elman(3, 4)
    params = cell.init(jax.random.key(0))
    return lambda xs: rnn.unroll(cell, params, xs, method=method)[1], jnp.ones((50, 2, 3))


ONE, SEVERAL = [], [FEW_LAUNCHES.unroll]


@pytest.mark.parametrize("platform", ["cuda", "rocm", "gpu"])
def test_a_loop_for_a_gpu_holds_several_steps_and_any_other_one(platform):
    default, by_hand, scan = outputs(), outputs(rnn.BPTT(unroll=3)), outputs(rnn.Scan())
    with traced_for(platform):
        assert unrollings(*default) == SEVERAL
        assert unrollings(*by_hand) == [3]
        assert unrollings(*scan) == ONE
        with traced_for("tpu"):
            assert unrollings(*default) == ONE
    assert unrollings(*default) == ONE
    assert unrollings(*by_hand) == [3]


def test_the_platform_is_that_of_the_mesh_or_the_context_or_the_default_device():
    f, xs = outputs()
    on_mesh = jax.device_put(xs, jax.NamedSharding(jax.make_mesh((1,), ("x",)), jax.P()))
    with jax.default_device("gpu"):
        assert unrollings(f, xs) == SEVERAL
        with traced_for("cpu"):
            assert unrollings(f, xs) == ONE
    with traced_for("cuda"), jax.default_device(jax.devices()[0]):
        assert unrollings(f, xs) == SEVERAL
        assert unrollings(f, on_mesh) == ONE


def test_a_program_for_one_platform_is_not_taken_for_another():
    f, *arguments = gradient(rnn.Elman(3, 4), steps=50, batch=2)
    f = jax.jit(f)
    assert unrollings(f, *arguments) == ONE
    with traced_for("cuda"):
        # The orbit, its tangent, and what is made of that backward in time.
        assert unrollings(f, *arguments) == 3 * SEVERAL
    assert unrollings(f, *arguments) == ONE


def test_loops_made_for_a_gpu_have_the_numbers_of_those_for_a_cpu(rng):
    cell, steps = rnn.Elman(3, 4), 43
    params = cell.init(jax.random.key(0))
    xs = jnp.asarray(rng.normal(size=(steps, 2, 3)), jnp.float32)
    lengths, reset = jnp.array([43, 29]), jnp.asarray(rng.random((steps, 2)) < 0.1)

    def loss(params, xs):
        _, ys = rnn.unroll(cell, params, xs, lengths=lengths, reset=reset)
        return jnp.sum(jnp.square(ys))

    f = jax.jit(jax.value_and_grad(loss))
    with traced_for("cuda"):
        made_for_a_gpu = f.trace(params, xs).lower(lowering_platforms=("cpu",)).compile()
    assert_close(made_for_a_gpu(params, xs), f(params, xs), 1e-5)


def test_a_block_is_as_long_as_suits_the_device():
    lstm = 4 * HIDDEN * BATCH * 4  # bytes of preactivations a step
    assert FEW_LAUNCHES.block(STEPS, lstm) == 128
    assert IN_CACHE.block(STEPS, lstm) == FEWEST
    assert [IN_CACHE.block(steps, lstm) for steps in (0, 1, 150, 151, 1000)] == [1, 1, 15, 17, 20]
    assert FEW_LAUNCHES.block(STEPS, lstm // 64) == STEPS
    for size in (1, 100, lstm, 100 * lstm):
        for steps in (1, 100, 512, 100_000):
            block = FEW_LAUNCHES.block(steps, size)
            # What is left over is spread, over at least one and a half of what was wanted.
            assert block * size <= 1.5 * max(FEW_LAUNCHES.bytes, FEWEST * size)


def test_an_export_for_one_platform_is_made_for_it():
    cell = rnn.GRU(3, 4)
    params = cell.init(jax.random.key(0))

    def operations(*platforms):
        run = rnn.export(cell, params, (2,), block=50, platforms=platforms).run
        assert run.platforms == platforms
        return re.findall(r"stablehlo\.\w+", run.mlir_module())

    assert operations("cuda") != operations("cpu") == operations("tpu")


def test_launches_are_read_from_programs():
    """A program as XLA writes it: two launches, and in five times three iterations two and one."""
    text = """HloModule jit_f
%fused (p: f32[2]) -> f32[2] {
  %p = f32[2]{0} parameter(0)
  ROOT %e = f32[2]{0} exponential(%p)
}
%inner (t: (s32[], f32[2])) -> (s32[], f32[2]) {
  %t = (s32[], f32[2]{0}) parameter(0)
  %x = f32[2]{0} get-tuple-element(%t), index=1
  %f = f32[2]{0} fusion(%x), kind=kLoop, calls=%fused
  ROOT %r = (s32[], f32[2]{0}) tuple(%n, %f)
}
%outer (t: (s32[], f32[2])) -> (s32[], f32[2]) {
  %t = (s32[], f32[2]{0}) parameter(0)
  %w = (s32[], f32[2]{0}) while(%t), body=%inner, backend_config={"known_trip_count":{"n":"3"}}
  %c = f32[2]{0} copy(%x)
  %g = (f32[2]{0}, s8[4]{0}) custom-call(%c), custom_call_target="__cublas$gemm"
  ROOT %r = (s32[], f32[2]{0}) tuple(%n, %g)
}
ENTRY %main (p: f32[2]) -> f32[2] {
  %p = f32[2]{0} parameter(0)
  %s = ((f32[2]{0}), f32[2]{0}, s32[]) copy-start(%p)
  %d = f32[2]{0} copy-done(%s)
  %w = (s32[], f32[2]{0}) while(%t), body=%outer, backend_config={"known_trip_count":{"n":"5"}}
  ROOT %f = f32[2]{0} fusion(%w), kind=kLoop, calls=%fused
}
"""
    assert hlo.launches(SimpleNamespace(as_text=lambda: text)) == 2 + 5 * (2 + 3)


# -- What XLA makes of it ------------------------------------------------------------------------


def launches_a_step(cell, method=DEFAULT, **marks):
    program = aot.compiled(aot.h100(), *gradient(cell, method, **marks))
    return hlo.launches(program) / STEPS


@functools.cache
def launches_by_default(name):
    return launches_a_step(CELLS[name](INPUTS, HIDDEN))


@pytest.mark.parametrize(
    "name", ["elman", *(pytest.param(n, marks=pytest.mark.slow) for n in ("gru", "lstm"))]
)
def test_a_training_step_on_a_gpu_launches_little(name):
    assert launches_by_default(name) <= MOST_LAUNCHES[name]
    # The count sees them where they are: what JAX makes of a scan has twice as many.
    by_scan = launches_a_step(CELLS[name](INPUTS, HIDDEN), rnn.Scan())
    assert by_scan > 2 * MOST_LAUNCHES[name]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["padding", "resets", "noise"])
@every_cell
def test_marks_and_noise_launch_little_more(name, what):
    cell = CELLS[name](INPUTS, HIDDEN)
    cell, marks = {
        "padding": (cell, {"lengths": jnp.full(BATCH, STEPS)}),
        "resets": (cell, {"reset": jnp.zeros((STEPS, BATCH), bool)}),
        "noise": (rnn.zoneout(cell, 0.1), {"key": jax.random.key(0)}),
    }[what]
    assert launches_a_step(cell, **marks) <= launches_by_default(name) + 2


@pytest.mark.slow
@every_cell
def test_temporaries_on_a_gpu_are_those_on_a_cpu_and_a_larger_block(name):
    """At most four times the preactivations of a block: they, their tangents, and what is read."""
    f, *arguments = gradient(CELLS[name](INPUTS, HIDDEN))
    there = hlo.temporaries(aot.compiled(aot.h100(), f, *arguments))
    here = hlo.temporaries(hlo.compiled(f, *arguments))
    assert there - WORKSPACE <= here + 4 * FEW_LAUNCHES.bytes


@pytest.mark.slow
def test_a_product_alone_takes_the_workspace():
    square = jnp.ones((HIDDEN, HIDDEN))
    program = aot.compiled(aot.h100(), jnp.matmul, square, square)
    assert WORKSPACE <= hlo.temporaries(program) < WORKSPACE + 2**23


@pytest.mark.slow
@every_cell
def test_temporaries_on_a_gpu_grow_with_time_as_on_a_cpu(name):
    """A step of T costs carries and their cotangents; a block is as large as it was."""

    def growth(compiled):
        few, many = (
            hlo.temporaries(compiled(*gradient(cell, rnn.BPTT(store=0), steps)))
            for steps in (1024, 2048)
        )
        return many - few

    cell = CELLS[name](INPUTS, HIDDEN)
    device = aot.h100()
    there = growth(lambda *program: aot.compiled(device, *program))
    assert there <= 1.1 * growth(hlo.compiled)


@pytest.mark.slow
def test_an_iteration_is_one_graph_and_a_loop_is_one_if_asked_for():
    f, *arguments = gradient(rnn.Elman(INPUTS, HIDDEN))
    device = aot.h100()
    by_default = aot.launched_by_the_host(device, f, *arguments)
    assert by_default["kWhile"] > 0
    asked = aot.launched_by_the_host(device, f, *arguments, **VARIANTS["captured"].options)
    assert asked["kWhile"] == 0 < asked["kCommandBuffer"]


@pytest.mark.slow
@every_cell
def test_a_training_step_compiles_for_a_tpu_in_no_more_memory(name):
    f, *arguments = gradient(CELLS[name](INPUTS, HIDDEN))
    program = aot.compiled(aot.v5e(), f, *arguments)
    assert hlo.temporaries(program) <= hlo.temporaries(hlo.compiled(f, *arguments))
