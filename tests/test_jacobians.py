"""Jacobians of steps and of the whole way, and the carry as a vector."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from rnn_jax.analysis import (
    flatten_carry,
    flossing_loss,
    gradient_spectrum,
    leading_gradient_spectrum,
    lyapunov_spectrum,
    propagator,
    step_jacobians,
    unflatten_carry,
)
from tests.cases import CASES, REMEMBERING, assert_close, every
from tests.given import given

pytestmark = pytest.mark.usefixtures("no_rank_promotion")


def test_the_jacobians_of_a_linear_cell_are_its_matrices(rng):
    matrices = rng.normal(size=(5, 2, 3, 3))
    np.testing.assert_array_equal(step_jacobians(*given(matrices)), matrices)


@every("loop", REMEMBERING)
def test_the_product_of_the_steps_is_the_jacobian_of_unroll(case):
    cell, params, xs = case.cell, case.params(), case.xs(4, 2)
    start = case.carry(params, (2,))
    jacobians = step_jacobians(cell, params, xs, start)
    product = functools.reduce(lambda product, J: J @ product, jacobians)
    walk = propagator(cell, params, xs, start)

    @jax.jit
    def others(start):
        def last(c, xs):
            carry = unflatten_carry(cell, params, c)
            return flatten_carry(cell, params, rnn.unroll(cell, params, xs, carry)[0])

        vectors = flatten_carry(cell, params, start)
        whole = jax.vmap(jax.jacfwd(last), (0, 1))(vectors, xs)
        directions = jnp.cos(jnp.arange(vectors.size, dtype=vectors.dtype)).reshape(vectors.shape)
        return whole, directions, walk.jvp(directions), walk.vjp(directions)

    whole, v, forward, backward = others(start)
    assert_close(product, whole)
    assert_close(forward, jnp.einsum("bij,bj->bi", whole, v))
    assert_close(backward, jnp.einsum("bij,bi->bj", whole, v))


@every("loop", REMEMBERING)
def test_a_carry_comes_back_from_its_vector(case):
    params = case.params()
    for batch in (), (2,), (2, 3):
        carry = case.carry(params, batch)
        flat = flatten_carry(case.cell, params, carry)
        assert flat.shape[:-1] == batch
        assert_close(unflatten_carry(case.cell, params, flat), carry, 0)


def test_in_a_jacobian_of_an_lstm_h_comes_before_c():
    cell = rnn.LSTM(1, 2)
    carry = rnn.LSTMCarry(h=jnp.array([1.0, 2.0]), c=jnp.array([3.0, 4.0]))
    assert flatten_carry(cell, cell.init(jax.random.key(0)), carry).tolist() == [1, 2, 3, 4]


def test_a_vector_of_another_length_and_a_carry_of_another_cell_are_refused():
    cell = rnn.LSTM(1, 2)
    params = cell.init(jax.random.key(0))
    for shape in (3,), (2, 5), ():
        with pytest.raises(rnn.ShapeError, match=r"flat must have shape \(\*batch, 4\), .* got \("):
            unflatten_carry(cell, params, jnp.zeros(shape))
    with pytest.raises(rnn.StructureError, match="expected carry of the form LSTMCarry"):
        flatten_carry(cell, params, rnn.GRUCarry(jnp.zeros((3, 2))))
    carry = cell.initial_carry(params, (3,))
    for wrong in carry._replace(c=jnp.zeros((3, 3))), carry._replace(h=jnp.zeros((2, 2))):
        with pytest.raises(rnn.ShapeError, match=r"carry\.[hc] must have shape"):
            flatten_carry(cell, params, wrong)
    with pytest.raises(rnn.StructureError, match="carries nothing from step to step"):
        flatten_carry(rnn.Dense(2, 2), rnn.Dense(2, 2).init(jax.random.key(0)), ())


def test_a_sequence_has_the_jacobians_that_it_has_alone():
    case = REMEMBERING[0]
    params, xs, carry = case.params(), case.xs(3, 2, 2), case.carry(case.params(), (2, 2))
    run = jax.jit(lambda xs, carry: step_jacobians(case.cell, params, xs, carry))
    one = jax.tree.map(lambda c: np.asarray(c)[1, 0], carry)
    alone = run(np.asarray(xs)[:, 1, 0], one)
    assert_close(np.asarray(run(xs, carry))[:, 1, 0], alone, 1e-14)


def test_the_first_carry_is_the_initial_one_where_none_is_given():
    case = REMEMBERING[0]
    params, xs = case.params(), case.xs(3, 2)
    start = case.cell.initial_carry(params, (2,))
    expected = step_jacobians(case.cell, params, xs, start)
    assert_close(step_jacobians(case.cell, params, xs), expected, 0)


ANALYSES = [
    step_jacobians,
    propagator,
    gradient_spectrum,
    functools.partial(leading_gradient_spectrum, k=1),
    lyapunov_spectrum,
    functools.partial(flossing_loss, k=1),
]


@pytest.mark.parametrize("analysis", ANALYSES)
def test_what_has_no_jacobian_in_time_is_refused_by_name(analysis):
    for case in (case for case in CASES if isinstance(case.cell, rnn.Memoryless)):
        named = f"{type(case.cell).__name__}.* carries nothing"
        with pytest.raises(rnn.StructureError, match=named):
            analysis(case.cell, case.params(), case.xs(3))
    case = REMEMBERING[0]
    with pytest.raises(rnn.ShapeError, match="xs has no steps"):
        analysis(case.cell, case.params(), case.xs(0))
    with pytest.raises(rnn.StructureError, match="must be a Cell, got 'lstm'"):
        analysis("lstm", case.params(), case.xs(3))
    with pytest.raises(rnn.ShapeError, match=r"xs must have shape \(T, \*batch, 2\)"):
        analysis(case.cell, case.params(), case.xs(3)[..., :1])
    with pytest.raises(rnn.ShapeError, match=r"make one by cell\.initial_carry"):
        analysis(case.cell, case.params(), case.xs(3, 2), carry=case.carry(case.params()))
