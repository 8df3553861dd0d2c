"""Lyapunov spectra: known values, the equations in NumPy, and the theory of random networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import strategies as st
from scipy.special import digamma, polygamma

import rnn_jax as rnn
from rnn_jax.analysis import (
    adjoint_lyapunov_spectrum,
    entropy_rate,
    kaplan_yorke_dimension,
    lyapunov_spectrum,
    step_jacobians,
)
from tests.cases import REMEMBERING, every
from tests.given import constant, given

pytestmark = pytest.mark.usefixtures("no_rank_promotion")

both = pytest.mark.parametrize(
    "spectrum", [lyapunov_spectrum, adjoint_lyapunov_spectrum], ids=["tangent", "adjoint"]
)


def rates(matrices):
    """The rates of growth by QR, of factors in the order in which they are applied."""
    Q, logs = np.linalg.qr(np.random.default_rng(3).normal(size=matrices[0].shape))[0], []
    for A in matrices:
        Q, R = np.linalg.qr(A @ Q)
        logs.append(np.log(np.abs(np.diag(R))))
    return np.array(logs)


@both
def test_an_orthogonal_matrix_neither_grows_nor_shrinks(spectrum, key):
    W = jax.random.orthogonal(key, 5, dtype=jnp.float64)
    measured = spectrum(*constant(W, 40))
    np.testing.assert_allclose(measured.exponents, 0, atol=1e-14)
    np.testing.assert_allclose(measured.running, np.zeros((40, 5)), atol=1e-14)


@both
def test_a_constant_matrix_has_the_logarithms_of_its_eigenvalues(spectrum, rng):
    """In nats; real eigenvalues are exact once Q has turned, pairs in the mean of the two."""
    W = rng.normal(size=(5, 5))
    measured = np.asarray(spectrum(*constant(W, 3000), warmup_q=1000).exponents)
    expected = np.sort(np.log(np.abs(np.linalg.eigvals(W))))[::-1]
    np.testing.assert_allclose(measured, expected, atol=2e-3)
    for value in expected:
        mine = np.abs(expected - value) < 1e-12
        np.testing.assert_allclose(measured[mine].mean(), value, atol=1e-10)


@pytest.mark.parametrize("k", [None, 3])
def test_fresh_gaussian_matrices_have_newmans_exponents(rng, k):
    """1/2 [ln(2 g^2 / N) + psi((N - i + 1) / 2)]; the terms of the mean are independent."""
    N, T, g = 6, 10_000, 1.5
    arguments = given(g / np.sqrt(N) * rng.normal(size=(T, N, N)))
    measured = lyapunov_spectrum(*arguments, k=k).exponents
    freedom = (N - np.arange(N)[:k]) / 2
    expected = (np.log(2 * g**2 / N) + digamma(freedom)) / 2
    error = np.sqrt(polygamma(1, freedom) / 4 / T)
    assert (np.abs(measured - expected) < 4 * error).all()
    assert error.max() < 0.02


@every("loop", REMEMBERING)
def test_the_exponents_sum_to_the_mean_of_the_determinants(case):
    """At any length, of both dynamics."""
    params, xs = case.params(), case.xs(5)
    jacobians = np.asarray(step_jacobians(case.cell, params, xs, case.carry(params)))
    expected = np.linalg.slogdet(jacobians)[1].mean()
    for spectrum in lyapunov_spectrum, adjoint_lyapunov_spectrum:
        measured = spectrum(case.cell, params, xs, case.carry(params)).exponents.sum()
        if np.linalg.cond(jacobians).max() < 1e12:
            np.testing.assert_allclose(measured, expected, rtol=1e-9)
        else:  # a dead unit, a mean that a norm takes away: rounding is left, at one step at least
            assert measured < np.log(1e-14) / len(xs)


def test_each_dynamics_has_its_own_product_and_order(rng):
    """J forward in time, J^T backward in time; J^T forward in time is another thing."""
    matrices = rng.normal(size=(300, 4, 4)) * [1, 0.5, 0.2, 0.1]
    arguments = given(matrices)
    tangent = lyapunov_spectrum(*arguments, warmup=3, warmup_q=200)
    adjoint = adjoint_lyapunov_spectrum(*arguments, warmup=3, warmup_q=200)
    forward = rates(matrices[3:])[200:]
    backward = rates(matrices[3:][::-1].transpose(0, 2, 1))[200:]
    wrong = rates(matrices[3:].transpose(0, 2, 1))[200:]
    np.testing.assert_allclose(tangent.exponents, forward.mean(0), rtol=1e-9)
    np.testing.assert_allclose(adjoint.exponents, backward.mean(0), rtol=1e-9)
    assert np.abs(wrong.mean(0) - tangent.exponents).max() > 1e-3
    assert np.abs(wrong.mean(0) - adjoint.exponents).max() > 1e-3
    so_far = np.cumsum(forward, 0) / np.arange(1, 98)[:, None]
    np.testing.assert_allclose(tangent.running, so_far, rtol=1e-7)
    assert tangent.steps.tolist() == list(range(1, 98))


def test_the_adjoint_has_the_exponents_of_the_tangent_in_the_limit():
    case = REMEMBERING[0]
    params, xs = case.params(), case.xs(4000)
    tangent = lyapunov_spectrum(case.cell, params, xs)
    adjoint = adjoint_lyapunov_spectrum(case.cell, params, xs)
    np.testing.assert_allclose(tangent.exponents, adjoint.exponents, atol=1e-3)
    assert np.ptp(tangent.exponents) > 0.1


@both
@pytest.mark.parametrize("every", [2, 7, 50])
def test_how_often_to_orthogonalise_does_not_matter(spectrum, every, rng):
    """A last piece that is shorter counts as well; and 50 is more than there are steps."""
    arguments = given(np.eye(3) + 0.2 * rng.normal(size=(30, 2, 3, 3)))
    one = spectrum(*arguments, warmup=3, warmup_q=4)
    measured = spectrum(*arguments, warmup=3, warmup_q=4, every=every)
    np.testing.assert_allclose(measured.exponents, one.exponents, rtol=1e-8, atol=1e-10)
    np.testing.assert_array_equal(measured.running[-1], measured.exponents)
    assert measured.steps[-1] == 23
    found = one.running[measured.steps - 1]
    np.testing.assert_allclose(measured.running, found, rtol=1e-8, atol=1e-10)


def test_warming_up_is_starting_later():
    case = REMEMBERING[0]
    params, xs = case.params(), case.xs(12, 2)
    later, _ = rnn.unroll(case.cell, params, xs[:5])
    expected = lyapunov_spectrum(case.cell, params, xs[5:], later)
    measured = lyapunov_spectrum(case.cell, params, xs, warmup=5)
    np.testing.assert_allclose(measured.running, expected.running, rtol=1e-12)


def test_a_direction_that_dies_has_minus_infinity(key):
    spectrum = lyapunov_spectrum(*constant(np.diag([0.5, 0.0]), 6))
    assert spectrum.exponents[1] == -np.inf
    assert np.isfinite(spectrum.exponents[0])


def test_the_kaplan_yorke_dimension_of_known_spectra():
    lorenz = kaplan_yorke_dimension(jnp.array([0.9056, 0.0, -14.5723]))
    np.testing.assert_allclose(lorenz, 2.0621, atol=1e-4)
    henon = kaplan_yorke_dimension(jnp.array([-1.6229, 0.4189]))  # in any order
    np.testing.assert_allclose(henon, 1.2581, atol=1e-4)
    batch = jnp.array([[-0.1, -2.0], [0.3, 0.1], [0.0, -1.0], [0.2, -jnp.inf], [jnp.nan, 0.1]])
    np.testing.assert_array_equal(kaplan_yorke_dimension(batch), [0, 2, 1, 1, np.nan])


@examples(st.lists(st.floats(-3, 1), min_size=1, max_size=6))
def test_the_dimension_is_where_the_sum_of_the_exponents_crosses_zero(exponents):
    D = float(kaplan_yorke_dimension(jnp.array(exponents)))
    falling = sorted(exponents, reverse=True)
    sums = np.concatenate([[0], np.cumsum(falling)])
    assert 0 <= D <= len(exponents)
    if 0 < D < len(exponents):
        assert abs(np.interp(D, np.arange(len(sums)), sums)) < 1e-9


def test_the_entropy_rate_sums_what_is_positive():
    batch = jnp.array([[0.5, 0.25, -2.0], [-1.0, -2.0, -jnp.inf]])
    assert entropy_rate(batch).tolist() == [0.75, 0.0]


def autonomous(g, size, seed, **options):
    """The spectrum of `h' = J tanh(h)`, written `x' = tanh(J x)`: the same Jacobians, conjugate."""
    of_weights, of_state = jax.random.split(jax.random.key(seed))
    cell = rnn.Elman(1, size)
    J = g / np.sqrt(size) * jax.random.normal(of_weights, (size, size), jnp.float64)
    params = rnn.ElmanParams(jnp.zeros((1, size)), J, jnp.zeros(size))
    start = rnn.ElmanCarry(jax.random.normal(of_state, (size,), jnp.float64))
    steps = options.pop("steps")
    return lyapunov_spectrum(cell, params, jnp.zeros((steps, 1)), start, **options).exponents


def test_below_the_critical_gain_the_exponents_are_those_of_the_weights():
    """The state dies away, and at the origin the Jacobian is J."""
    exponents = autonomous(0.8, 20, 0, steps=600, warmup=200, warmup_q=200)
    of_weights = jax.random.split(jax.random.key(0))[0]
    J = 0.8 / np.sqrt(20) * jax.random.normal(of_weights, (20, 20), jnp.float64)
    np.testing.assert_allclose(exponents.mean(), np.linalg.slogdet(J)[1] / 20, atol=1e-6)
    assert exponents[0] < 0


@pytest.mark.slow
def test_chaos_at_twice_the_critical_gain():
    """Theory, N to infinity: largest 0.1547, mean -1.1490; here N = 200, and so some way off."""
    exponents = autonomous(2.0, 200, 0, steps=160, warmup=80, warmup_q=20)
    np.testing.assert_allclose(exponents[0], 0.1547, atol=0.03)
    np.testing.assert_allclose(exponents.mean(), -1.1490, rtol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("g", "size", "seeds", "largest", "mean"),
    # At 512, and a gain nearer to the critical one, single networks differ by 8% in the mean.
    [(2.0, 512, 3, 0.1547, -1.1490), (1.5, 1024, 2, 0.0652, -0.7143)],
)
def test_large_random_networks_are_as_theory_says(g, size, seeds, largest, mean):
    measured = [
        autonomous(g, size, seed, steps=500, warmup=250, warmup_q=40) for seed in range(seeds)
    ]
    np.testing.assert_allclose(np.mean(measured), mean, rtol=0.02)
    np.testing.assert_allclose([exponents[0] for exponents in measured], largest, atol=0.01)


def test_mistakes_are_named():
    arguments = constant(np.eye(3), 5)
    for spectrum in lyapunov_spectrum, adjoint_lyapunov_spectrum:
        for k in (0, 4, 2.0):
            with pytest.raises(rnn.ArgumentError, match="k must be an integer from 1 to 3"):
                spectrum(*arguments, k=k)
        for warmups in ({"warmup": 5}, {"warmup": 2, "warmup_q": 3}, {"warmup_q": -1}):
            with pytest.raises(
                rnn.ArgumentError, match=r"must leave steps to count|warmup_q must be"
            ):
                spectrum(*arguments, **warmups)
        with pytest.raises(rnn.ArgumentError, match="every must be a positive integer"):
            spectrum(*arguments, every=0)
