"""Pascanu's bound and regulariser, against the formulas written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from tests.cases import CASES, assert_close, normal

pytestmark = pytest.mark.usefixtures("no_rank_promotion")


def outputs(ys, targets):
    return ys.sum(-1)


last_output = rnn.analysis.last(outputs)


def elman_by_hand(params, xs, weights):
    """Omega and its immediate derivative by w_hh; `weights` (T,) of each step's summed output."""
    w_xh, w, b = params
    h, hs = np.zeros(w.shape[0]), [np.zeros(w.shape[0])]
    for x in xs:
        h = np.tanh(x @ w_xh + h @ w + b)
        hs.append(h)
    arriving = np.zeros_like(h)  # dL/dc_k, of the carry that enters step k
    value, gradient = 0.0, np.zeros_like(w)
    for k in reversed(range(len(xs))):
        slope = 1 - hs[k + 1] ** 2
        if k < len(xs) - 1 and arriving.any():
            v = arriving / np.linalg.norm(arriving)
            pulled = w @ (slope * v)
            kept = np.linalg.norm(pulled)
            value += (kept - 1) ** 2
            # c_k is constant; w acts in the product, and in the slope through h_{k+1}.
            by_pulled = 2 * (kept - 1) * pulled / kept
            gradient += np.outer(by_pulled, slope * v)
            by_a = (w.T @ by_pulled) * v * -2 * hs[k + 1] * slope
            gradient += np.outer(hs[k], by_a)
        arriving = w @ (slope * (arriving + weights[k]))
    return value, gradient


@pytest.mark.parametrize("loss", [outputs, last_output])
def test_omega_is_that_of_the_paper(rng, loss):
    cell = rnn.Elman(2, 3)
    params = rnn.ElmanParams(*(rng.normal(size=shape) for shape in [(2, 3), (3, 3), (3,)]))
    xs = rng.normal(size=(6, 4, 2))

    def omega(w_hh):
        return rnn.analysis.omega(cell, params._replace(w_hh=w_hh), xs, loss=loss)

    value, gradient = jax.jit(jax.value_and_grad(omega))(params.w_hh)
    weights = np.ones(6) if loss is outputs else np.eye(6)[-1]
    expected = [elman_by_hand(params, xs[:, b], weights) for b in range(4)]
    np.testing.assert_allclose(value, np.mean([v for v, _ in expected]), rtol=1e-12)
    np.testing.assert_allclose(gradient, np.mean([g for _, g in expected], axis=0), rtol=1e-11)


def test_an_orthogonal_linear_network_has_nothing_to_regularise(key):
    cell = rnn.Elman(2, 4, activation=lambda a: a)
    params = cell.init(key, jnp.float64)
    omega = jax.jit(lambda p: rnn.analysis.omega(cell, p, jnp.ones((7, 2)), loss=last_output))
    np.testing.assert_allclose(omega(params), 0, atol=1e-25)


def test_omega_sees_gradients_that_no_float_holds():
    """A weight of 1e-10 over 100 steps: each of the 99 ratios is 1e-10, though 1e-990 is not."""
    cell = rnn.Elman(1, 1, activation=lambda a: a)
    params = rnn.ElmanParams(jnp.ones((1, 1)), jnp.full((1, 1), 1e-10), jnp.zeros(1))
    omega = jax.jit(lambda p: rnn.analysis.omega(cell, p, jnp.ones((100, 1)), loss=last_output))
    np.testing.assert_allclose(omega(params), 99 * (1 - 1e-10) ** 2, rtol=1e-12)


def test_omega_of_dead_units_is_finite_and_so_is_its_gradient():
    """ReLUs that are off pass nothing: no direction, so no term and no NaN."""
    cell = rnn.IRNN(1, 3)
    params = rnn.ElmanParams(jnp.ones((1, 3)), jnp.eye(3), jnp.full(3, -9.0))
    omega = jax.value_and_grad(
        lambda p: rnn.analysis.omega(cell, p, jnp.ones((5, 1)), loss=outputs)
    )
    value, grads = jax.jit(omega)(params)
    assert value == 0
    assert_close(grads, jax.tree.map(jnp.zeros_like, params), 0)


@pytest.mark.parametrize("name", ["lstm", pytest.param("stack", marks=pytest.mark.slow)])
def test_omega_is_that_of_the_jacobians_of_any_cell(name):
    (case,) = (case for case in CASES if case.name == name)
    cell, params, xs = case.cell, case.params(), case.xs(4)
    start = case.carry(params)

    @jax.jit
    def outcomes(params):
        total = 0.0
        carry, carries = start, []
        for x in xs:
            carries.append(carry)
            carry, _ = rnn.step(cell, params, x, carry)

        def rest(k):
            return jax.grad(lambda c: outputs(rnn.unroll(cell, params, xs[k:], c)[1], None).sum())

        for k in range(3):
            arriving = rest(k + 1)(carries[k + 1])
            _, pull = jax.vjp(lambda c, k=k: rnn.step(cell, params, xs[k], c)[0], carries[k])
            squares = [
                sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree))
                for tree in (pull(arriving), arriving)
            ]
            total = total + (jnp.sqrt(squares[0] / squares[1]) - 1) ** 2
        return total, rnn.analysis.omega(cell, params, xs, start, loss=outputs)

    expected, found = outcomes(params)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_training_on_omega_alone_makes_it_small(key):
    cell = rnn.Elman(1, 4)
    params = cell.init(key, jnp.float64)._replace(w_hh=jnp.eye(4) / 2)
    xs = normal((8, 2, 1))
    omega = jax.jit(jax.value_and_grad(lambda p: rnn.analysis.omega(cell, p, xs, loss=last_output)))
    start, _ = omega(params)
    for _ in range(100):
        value, grads = omega(params)
        params = jax.tree.map(lambda p, g: p - 0.05 * g, params, grads)
    assert start > 1
    assert value < 0.05 * start


def test_the_bound_holds_and_is_sharp(key):
    """No singular value of a step's Jacobian exceeds it; at h = 0 the largest is it."""
    w = normal((5, 5))
    bound = rnn.analysis.gradient_bound(w)
    hs = jnp.tanh(normal((20, 5)))
    norms = jnp.linalg.norm(w[None] * (1 - hs**2)[:, None], 2, axis=(1, 2))
    assert norms.max() < bound
    np.testing.assert_allclose(bound, np.linalg.svd(w)[1][0], rtol=1e-12)
    np.testing.assert_allclose(rnn.analysis.gradient_bound(w, gamma=0.25), bound / 4, rtol=1e-15)


def test_a_gradient_below_the_bound_vanishes_by_its_powers(key):
    cell = rnn.Elman(1, 6)
    params = cell.init(key, jnp.float64)
    params = params._replace(w_hh=0.8 * params.w_hh)
    xs = normal((40, 1))
    found = jax.jit(lambda p: rnn.analysis.gradient_map(cell, p, xs, loss=outputs))(params)
    bound = np.log(rnn.analysis.gradient_bound(params.w_hh))
    t, k = np.tril_indices(40)
    assert np.all(np.asarray(found.log_norms)[t, k] <= np.log(6) / 2 + bound * (t - k + 1) + 1e-9)


def test_a_bound_of_no_matrix_is_refused():
    with pytest.raises(
        rnn.ShapeError, match=r"gradient_bound: w must be a matrix, got shape \(3,\)"
    ):
        rnn.analysis.gradient_bound(jnp.zeros(3))
