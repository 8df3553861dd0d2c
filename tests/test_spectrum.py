"""The singular values of the product of Jacobians: known values, exact integers, other ways."""

import decimal
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

import rnn_jax as rnn
from rnn_jax.analysis import gradient_spectrum, leading_gradient_spectrum, step_jacobians
from rnn_jax.analysis.graded import graded, orthogonalise
from tests.cases import REMEMBERING, every
from tests.given import constant, given

pytestmark = pytest.mark.usefixtures("no_rank_promotion")


def products(jacobians):
    """`J_T ... J_{T-lag+1}` for lag 1, 2, ..."""
    product = np.eye(jacobians.shape[-1])
    for J in jacobians[::-1]:
        product = product @ J
        yield product


def test_an_orthogonal_matrix_keeps_every_direction(key):
    W = jax.random.orthogonal(key, 6, dtype=jnp.float64)
    spectrum = gradient_spectrum(*constant(W, 300))
    assert spectrum.lags.tolist() == list(range(1, 301))
    np.testing.assert_allclose(spectrum.log_values, 0, atol=1e-11)


@pytest.mark.parametrize("a", [0.6, 1.7, -0.6])
def test_a_multiple_of_the_identity_to_the_power_of_the_lag(a):
    """Down to e^-5108 and up to e^5306 at lag 10,000."""
    spectrum = gradient_spectrum(*constant(a * np.eye(3), 10_000))
    expected = np.arange(1, 10_001) * np.log(abs(a))
    np.testing.assert_allclose(spectrum.log_values, np.tile(expected[:, None], 3), rtol=1e-12)


def test_a_diagonal_matrix_from_1_to_e_to_the_minus_5000_in_one_product():
    d = np.array([-0.9, 1.0, 0.6, 0.6, 1e-20])
    spectrum = gradient_spectrum(*constant(np.diag(d), 10_000), lags=[1, 7, 10_000])
    logs = np.sort(np.log(np.abs(d)))[::-1]
    expected = np.array([1, 7, 10_000])[:, None] * logs
    np.testing.assert_allclose(spectrum.log_values, expected, rtol=1e-12, atol=1e-15)


def test_a_shift_chain_loses_one_direction_a_step():
    a, size = 0.7, 5
    spectrum = gradient_spectrum(*constant(np.diag(np.full(size - 1, a), -1), 8))
    for lag, values in zip(spectrum.lags, np.asarray(spectrum.log_values), strict=True):
        left = max(size - lag, 0)
        np.testing.assert_allclose(values[:left], lag * np.log(a), rtol=1e-14)
        assert (values[left:] == -np.inf).all()


def test_a_scalar_forgets_by_its_weight():
    """w = 0.9: 95% of the gradient lies within 28 lags."""
    spectrum = gradient_spectrum(*constant(np.array([[0.9]]), 400))
    sizes = np.exp(spectrum.log_values[:, 0])
    share = np.cumsum(sizes) / 9  # w / (1 - w)
    assert share[27] < 0.95 <= share[28]
    np.testing.assert_allclose(sizes, 0.9 ** np.arange(1, 401), rtol=1e-12)


def test_a_jordan_block_where_the_diagonal_of_qr_is_wrong():
    """[[a, 1], [0, a]]^n has log values n log a +- asinh(n / 2a); QR gives n log a twice."""
    a, lags = 0.9, [1, 2, 10, 1000]
    J = np.array([[a, 1.0], [0.0, a]])
    spectrum = gradient_spectrum(*constant(J, 1000), lags=lags)
    n = np.array(lags)
    middle, spread = n * np.log(a), np.arcsinh(n / (2 * a))
    expected = np.stack([middle + spread, middle - spread], -1)
    np.testing.assert_allclose(spectrum.log_values, expected, rtol=1e-12)


