"""All steps in one kernel: the numbers of the scan, by an interpreter of kernels on a CPU."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.extend.core import jaxprs_in_params
from jax.flatten_util import ravel_pytree

import rnn_jax as rnn
from rnn_jax.methods.kernel.deferred import Weight
from rnn_jax.methods.kernel.program import program
from rnn_jax.methods.kernel.rows import Rows, rows
from tests import aot
from tests.cases import CASES, assert_close
from tests.kernels import OneInput, mean_square, refused

pytestmark = pytest.mark.usefixtures("no_rank_promotion")

SCAN, FUSED = rnn.Scan(), rnn.Fused(interpret=True)
QUICK = ("elman",)
LOOPS = [case for case in CASES if not isinstance(case.cell, rnn.Memoryless)]
every_loop = pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=[] if case.name in QUICK else pytest.mark.slow)
        for case in LOOPS
    ],
)


def case_of(name):
    (case,) = (case for case in CASES if case.name == name)
    return case


def weighed(out):
    flat, _ = ravel_pytree(out)
    return jnp.sum(jnp.sin(flat + jnp.arange(flat.size, dtype=flat.dtype)))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def outcome(cell, method, reverse, xs, marks, point, direction):
    """Values, the gradient, the derivative along a direction, and that of the gradient."""

    def loss(point):
        params, carry, *floating = point
        inputs = floating[0] if floating else xs
        return weighed(
            rnn.unroll(cell, params, inputs, carry, **marks, reverse=reverse, method=method)
        )

    return jax.jvp(jax.value_and_grad(loss), (point,), (direction,))


@every_loop
def test_every_cell_has_the_numbers_of_scan_in_every_mode(case, rng):
    steps, batch = 7, (3,)  # as many sequences as most rows have units
    params, xs = case.params(), case.xs(steps, *batch)
    point = params, case.carry(params, batch)
    if jnp.issubdtype(xs.dtype, jnp.floating):
        point = *point, xs
    direction = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), point)
    marks = {
        "lengths": jnp.array([steps, 4, 0]),
        "mask": jnp.asarray(rng.random((steps, *batch)) < 0.8),
        "reset": jnp.asarray(rng.random((steps, *batch)) < 0.2),
    }
    expected, found = (
        outcome(case.cell, method, True, xs, marks, point, direction) for method in (SCAN, FUSED)
    )
    assert_close(found, expected, 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("cell", [rnn.Elman, rnn.GRU, rnn.LSTM, rnn.MGU, rnn.LRU])
def test_the_form_for_a_gpu_has_the_numbers_of_scan_in_every_mode(cell, key, rng):
    cell, steps, rows = cell(3, 16), 7, 5  # of which a program has 16
    point = jax.tree.map(
        lambda x: jnp.asarray(rng.normal(size=x.shape)) / 3,
        (
            cell.init(key, jnp.float64),
            cell.initial_carry(cell.init(key, jnp.float64), (rows,)),
            jnp.zeros((steps, rows, 3)),
        ),
    )
    direction = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), point)
    marks = {
        "lengths": jnp.array([steps, 4, 0, 3, 5]),
        "reset": jnp.asarray(rng.random((steps, rows)) < 0.3),
    }
    expected, found = (
        outcome(cell, method, True, None, marks, point, direction)
        for method in (SCAN, rnn.Fused(rnn.GPU(), interpret=True))
    )
    assert_close(found, expected, 1e-9)


def test_rows_that_fill_up_a_program_on_a_gpu_reach_no_number(key):
    cell = rnn.Elman(3, 16)
    params, xs = cell.init(key, jnp.float64), jax.random.normal(key, (4, 17, 3), jnp.float64)
    method = rnn.Fused(rnn.GPU(), interpret=True)
    found = jax.jit(functools.partial(run, cell, method=method, reverse=False))(params, xs)
    assert_close(found, run(cell, params, xs, SCAN, False), 1e-12)


@functools.partial(jax.jit, static_argnums=(0, 1))
def gradient(cell, method, params, xs, marks):
    def loss(params, xs):
        return weighed(rnn.unroll(cell, params, xs, **marks, method=method))

    return jax.value_and_grad(loss, (0, 1))(params, xs)


@pytest.mark.slow
@settings(max_examples=20)
@given(
    name=st.sampled_from(["elman", "gru", "lstm", "selective-ssm", "time-scales", "peephole"]),
    steps=st.sampled_from([0, 1, 2, 63, 64, 65, 130]),
    batch=st.sampled_from([(), (1,), (2, 3), (17,), (2, 1, 3), (0,)]),
    marked=st.booleans(),
)
def test_any_number_of_steps_and_any_batch(name, steps, batch, marked):
    case = case_of(name)
    params, xs = case.params(), case.xs(steps, *batch)
    draws = jax.random.uniform(jax.random.key(3), (2, steps, *batch))
    marks = {"mask": draws[0] < 0.7, "reset": draws[1] < 0.3} if marked else {}
    expected, found = (gradient(case.cell, method, params, xs, marks) for method in (SCAN, FUSED))
    assert_close(found, expected, 1e-9)


def test_blocks_of_time_of_which_the_last_is_short_from_either_end(key):
    cell = rnn.Elman(2, 3)
    params, xs = cell.init(key, jnp.float64), jax.random.normal(key, (7, 2, 2), jnp.float64)
    tile = 8 * 128 * 8  # the least that VMEM has for an array of float64
    small = rnn.Fused(rnn.TPU(memory=(1 + 3 + 3 * 4) * tile * 4 // 3 + 1), interpret=True)
    (kernel,) = kernels(lambda: run(cell, params, xs, small, False))
    assert kernel.params["grid_mapping"].grid == (3,)

    @jax.jit
    def values(params, xs):
        return [
            run(cell, params, xs, method, reverse)
            for method in (SCAN, small)
            for reverse in (False, True)
        ]

    *expected, forward, backward = values(params, xs)
    assert_close([forward, backward], expected, 1e-12)


def run(cell, params, xs, method, reverse):
    return rnn.unroll(cell, params, xs, reverse=reverse, method=method)


def test_which_arrays_have_a_part_for_each_row_where_all_sizes_agree():
    square, row = jax.ShapeDtypeStruct((3, 3), jnp.float32), jax.ShapeDtypeStruct((3,), jnp.float32)

    def step(consts, carry, x):
        weight, bias, start, scale = consts
        carry = jnp.where((x > 0)[:, None], start, carry) @ weight
        return carry * scale[:, None] + bias[None], carry

    found = rows(step, (square, row, square, row), square, row)
    assert found == Rows((3,), (False, False, True, True))
    assert rows(step, (square, row, square, square), square, row) is None
    merged = found.merged(jnp.zeros((5, 3, 2)), 1)
    assert merged.shape == (5, 3, 2)


@dataclasses.dataclass(frozen=True)
class OfTwo(rnn.Elman):
    """Made for a batch of two."""

    def update(self, carry, a):
        return rnn.ElmanCarry(jnp.tanh(a.reshape(2, self.hidden_size)))


def test_a_step_that_is_made_for_one_size_of_batch_is_refused_by_name(key):
    cell = OfTwo(3, 4)
    params, xs = cell.init(key), jnp.ones((5, 2, 3), jnp.float32)
    with pytest.raises(rnn.StructureError, match=r"step of OfTwo\(.* one size of batch.*use BPTT"):
        rnn.unroll(cell, params, xs, method=FUSED)


def test_what_a_gpu_cannot_run_is_refused_by_name():
    refused(
        rnn.LSTM(8, 256),
        jnp.bfloat16,
        rnn.ArgumentError,
        r"the step of LSTM\(.* needs 592 KiB of a GPU's shared memory, 512 for the weights of its "
        r"loop, and a program may take 227 KiB; 1/2 of the units would fit",
    )
    refused(
        rnn.GRU(8, 96),
        jnp.float32,
        rnn.StructureError,
        r"the step of GRU\(.* has an array of shape \(1, 96\), and .* GPU has sizes 2\^n alone",
    )
    refused(
        rnn.Elman(8, 8),
        jnp.float32,
        rnn.StructureError,
        r"multiplies an array of shape .*8.*, and a GPU takes 16 units at least; use BPTT\(\)",
    )
    refused(
        OneInput(8, 64),
        jnp.float32,
        rnn.StructureError,
        r"has a `split` of an array of shape \(16, 256\), .* cuts and joins nothing but weights",
    )


def equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for inside in jaxprs_in_params(equation.params):
            yield from equations(inside)


def kernels(f, *arguments):
    """Those of a program; of a gradient also the kernels of derivatives that do not run."""
    every = equations(jax.make_jaxpr(f)(*arguments).jaxpr)
    return [e for e in every if e.primitive.name == "pallas_call"]


@pytest.mark.parametrize(("cell", "products"), [(rnn.GRU, {3}), (rnn.LayerNormGRU, {3, 6})])
def test_every_kernel_multiplies_gate_by_gate_and_sums_in_float32(cell, products, key):
    cell = cell(3, 8)
    params, xs = cell.init(key, jnp.bfloat16), jnp.ones((1000, 2, 3), jnp.bfloat16)

    def loss(params):
        hs = rnn.unroll(cell, params, xs, method=FUSED)[1]
        return jnp.sum(jnp.square(hs.astype(jnp.float32)))

    found = kernels(jax.grad(loss), params)
    assert len(found) >= 2
    for kernel in found:
        body = list(equations(kernel.params["jaxpr"]))
        names = [e.primitive.name for e in body]
        assert names.count("dot_general") in products
        assert not {"split", "concatenate"} & set(names)
        for e in body:
            if e.primitive.name == "dot_general":
                assert {x.aval.dtype.name for x in e.invars} == {"bfloat16"}
                assert e.outvars[0].aval.dtype == jnp.float32


def test_what_is_cut_later_is_in_parts_from_the_start(rng):
    def step(h, x, gain, w):
        row = gain[None] * (x[:, :1] - h @ w)
        row = row / row.max(-1, keepdims=True) + jnp.square(row).sum(-1, keepdims=True)
        gates, n = jnp.split(row, [8], axis=-1)
        gates = gates - gates.min(-1, keepdims=True)
        r, z = jnp.split(gates, 2, axis=-1)
        joined = jnp.concatenate([r * n, n, z], -1)
        # What runs along a row needs all of it.
        return [jnp.tanh(joined) @ w.T + jnp.cumsum(joined, -1)[:, :4]]

    shapes = (2, 4), (2, 4), (12,), (4, 12)
    arrays = [jnp.asarray(rng.normal(size=shape)) for shape in shapes]
    found, held = program(step, arrays, 1)
    assert not held
    product = next(e for e in found.equations if e.primitive.name == "dot_general")
    assert found.parts[product.outvars[0]] == (4, 4, 4)
    weight = Weight(
        lambda axis, start, size: jax.lax.slice_in_dim(arrays[3], start, start + size, axis=axis),
        arrays[3].shape,
    )
    assert_close(found(*arrays[:3], weight), step(*arrays), 1e-12)


def test_narrow_numbers_are_those_of_scan_to_their_rounding(key):
    cell = rnn.LSTM(2, 16)
    params = cell.init(key, jnp.bfloat16)
    xs = jax.random.normal(key, (9, 3, 2), jnp.bfloat16)

    @jax.jit
    def values(params, xs):
        return [rnn.unroll(cell, params, xs, method=method)[1] for method in (SCAN, FUSED)]

    expected, found = (np.asarray(hs, np.float64) for hs in values(params, xs))
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=0, atol=2 * float(jnp.finfo(jnp.bfloat16).eps))


def test_an_ensemble_by_vmap(key):
    cell = rnn.Elman(2, 3)
    params = jax.vmap(lambda key: cell.init(key, jnp.float64))(jax.random.split(key, 2))
    xs = jax.random.normal(key, (5, 4, 2), jnp.float64)

    @jax.jit
    def values(params):
        return [jax.vmap(lambda p: run(cell, p, xs, m, True))(params) for m in (SCAN, FUSED)]  # noqa: B023

    expected, found = values(params)
    assert_close(found, expected, 1e-12)


def test_a_training_step_for_a_tpu_is_two_kernels_and_made_without_one(key):
    cell = rnn.LSTM(3, 8)
    params, xs = cell.init(key, jnp.float32), jnp.ones((70, 5, 3), jnp.float32)

    def loss(params, xs, lengths):
        method = rnn.Fused(rnn.TPU())
        return jnp.sum(rnn.unroll(cell, params, xs, lengths=lengths, method=method)[1])

    step = jax.jit(jax.grad(loss))
    made = jax.export.export(step, platforms=["tpu"])(params, xs, jnp.full(5, 70))
    assert len(re.findall("@tpu_custom_call", made.mlir_module())) == 2


@pytest.mark.parametrize("sizes", [("t", 2), (7, "b")], ids=str)
def test_sizes_that_are_left_open_are_refused(sizes, key):
    cell = rnn.Elman(3, 4)
    params = cell.init(key, jnp.float32)
    shape = jax.export.symbolic_shape(f"{sizes[0]}, {sizes[1]}, 3")
    f = jax.jit(lambda xs: rnn.unroll(cell, params, xs, method=FUSED)[1])
    with pytest.raises(rnn.ArgumentError, match=r"Fused: a kernel is made for one size.*left open"):
        jax.export.export(f)(jax.ShapeDtypeStruct(shape, jnp.float32))


def test_what_does_not_fit_is_told_what_would(key):
    def shapes(cell, dtype, rows):
        params = jax.eval_shape(lambda: cell.init(key, dtype))
        return params, jax.ShapeDtypeStruct((9, rows, 8), dtype)

    def kernel_of(cell, dtype, rows):
        method = rnn.Fused(rnn.TPU())
        f = functools.partial(rnn.unroll, cell, method=method)
        return jax.eval_shape(f, *shapes(cell, dtype, rows))

    small, large = rnn.LSTM(8, 1024), rnn.LSTM(8, 4096)
    kernel_of(small, jnp.float32, 512)
    with pytest.raises(
        rnn.ArgumentError,
        match=r"Fused: the step of LSTM\(.*, with 4096 sequences at once, needs .* MiB of a TPU's "
        r"VMEM for its arrays, where a kernel may take 72\.0 MiB; a batch of 512 fits, or use BPTT",
    ):
        kernel_of(small, jnp.float32, 4096)
    with pytest.raises(
        rnn.ArgumentError,
        match=r"the weights of its loop take 256\.0 MiB, so take fewer units",
    ):
        kernel_of(large, jnp.float32, 8)


def in_heads(cell):
    """768 numbers in heads of so many units."""
    return lambda inputs, units: rnn.heads(cell(inputs, units), 768 // units)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("units", [256, 1024])
@pytest.mark.parametrize(
    "cell",
    [rnn.Elman, rnn.GRU, rnn.LSTM, rnn.LayerNormElman, rnn.LayerNormGRU, rnn.LayerNormLSTM],
)
def test_compiled_for_a_tpu_v5e_a_training_step_is_two_kernels_and_no_loop(cell, units, dtype, key):
    device = aot.v5e()
    cell = cell(128, units)
    params = jax.eval_shape(lambda: cell.init(key, dtype))
    xs = jax.ShapeDtypeStruct((512, 32, 128), dtype)
    for f, expected in zip(mean_square(cell, rnn.Fused(rnn.TPU())), (1, 2), strict=True):
        program = aot.compiled(device, f, params, xs).as_text()
        assert program.count('custom_call_target="tpu_custom_call"') == expected
        assert " while(" not in program


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "units", "dtype"),
    [
        (rnn.LSTM, 64, jnp.float32),
        (rnn.LSTM, 128, jnp.bfloat16),
        (rnn.GRU, 128, jnp.float32),
        (rnn.MGU, 128, jnp.float32),
        (rnn.Elman, 128, jnp.float32),
        (rnn.Elman, 256, jnp.bfloat16),
        (rnn.LayerNormLSTM, 64, jnp.float32),
        (rnn.LayerNormLSTM, 64, jnp.bfloat16),
        (rnn.LayerNormGRU, 64, jnp.float32),
        (rnn.LayerNormElman, 128, jnp.float32),
        # 768 numbers in heads, as FlashRNN has them: a program runs some rows of one head.
        (in_heads(rnn.LSTM), 64, jnp.bfloat16),
        (in_heads(rnn.LSTM), 128, jnp.bfloat16),
        (in_heads(rnn.GRU), 64, jnp.bfloat16),
        (in_heads(rnn.Elman), 256, jnp.bfloat16),
        (in_heads(rnn.LSTM), 16, jnp.bfloat16),
    ],
)
def test_compiled_for_an_h100_both_kernels_fit_and_spill_nothing(cell, units, dtype, key, tmp_path):
    device = aot.h100()
    cell = cell(64, units)
    params = jax.eval_shape(lambda: cell.init(key, dtype))
    xs = jax.ShapeDtypeStruct((100, 40, 64), dtype)
    _, step = mean_square(cell, rnn.Fused(rnn.GPU(rows=16)))
    program = aot.compiled(device, step, params, xs, xla_dump_to=str(tmp_path)).as_text()
    assert " while(" not in program
    assert aot.spills(tmp_path, "fused_steps") == [0, 0]
