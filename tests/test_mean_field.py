"""Mean-field theory: limits in closed form, published numbers, and wide networks simulated."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from tests.cases import normal

pytestmark = pytest.mark.usefixtures("no_rank_promotion")


def test_below_the_critical_gain_all_dies_out():
    """chi = gain^2, and a difference lasts as long as gain^(2t)."""
    found = rnn.analysis.mean_field(0.5)
    assert found.q == 0
    np.testing.assert_allclose(found.chi, 0.25, rtol=1e-12)
    np.testing.assert_allclose(found.lyapunov, np.log(0.5), rtol=1e-12)
    np.testing.assert_allclose(found.timescale, -1 / np.log(0.25), rtol=1e-12)


def test_the_critical_gain_of_a_tanh_network_is_one():
    below, critical, above = map(rnn.analysis.mean_field, (0.99, 1.0, 1.01))
    assert below.chi < 1 < above.chi
    np.testing.assert_allclose(critical.chi, 1, rtol=1e-12)
    assert critical.q < 1e-12
    assert critical.timescale > 1e6
    # q = epsilon just above: tanh(a)^2 = a^2 - 2/3 a^4, so 1 = g^2 (1 - 2 q).
    np.testing.assert_allclose(above.q, (1 - 1.01**-2) / 2, rtol=0.05)


@pytest.mark.parametrize(
    ("gain", "largest", "mean"), [(1.5, 0.0652, -0.7143), (2.0, 0.1547, -1.1490)]
)
def test_lyapunov_exponents_are_the_known_ones(gain, largest, mean):
    found = rnn.analysis.mean_field_lyapunov(gain, k=1000)
    assert round(float(found.largest), 4) == largest
    assert round(float(found.mean), 4) == mean
    np.testing.assert_allclose(found.exponents.mean(), found.mean, atol=3e-4)
    np.testing.assert_allclose(rnn.analysis.mean_field(gain).lyapunov, found.largest, rtol=1e-12)
    assert np.all(np.diff(found.exponents) < 0)


def test_dimension_and_entropy_are_near_those_simulated():
    """N = 4096, gain 2: Kaplan-Yorke dimension 0.2566 and entropy 0.01061 a unit."""
    exponents = np.asarray(rnn.analysis.mean_field_lyapunov(2.0, k=1000).exponents)
    cumulated = np.cumsum(exponents)
    np.testing.assert_allclose(np.mean(cumulated > 0), 0.2566, rtol=0.01)
    np.testing.assert_allclose(np.maximum(exponents, 0).mean(), 0.01061, rtol=0.01)


@pytest.mark.parametrize("gain", [1.5, 2.0])
def test_the_mean_exponent_is_that_of_simulated_networks(rng, gain):
    """`mean log|det J_t| / N` of h' = J tanh(h), N = 512, over three seeds: within 2%."""
    means = []
    for _ in range(3):
        j, h = rng.normal(size=(512, 512)) * gain / np.sqrt(512), rng.normal(size=512)
        slopes = []
        for _ in range(400):
            h = j @ np.tanh(h)
            slopes.append(-2 * np.log(np.cosh(h)).mean())
        means.append(np.linalg.slogdet(j)[1] / 512 + np.mean(slopes[100:]))
    found = rnn.analysis.mean_field_lyapunov(gain, k=1000)
    np.testing.assert_allclose(np.mean(means), found.mean, rtol=0.02)


def test_dying_networks_have_the_triangle_law():
    """All slopes 1: exponents are log|eigenvalue| of the matrix itself, by the circular law."""
    found = rnn.analysis.mean_field_lyapunov(0.8, k=50)
    p = (np.arange(50) + 0.5) / 50
    np.testing.assert_allclose(found.exponents, np.log(0.8) + np.log(1 - p) / 2, rtol=1e-12)
    np.testing.assert_allclose(found.mean, np.log(0.8) - 0.5, rtol=1e-12)


def test_a_linear_network_has_a_geometric_series():
    found = rnn.analysis.mean_field(
        0.6, input_variance=2.0, input_correlation=0.5, bias_variance=1.0, activation=_linear
    )
    np.testing.assert_allclose(found.q, 3 / (1 - 0.36), rtol=1e-12)
    np.testing.assert_allclose(found.c, 2 / 3, rtol=1e-12)
    np.testing.assert_allclose(found.chi, 0.36, rtol=1e-12)
    np.testing.assert_allclose(found.timescale, -1 / np.log(0.36), rtol=1e-12)


