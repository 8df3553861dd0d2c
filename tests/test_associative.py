"""Linear cells with all of time at once: the numbers of the scan, in fewer steps one by one."""

import functools
import re

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree

import rnn_jax as rnn
from tests import hlo
from tests.cases import CASES, assert_close, every, normal, params_of

pytestmark = pytest.mark.usefixtures("no_rank_promotion")

LINEAR = [case for case in CASES if isinstance(case.cell, rnn.LinearCell)]
METHODS = rnn.Scan(), rnn.Associative(chunks=3)


def weighed(out):
    flat, _ = ravel_pytree(out)
    return jnp.sum(jnp.sin(flat + jnp.arange(flat.size, dtype=flat.dtype)))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def outcome(cell, method, reverse, params, xs, carry, marks, direction):
    """Values, the gradient, the derivative along a direction, and that of the gradient."""

    def loss(point):
        out = rnn.unroll(cell, *point, **marks, reverse=reverse, method=method)
        return weighed(out)

    def gradient(point):
        return jax.value_and_grad(loss)(point)

    return jax.jvp(gradient, ((params, xs, carry),), (direction,))


@every("recurrence", LINEAR)
def test_every_linear_cell_has_the_numbers_of_scan_in_every_mode(case, rng):
    steps = 11
    params, xs = case.params(), case.xs(steps, 2)
    point = params, xs, case.carry(params, (2,))
    direction = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), point)
    marks = {
        "lengths": jnp.array([steps, 7]),
        "mask": jnp.asarray(rng.random((steps, 2)) < 0.8),
        "reset": jnp.asarray(rng.random((steps, 2)) < 0.2),
    }
    expected, found = (
        outcome(case.cell, method, True, *point, marks, direction) for method in METHODS
    )
    assert_close(found, expected, 1e-9)


@pytest.mark.slow
@settings(max_examples=6)
@given(
    case=st.sampled_from(LINEAR),
    steps=st.integers(0, 300),
    chunks=st.sampled_from([None, 2, 5, 16]),
)
def test_drawn_lengths_and_chunks(case, steps, chunks):
    params, xs = case.params(), case.xs(steps, 1)
    gradient = jax.jit(
        jax.grad(
            lambda params, method: weighed(rnn.unroll(case.cell, params, xs, method=method)[1])
        ),
        static_argnums=1,
    )
    assert_close(gradient(params, rnn.Associative(chunks)), gradient(params, rnn.Scan()), 1e-8)


def training_step(method, steps, batch=1):
    cell = rnn.LRU(8, 16)
    params = cell.init(jax.random.key(0))

    def loss(params, xs):
        return jnp.mean(jnp.square(rnn.unroll(cell, params, xs, method=method)[1]))

    xs = jax.ShapeDtypeStruct((steps, batch, 8), jnp.float32)
    return hlo.compiled(jax.value_and_grad(loss), params, xs)


def test_a_long_sequence_has_the_program_of_a_short_one_and_few_steps_one_by_one():
    short, long = (training_step(rnn.Associative(), steps) for steps in (2**14, 2**16))
    size = [len(re.findall(" = ", program.as_text())) for program in (short, long)]
    assert size[1] < 1.1 * size[0]
    assert hlo.iterations(long) < 2**16 / 10
    assert hlo.iterations(training_step(rnn.BPTT(), 2**14)) > 2**14


def test_temporaries_are_the_states():
    steps = 2**16
    states = steps * 16 * 2 * 4
    assert hlo.temporaries(training_step(rnn.Associative(), steps)) < 3 * states


def test_a_stack_of_layers_each_by_its_own_method(key):
    plain = rnn.stack(rnn.LRU(2, 3), rnn.GRU(2, 2), rnn.bidirectional(rnn.LRU(2, 2), rnn.GRU(2, 2)))
    params = params_of(plain)
    xs = normal((9, 2, 2))
    below, middle, both = plain.layers
    fixed = rnn.with_method(rnn.stack(below, middle), rnn.Scan())
    mixed = rnn.stack(
        rnn.with_method(below, rnn.Associative(2)), rnn.with_method(middle, rnn.BPTT()), both
    )
    marks = {"lengths": jnp.array([9, 4])}

    @jax.jit
    def values(params, xs):
        return (
            rnn.unroll(plain, params, xs, **marks, method=rnn.Scan()),
            rnn.unroll(plain, params, xs, **marks, method=rnn.Automatic()),
            rnn.unroll(mixed, params, xs, **marks),
            rnn.unroll(fixed, params[:2], xs, **marks),
        )

    expected, automatic, by_layer, below_two = values(params, xs)
    assert_close(automatic, expected, 1e-12)
    assert_close(by_layer, expected, 1e-12)
    assert_close(below_two[0], expected[0][:2], 1e-12)
    carry, _ = rnn.step(fixed, params[:2], xs[0])
    assert_close(carry, rnn.step(fixed.layer, params[:2], xs[0])[0], 1e-12)


def program_of(cell, method):
    params, xs = cell.init(jax.random.key(0)), jnp.ones((40, 2))

    def run(params, xs):
        return rnn.unroll(cell, params, xs, method=method)

    return re.sub(r"0x\w+|method=.*", "", str(jax.make_jaxpr(run)(params, xs.astype(jnp.float32))))


def test_automatic_takes_what_the_structure_allows():
    assert program_of(rnn.LRU(2, 3), rnn.Automatic()) == program_of(
        rnn.LRU(2, 3), rnn.Associative()
    )
    assert program_of(rnn.GRU(2, 3), rnn.Automatic()) == program_of(rnn.GRU(2, 3), rnn.BPTT())
    assert program_of(rnn.LRU(2, 3), rnn.BPTT()) != program_of(rnn.LRU(2, 3), rnn.Associative())


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (rnn.GRU(2, 3), "is not linear in"),
        (rnn.IndRNN(2, 3), "is not linear in"),
        (rnn.map_cotangent(rnn.MinGRU(2, 3), lambda ct: ct), "changes the cotangent of"),
    ],
    ids=["gru", "indrnn", "map-cotangent"],
)
def test_what_cannot_be_joined_is_refused_by_name(cell, reason, key):
    name = type(cell).__name__
    with pytest.raises(rnn.StructureError, match=f"Associative: the step of {name}.* {reason}"):
        rnn.unroll(cell, cell.init(key), jnp.ones((4, 2), jnp.float32), method=rnn.Associative())


def test_an_exported_program_for_any_length_is_that_of_a_loop(key):
    cell = rnn.MinGRU(2, 3)
    params = params_of(cell)
    run = jax.jit(lambda xs: rnn.unroll(cell, params, xs, method=rnn.Associative())[1])
    (t,) = jax.export.symbolic_shape("t")
    program = jax.export.export(run)(jax.ShapeDtypeStruct((t, 2), jnp.float64))
    xs = normal((7, 2))
    assert_close(program.call(xs), run(xs), 1e-12)
