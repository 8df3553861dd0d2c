"""Fixed points that are known, and what is around them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import rnn_jax as rnn
from tests.cases import CASES

pytestmark = pytest.mark.usefixtures("no_rank_promotion")


def linear(a):
    return a


def tanh_of_twice(dtype=jnp.float64):
    cell = rnn.Elman(1, 1)
    return cell, rnn.ElmanParams(
        jnp.zeros((1, 1), dtype), jnp.full((1, 1), 2, dtype), jnp.zeros(1, dtype)
    )


@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32], ids=lambda d: d.__name__)
def test_a_bistable_unit_has_three_fixed_points(dtype):
    """x = tanh 2x: 0, unstable with slope 2, and +-0.9575, stable with slope 2 (1 - x^2)."""
    cell, params = tanh_of_twice(dtype)
    starts = rnn.ElmanCarry(jnp.linspace(-1.5, 1.5, 21, dtype=dtype)[:, None])
    found = rnn.analysis.fixed_points(cell, params, jnp.zeros(1, dtype), starts)
    order = np.argsort(found.points[:, 0])
    points = found.points[order, 0]
    tolerance = 1e-10 if dtype == jnp.float64 else 1e-5
    np.testing.assert_allclose(points, np.tanh(2 * points), atol=tolerance)
    np.testing.assert_allclose(points, [-0.95750402, 0, 0.95750402], atol=1e-5)
    assert found.stable[order].tolist() == [True, False, True]
    assert found.fixed.all()
    assert found.found.sum() == 21
    np.testing.assert_allclose(found.jacobians[order, 0, 0], 2 * (1 - points**2), atol=tolerance)
    np.testing.assert_allclose(found.eigenvalues, found.jacobians[:, :, 0], atol=tolerance)
    np.testing.assert_array_equal(found.carries.h, found.points)
    assert found.points.dtype == dtype


def test_a_linear_network_has_one_fixed_point(rng):
    """(I - W)^{-1} b, with the input in b; the Jacobian is W."""
    cell = rnn.Elman(2, 5, activation=linear)
    w_hh = 0.4 * rng.normal(size=(5, 5))
    params = rnn.ElmanParams(rng.normal(size=(2, 5)), w_hh, rng.normal(size=5))
    x = rng.normal(size=2)
    starts = rnn.ElmanCarry(rng.normal(size=(4, 5)))
    found = rnn.analysis.fixed_points(cell, params, x, starts)
    expected = np.linalg.solve(np.eye(5) - w_hh.T, x @ params.w_xh + params.b_h)
    assert found.found.tolist() == [4]
    np.testing.assert_allclose(found.points[0], expected, rtol=1e-9)
    np.testing.assert_allclose(found.jacobians[0], w_hh.T, rtol=1e-12)
    moduli = np.sort(np.abs(np.linalg.eigvals(w_hh)))[::-1]
    np.testing.assert_allclose(np.abs(found.eigenvalues[0]), moduli, rtol=1e-9)
    assert found.stable[0] == (moduli[0] < 1)


def test_a_near_miss_is_a_slow_point():
    """x + x^2 + 1e-3 never rests, and is slowest at 0, with speed (1e-3)^2 / 2."""
    cell = rnn.Elman(1, 1, activation=lambda a: a + a**2 + 1e-3)
    params = rnn.ElmanParams(jnp.zeros((1, 1)), jnp.ones((1, 1)), jnp.zeros(1))
    starts = rnn.ElmanCarry(jnp.array([[0.3], [-0.2]]))
    found = rnn.analysis.fixed_points(cell, params, jnp.zeros(1), starts)
    assert found.found.tolist() == [2]
    np.testing.assert_allclose(found.points, 0, atol=1e-10)
    np.testing.assert_allclose(found.speeds, 0.5e-6, rtol=1e-9)
    assert found.fixed.tolist() == [False]
    faster = rnn.analysis.fixed_points(cell, params, jnp.zeros(1), starts, slow=1e-7)
    assert faster.points.shape == (0, 1)
    assert faster.jacobians.shape == (0, 1, 1)


def test_a_line_attractor_is_kept_apart_by_the_distance():
    cell = rnn.Elman(1, 2, activation=linear)
    params = rnn.ElmanParams(jnp.zeros((1, 2)), jnp.diag(jnp.array([1.0, 0.5])), jnp.zeros(2))
    starts = rnn.ElmanCarry(jnp.array([[0.0, 1.0], [0.01, 1.0], [1.0, 1.0]]))
    found = functools.partial(rnn.analysis.fixed_points, cell, params, jnp.zeros(1), starts)
    assert len(found().points) == 3
    assert sorted(found(apart=0.1).found.tolist()) == [1, 2]


@pytest.mark.parametrize(
    "name", ["lstm", pytest.param("stack", marks=pytest.mark.slow), "peephole"]
)
def test_fixed_points_are_at_rest_for_any_cell(name):
    """A step from there comes back, and the rows of the Jacobian add up to its tangent."""
    (case,) = (case for case in CASES if case.name == name)
    cell, params, x = case.cell, case.params(), case.xs()
    starts = case.carry(params, (6,))
    found = rnn.analysis.fixed_points(cell, params, x, starts)
    assert found.fixed.any()
    for k in np.flatnonzero(found.fixed):
        carry = jax.tree.map(lambda leaf, k=k: leaf[k], found.carries)
        after, _ = rnn.step(cell, params, x, carry)
        rest = zip(jax.tree.leaves(carry), jax.tree.leaves(after), strict=True)
        assert all(np.allclose(c, a, atol=1e-7) for c, a in rest)
        ones = jax.tree.map(jnp.ones_like, carry)
        _, moved = jax.jvp(lambda c: rnn.step(cell, params, x, c)[0], (carry,), (ones,))
        np.testing.assert_allclose(found.jacobians[k].sum(1), ravel_pytree(moved)[0], rtol=1e-9)


CELL, PARAMS = tanh_of_twice()
STARTS = rnn.ElmanCarry(jnp.zeros((3, 1)))
MISTAKES = {
    "no memory": (
        lambda: rnn.analysis.fixed_points(rnn.Dense(1, 1), (), jnp.zeros(1), ()),
        rnn.StructureError,
        r"fixed_points: starts must be carries of Dense.*which must have one",
    ),
    "one start": (
        lambda: rnn.analysis.fixed_points(CELL, PARAMS, jnp.zeros(1), rnn.ElmanCarry(jnp.zeros(1))),
        rnn.ShapeError,
        r"carry.h must have shape \(1,\), got \(\)",
    ),
    "batch of inputs": (
        lambda: rnn.analysis.fixed_points(CELL, PARAMS, jnp.zeros((3, 1)), STARTS),
        rnn.ShapeError,
        "x must have shape|carry.h must have shape",
    ),
    "slow": (
        lambda: rnn.analysis.fixed_points(CELL, PARAMS, jnp.zeros(1), STARTS, slow=-1),
        rnn.ArgumentError,
        "slow must be a number of 0 or more, got -1",
    ),
    "iterations": (
        lambda: rnn.analysis.fixed_points(CELL, PARAMS, jnp.zeros(1), STARTS, max_iterations=0),
        rnn.ArgumentError,
        "max_iterations must be a positive integer",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(mistake):
    make, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=f"(?s){message}"):
        make()