def test_ten_thousand_two_by_two_integer_matrices_are_exact(rng):
    """Exact in Python's integers: the Frobenius norm and the determinant give both values."""
    steps, scale, lags = 10_000, 16, [1, 5, 100, 10_000]
    matrices = rng.integers(-9, 10, size=(steps, 2, 2))
    matrices[np.abs(np.linalg.det(matrices)) < 0.5] += np.diag([20, 20])
    spectrum = gradient_spectrum(*given(matrices / scale), lags=lags)
    assert spectrum.log_values[-1, 0] - spectrum.log_values[-1, 1] > 5000

    product = np.eye(2, dtype=object)
    for lag, J in enumerate(matrices[::-1].astype(object), start=1):
        product = product @ J
        if lag in lags:
            squares = math.log((product * product).sum())
            det = math.log(abs(product[0, 0] * product[1, 1] - product[0, 1] * product[1, 0]))
            root = math.sqrt(1 - 4 * math.exp(2 * det - 2 * squares))
            largest = (squares + math.log((1 + root) / 2)) / 2
            expected = np.array([largest, det - largest]) - lag * math.log(scale)
            values = spectrum.log_values[lags.index(lag)]
            np.testing.assert_allclose(values, expected, rtol=1e-11, atol=1e-11)


def exact_log_values(matrices):
    """Logarithms of the singular values of a product of integer matrices, by exact arithmetic.

    The characteristic polynomial of M^T M in integers (Faddeev & LeVerrier), its roots by
    Newton's method from above in as many digits as it has.
    """
    M = functools.reduce(lambda M, J: J @ M, matrices.astype(object))
    S, size = M.T @ M, len(M)
    coefficients, B = [1], np.eye(size, dtype=object)
    for k in range(1, size + 1):
        product = S @ B
        coefficients.append(-sum(np.diag(product)) // k)
        B = product + coefficients[-1] * np.eye(size, dtype=object)
    logs = []
    with decimal.localcontext() as context:
        digits = max(len(str(c)) for c in coefficients) + 30
        context.prec = 2 * digits
        p = [decimal.Decimal(c) for c in coefficients]
        while len(p) > 1:
            x, change = -p[1], -p[1]
            while abs(change) > abs(x).scaleb(-digits):
                slope, quotient = decimal.Decimal(0), [p[0]]
                for c in p[1:]:
                    slope = slope * x + quotient[-1]
                    quotient.append(quotient[-1] * x + c)
                change = quotient[-1] / slope
                x -= change
            logs.append(float(x.ln() / 2))
            p = quotient[:-1]
    return np.array(logs)


@pytest.mark.parametrize("steps", [2, 30, 120])
def test_products_of_integer_matrices_are_exact(rng, steps):
    matrices = rng.integers(-9, 10, size=(steps, 5, 5))
    spectrum = gradient_spectrum(*given(matrices.astype(float)), lags=[steps])
    np.testing.assert_allclose(spectrum.log_values[0], exact_log_values(matrices), rtol=1e-11)


def test_a_dead_unit_takes_its_direction_with_it(rng):
    """Rank 4, 4 and 3, hidden by rounding in the dense factors around."""
    masks = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 1, 0, 1, 1], [0, 1, 1, 1, 0]])
    jacobians = masks[:, :, None] * rng.normal(size=(4, 5, 5))
    spectrum = gradient_spectrum(*given(jacobians))
    assert np.isinf(spectrum.log_values).sum(1).tolist() == [2, 2, 2, 2]
    assert (spectrum.log_values < np.inf).all()
    for product, values in zip(products(jacobians), np.exp(spectrum.log_values), strict=True):
        np.testing.assert_allclose(values, np.linalg.svd(product)[1], rtol=1e-10, atol=1e-13)


@every("loop", REMEMBERING)
def test_short_products_have_the_values_that_numpy_finds(case):
    params, xs = case.params(), case.xs(4, 2)
    carry = case.carry(params, (2,))
    jacobians = np.asarray(step_jacobians(case.cell, params, xs, carry))
    spectrum = gradient_spectrum(case.cell, params, xs, carry)
    for b in range(2):
        for lag, product in enumerate(products(jacobians[:, b])):
            expected = np.linalg.svd(product)[1]
            values = np.exp(spectrum.log_values[lag, b])
            np.testing.assert_allclose(values, expected, rtol=1e-10, atol=1e-13)


def test_leading_values_are_the_first_of_all():
    """Of a stack, in a batch."""
    case = REMEMBERING[-1]
    params, xs = case.params(), case.xs(20, 2)
    arguments = case.cell, params, xs
    leading = leading_gradient_spectrum(*arguments, k=2, lags=[1, 20], oversample=1)
    spectrum = gradient_spectrum(*arguments, lags=[1, 20])
    assert leading.change.max() < 1e-10
    np.testing.assert_allclose(leading.log_values, spectrum.log_values[..., :2], rtol=1e-8)


