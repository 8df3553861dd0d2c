"""Gradient flossing: its value, its derivative, and what it does where QR has none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import rnn_jax as rnn
from rnn_jax.analysis import flossing_loss, lyapunov_spectrum
from rnn_jax.analysis.orthonormal import orthonormalise
from tests.cases import REMEMBERING, assert_close, normal, params_of
from tests.given import constant, given

pytestmark = pytest.mark.usefixtures("no_rank_promotion")


def test_a_scalar_weight_has_a_loss_and_a_derivative_of_its_own():
    """ln(w)^2 and 2 ln(w) / w."""
    cell, params, xs = constant(np.array([[0.5]]), 9)
    loss = jax.value_and_grad(lambda params: flossing_loss(cell, params, xs, k=1))
    value, grads = jax.jit(loss)(params)
    np.testing.assert_allclose(value, np.log(0.5) ** 2, rtol=1e-12)
    np.testing.assert_allclose(grads.w_hh, [[2 * np.log(0.5) / 0.5]], rtol=1e-12)


def test_the_loss_is_the_mean_square_of_the_leading_exponents():
    case = REMEMBERING[0]
    params, xs = case.params(), case.xs(10, 2)
    options = {"k": 2, "warmup": 2, "warmup_q": 1, "every": 3, "key": jax.random.key(7)}

    @jax.jit
    def both(params):
        spectrum = lyapunov_spectrum(case.cell, params, xs, **options)
        return spectrum.exponents, flossing_loss(case.cell, params, xs, **options)

    exponents, loss = both(params)
    np.testing.assert_allclose(loss, np.square(exponents).mean())


@pytest.mark.parametrize(("name", "every"), [("elman", 2), ("stack", 1)])
def test_the_gradient_is_that_of_finite_differences(name, every):
    """By the params and by the first carry, through the state and through Q."""
    (case,) = [case for case in REMEMBERING if case.name == name]
    # Orthogonal weights, for a difference is accurate only where R is far from singular.
    params, xs = case.cell.init(jax.random.key(0), jnp.float64), case.xs(5, 2)

    @jax.jit
    def loss(params, carry):
        return flossing_loss(case.cell, params, xs, carry, k=2, every=every)

    check_grads(loss, (params, case.carry(params, (2,))), 1, ["rev"], rtol=1e-6, atol=1e-6)


def test_orthonormalise_has_the_derivatives_of_qr(rng):
    """First and second, where R is regular."""
    x, v = jnp.asarray(rng.normal(size=(2, 4, 3)))

    def jaxs(x):
        q, r = jnp.linalg.qr(x)
        return q, jnp.log(jnp.abs(jnp.diagonal(r)))

    @jax.jit
    def derivatives(x, v):
        def along(f):
            return jax.value_and_grad(lambda x: jnp.vdot(jnp.sin(x), jax.grad(f)(x)))(v)

        def scalar(factorise):
            def f(x):
                q, growth = factorise(x)
                return jnp.sum(jnp.sin(q)) + jnp.sum(jnp.cos(growth))

            return jax.grad(f)(x), along(f)

        return scalar(orthonormalise), scalar(jaxs)

    ours, expected = derivatives(x, v)
    assert_close(ours, expected, 1e-9)


def test_near_a_singular_r_the_sound_columns_keep_their_derivatives():
    """The second column is the first up to rounding, where QR's own derivative is noise or NaN."""
    first, third = np.array([1.0, 2.0, 2.0, 0.0]), np.array([0.0, 1.0, 0.0, 1.0])
    x = jnp.asarray(np.stack([first, first + 1e-16, third], 1))

    @jax.jit
    def jacobians(x):
        alone = jax.jacobian(lambda x: orthonormalise(x[:, :1])[1])(x)
        blown = jax.jacobian(lambda x: jnp.linalg.qr(x)[0])(x)
        return *jax.jacobian(orthonormalise)(x), alone, blown

    q, rates, alone, blown = jacobians(x)
    assert not np.abs(blown).max() < 1e10
    assert np.isfinite(q).all()
    assert np.abs(q).max() < 10
    np.testing.assert_array_equal(rates[1], 0)
    np.testing.assert_allclose(rates[0], alone[0], atol=1e-12)


def test_a_dying_direction_leaves_a_finite_gradient(rng):
    """Weights of rank one, and two exponents asked for: the second is rounding, or -inf."""
    cell, params, xs = constant(np.outer(rng.normal(size=4), rng.normal(size=4)), 6)
    exact = params._replace(w_hh=jnp.zeros((4, 4)).at[0, 0].set(0.5))
    gradient = jax.jit(jax.value_and_grad(lambda params: flossing_loss(cell, params, xs, k=2)))
    for weights in params, exact:
        value, grads = gradient(weights)
        assert np.isfinite(value)
        assert np.isfinite(grads.w_hh).all()
        assert np.abs(grads.w_hh).max() > 1e-3
        assert np.abs(grads.w_hh).max() < 1e4


def test_an_exponent_of_minus_infinity_is_left_out():
    arguments = given(np.tile(np.diag([0.5, 0.0]), (5, 1, 1)))
    spectrum = lyapunov_spectrum(*arguments, k=2).exponents
    assert np.isinf(spectrum).tolist() == [False, True]
    loss = flossing_loss(*arguments, k=2)
    np.testing.assert_allclose(loss, np.square(spectrum[0]))
    assert flossing_loss(*given(np.zeros((5, 2, 2))), k=2) == 0


def test_flossing_brings_the_exponents_to_zero():
    cell = rnn.Elman(2, 6)
    params = params_of(cell)
    params = params._replace(w_hh=0.4 * params.w_hh)
    xs = normal((15, 3, 2), seed=1) / 4

    @jax.jit
    def loss(params):
        return flossing_loss(cell, params, xs, k=3)

    @jax.jit
    def descend(params):
        def body(_, params):
            return jax.tree.map(lambda p, g: p - 0.1 * g, params, jax.grad(loss)(params))

        return jax.lax.fori_loop(0, 60, body, params)

    assert loss(params) > 0.5
    assert loss(descend(params)) < 0.01