def test_a_relu_halves_the_variance():
    found = rnn.analysis.mean_field(1.2, bias_variance=0.1, activation=jax.nn.relu)
    np.testing.assert_allclose(found.q, 0.1 / (1 - 0.72), rtol=1e-10)
    np.testing.assert_allclose(found.chi, 0.72, rtol=1e-10)


def _linear(a):
    return a


def test_the_integrals_are_those_of_gauss_and_hermite():
    """120 nodes of another quadrature agree at the fixed point of gain 1.2, with inputs."""
    found = rnn.analysis.mean_field(1.2, input_variance=0.3, input_correlation=0.4)
    u, weights = np.polynomial.hermite_e.hermegauss(120)
    weights = weights / weights.sum()
    a = np.sqrt(found.q) * u
    q = 1.44 * weights @ np.tanh(a) ** 2 + 0.3
    b = found.c * a[:, None] + np.sqrt(1 - found.c**2) * a[None]
    products = weights @ (np.tanh(a)[:, None] * np.tanh(b)) @ weights
    slopes = weights @ ((1 - np.tanh(a) ** 2)[:, None] * (1 - np.tanh(b) ** 2)) @ weights
    np.testing.assert_allclose(q, found.q, rtol=1e-9)
    np.testing.assert_allclose((1.44 * products + 0.4 * 0.3) / q, found.c, rtol=1e-9)
    np.testing.assert_allclose(-1 / np.log(1.44 * slopes), found.timescale, rtol=1e-8)


@pytest.fixture(scope="module")
def simulated():
    """Two runs of one network of 400 units and gain 1.5 with inputs of correlation 0.6."""
    k_w, k_s = jax.random.split(jax.random.key(7))
    w = 1.5 / 20 * jax.random.normal(k_w, (400, 400), jnp.float64)
    shared, own = normal((2, 150, 1, 400))
    both = jnp.concatenate([own, jax.random.normal(k_s, own.shape, jnp.float64)], axis=1)
    inputs = np.sqrt(0.5) * (np.sqrt(0.6) * shared + np.sqrt(0.4) * both)
    cell = rnn.Elman(400, 400)
    params = rnn.ElmanParams(jnp.eye(400), w, jnp.zeros(400))
    _, hs = jax.jit(functools.partial(rnn.unroll, cell))(params, inputs)
    predicted = rnn.analysis.mean_field(1.5, input_variance=0.5, input_correlation=0.6)
    return cell, params, inputs, np.asarray(hs), predicted


def test_a_wide_network_has_the_predicted_variance_and_correlation(simulated):
    # The carry is f(a); the theory speaks of a.
    _, _, _, hs, predicted = simulated
    a = np.arctanh(hs[20:])
    np.testing.assert_allclose(np.mean(a**2), predicted.q, rtol=0.02)
    np.testing.assert_allclose(np.mean(a[:, 0] * a[:, 1]) / np.mean(a**2), predicted.c, atol=0.02)


def test_gradients_of_a_wide_network_grow_as_predicted(simulated):
    """chi is the squared length from step to step; over 100 steps, by the map's logarithms."""
    cell, params, inputs, _, predicted = simulated
    gradient = jax.jit(
        lambda p: rnn.analysis.gradient_by_lag(cell, p, inputs[:, 0], loss=lambda ys, _: ys.sum(-1))
    )
    logs = np.log(gradient(params))
    rate = (logs[120] - logs[20]) / 100
    np.testing.assert_allclose(rate, predicted.lyapunov, atol=0.02)


def test_mistakes_are_named():
    for arguments, message in [
        ({"gain": 0.0}, "gain must be a positive number, got 0.0"),
        ({"gain": 1.0, "bias_variance": -1.0}, "bias_variance must be a number of 0 or more"),
        ({"gain": 1.0, "input_correlation": 2.0}, r"must be a number in \[0, 1\], got 2.0"),
        ({"gain": 1.6, "activation": jax.nn.relu, "bias_variance": 1.0}, "grows without bound"),
    ]:
        with pytest.raises(rnn.ArgumentError, match=message):
            rnn.analysis.mean_field(**arguments)
    with pytest.raises(rnn.ArgumentError, match="gain must be a positive number"):
        rnn.analysis.mean_field_lyapunov(-1.0, k=10)
    with pytest.raises(rnn.ArgumentError, match="k must be a positive integer"):
        rnn.analysis.mean_field_lyapunov(1.0, k=0)