def test_lags_that_are_not_asked_for_change_nothing(rng):
    arguments = given(rng.normal(size=(60, 2, 6, 6)))
    every, some = gradient_spectrum(*arguments), gradient_spectrum(*arguments, lags=[7, 40])
    assert some.log_values.shape == (2, 2, 6)
    np.testing.assert_allclose(some.log_values, every.log_values[np.array([6, 39])], rtol=1e-11)


def test_float32_holds_values_far_below_its_range(rng):
    """Values down to e^-700, which float32 itself cannot hold."""
    matrices = rng.normal(size=(300, 4, 4)) / 8
    narrow = gradient_spectrum(*given(matrices.astype(np.float32)), lags=[300]).log_values
    assert narrow.dtype == jnp.float32
    wide = gradient_spectrum(*given(matrices), lags=[300]).log_values
    assert wide.min() < -700
    np.testing.assert_allclose(narrow, wide, rtol=1e-5)


@settings(max_examples=20)
@examples(st.integers(0, 2**32 - 1), st.floats(0, 2000))
def test_graded_vectors_keep_the_product_of_their_lengths(seed, spread):
    """Rotations: the volume stays, the directions become orthogonal, the lengths sorted."""
    rng = np.random.default_rng(seed)
    X, scales = rng.normal(size=(7, 5)), jnp.asarray(-spread * rng.uniform(size=5))
    done = ORTHOGONALISE(graded(jnp.asarray(X), scales, jnp.full(5, 1e-15)))
    volume = np.linalg.slogdet(X.T @ X)[1] / 2 + scales.sum()
    np.testing.assert_allclose(done.log_lengths.sum(), volume, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(done.directions.T @ done.directions, np.eye(5), atol=1e-12)
    assert (np.diff(done.log_lengths) <= 0).all()


ORTHOGONALISE = jax.jit(lambda vectors: orthogonalise(vectors, 1e-12))


def reflected(d):
    """A symmetric matrix with eigenvalues d, dense by one reflection."""
    v = np.cos(np.arange(len(d))) / np.linalg.norm(np.cos(np.arange(len(d))))
    H = np.eye(len(d)) - 2 * np.outer(v, v)
    return (H * d) @ H


def test_leading_values_of_a_network_of_1024_units():
    d = 0.6 ** np.arange(1024.0)
    arguments = constant(reflected(d), 50)
    leading = leading_gradient_spectrum(*arguments, k=3, oversample=2, lags=[1, 30])
    expected = np.array([[1], [30]]) * np.log(d[:3])
    np.testing.assert_allclose(leading.log_values, expected, rtol=1e-9, atol=1e-9)


def test_leading_values_from_1_to_e_to_the_minus_4158():
    """d^lag: the second lies below the first by more than a float can add."""
    d = np.array([1.0, 0.5, 0.25, 0.1, 0.01, 0.001])
    leading = leading_gradient_spectrum(*constant(reflected(d), 3000), k=3, lags=[10, 3000])
    expected = np.array([[10], [3000]]) * np.log(d[:3])
    np.testing.assert_allclose(leading.log_values, expected, rtol=1e-9, atol=1e-9)


def test_an_unconverged_value_says_so(rng):
    arguments = given(rng.normal(size=(1, 30, 30)))
    leading = leading_gradient_spectrum(*arguments, k=3, oversample=0, max_iterations=2)
    assert leading.iterations.item() == 2
    assert leading.change.item() > 1e-6


def test_mistakes_are_named():
    arguments = constant(np.eye(3), 5)
    for lags in ([], [0], [2, 6], [3, 2], [1.5], 3):
        with pytest.raises(rnn.ArgumentError, match="increasing integers from 1 to 5"):
            gradient_spectrum(*arguments, lags=lags)
    for k in (0, 4, 1.0, True):
        with pytest.raises(rnn.ArgumentError, match="k must be an integer from 1 to 3"):
            leading_gradient_spectrum(*arguments, k=k)
    with pytest.raises(rnn.ArgumentError, match="oversample must be an integer of 0 or more"):
        leading_gradient_spectrum(*arguments, k=1, oversample=-1)
