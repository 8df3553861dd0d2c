"""The metrics for logging: each is what the whole analysis says, or a bound that is close."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from tests.cases import REMEMBERING, normal, params_of

pytestmark = pytest.mark.usefixtures("no_rank_promotion")

LAGS = [0, 3, 19]


def squares(ys, targets):
    return jnp.square(ys - targets).sum(-1)


@pytest.fixture(scope="module")
def found():
    """A stack's params, its metrics, and the whole analyses, as one compiled program."""
    model = rnn.stack(rnn.GRU(2, 6), rnn.Elman(6, 5))
    params = params_of(model)
    xs = normal((20, 2, 2), seed=1)
    targets = normal((20, 2, 5), seed=2)

    def both(params, xs, targets):
        given = model, params, xs
        metrics = rnn.analysis.gradient_metrics(*given, loss=squares, targets=targets, lags=LAGS)
        by_lag = rnn.analysis.gradient_map(*given, loss=squares, targets=targets).log_norms[
            -1, ::-1
        ]
        share = rnn.analysis.saturated_share(*given)
        rates = rnn.analysis.lyapunov_spectrum(*given, k=1, warmup_q=5)
        return metrics, (by_lag, share, rates.exponents)

    return params, *jax.jit(both)(params, xs, targets)


def test_monitored_numbers_are_those_of_the_whole_analyses(found):
    _, metrics, (by_lag, share, rates) = found
    assert [*metrics.log_norms] == LAGS
    for lag, log_norm in metrics.log_norms.items():
        np.testing.assert_allclose(log_norm, by_lag[lag], rtol=1e-10)
    assert metrics.horizon == rnn.analysis.memory_horizon(by_lag)
    np.testing.assert_allclose(metrics.saturated, share.mean(), rtol=1e-12)
    np.testing.assert_allclose(metrics.lyapunov, rates.mean(), rtol=1e-8)


def test_every_monitored_number_is_a_scalar_that_a_log_can_hold(found):
    numbers = jax.tree.map(float, found[1])._asdict()
    assert all(isinstance(leaf, float) for leaf in jax.tree.leaves(numbers))
    names = ["0.w_hh.0", "0.w_hh.1", "0.w_hh.2", "1.w_hh"]
    assert [*numbers["spectral_radius"]] == [*numbers["spectral_norm"]] == names


def test_radius_and_norm_are_those_of_the_gates(found):
    (gru, elman), metrics, _ = found
    blocks = [*np.split(gru.w_hh, 3, 1), elman.w_hh]
    for w, radius, norm in zip(
        blocks, metrics.spectral_radius.values(), metrics.spectral_norm.values(), strict=True
    ):
        exact = np.abs(np.linalg.eigvals(w)).max()
        assert exact <= radius * (1 + 1e-9)
        np.testing.assert_allclose(radius, exact, rtol=0.01)
        np.testing.assert_allclose(norm, np.linalg.norm(w, 2), rtol=1e-8)


def test_large_matrices_are_measured_from_both_sides_and_a_chain_exactly(rng):
    w, chain = rng.normal(size=(100, 100)) / 10, 3 * np.eye(100, k=1)
    cell = rnn.stack(rnn.Elman(1, 100), rnn.Elman(100, 100))
    first = rnn.ElmanParams(jnp.zeros((1, 100)), jnp.asarray(w), jnp.zeros(100))
    params = first, rnn.ElmanParams(jnp.zeros((100, 100)), jnp.asarray(chain), jnp.zeros(100))
    measure = functools.partial(rnn.analysis.gradient_metrics, cell, loss=squares)
    found = jax.jit(measure)(params, jnp.zeros((2, 1)), targets=0.0)
    radius, norm = found.spectral_radius["0.w_hh"], found.spectral_norm["0.w_hh"]
    exact = np.abs(np.linalg.eigvals(w)).max(), np.linalg.norm(w, 2)
    assert exact[0] <= radius <= 1.01 * exact[0]
    assert 0.99 * exact[1] <= norm <= exact[1] * (1 + 1e-12)
    assert found.spectral_radius["1.w_hh"] == 0
    np.testing.assert_allclose(found.spectral_norm["1.w_hh"], 3, rtol=1e-12)
    assert [*found.log_norms] == [0, 1]


def test_a_projection_has_no_square_matrix(key):
    for cell in rnn.ProjectedLSTM(2, 8, 4), rnn.Jordan(2, 8, 4), rnn.Jordan(2, 4, 4):
        assert rnn.analysis.recurrent_matrices(cell, cell.init(key)) == {}


@dataclasses.dataclass(frozen=True)
class Columns(rnn.Cell):
    """`h = tanh(W h + U x)` of column vectors, by params whose names say nothing."""

    @property
    def input(self):
        return rnn.Input((3,), jnp.floating)

    def init(self, key, dtype=jnp.float32):
        return {"a": jnp.eye(3, dtype=dtype), "b": jax.random.normal(key, (2, 3, 3), dtype)}

    def initial_carry(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, 3), params["a"].dtype)

    def project(self, params, xs):
        return jnp.einsum("ij,...j->...i", params["a"], xs)

    def step(self, params, carry, z):
        twice = [jnp.einsum("ij,...j->...i", w, jnp.tanh(carry)) for w in params["b"]]
        h = jnp.tanh(z + sum(twice))
        return h, h


def test_a_matrix_of_the_loop_is_found_by_what_the_step_does_with_it(key):
    """Not by a name: transposed, two of one leaf, and beside a matrix of the input as square."""
    cell = Columns()
    params = cell.init(key)
    found = rnn.analysis.recurrent_matrices(cell, params)
    assert [*found] == ["b.0", "b.1"]
    for w, expected in zip(found.values(), params["b"], strict=True):
        np.testing.assert_array_equal(w, expected.T)


def test_what_is_around_a_cell_does_not_matter(key):
    """Nor a layer between two whose weight is as square, which is in no loop, nor noise."""
    upper = rnn.zoneout(rnn.MGU(4, 4), 0.1)
    inner = rnn.stack(rnn.leaky(rnn.Elman(4, 4), 0.5), rnn.Dense(4, 4), upper)
    cell = rnn.stack(rnn.residual(inner), rnn.Dropout(4, 0.5))
    names = [*rnn.analysis.recurrent_matrices(cell, cell.init(key))]
    assert [name.rpartition("w_hh")[2] for name in names] == ["", ".0", ".1"]
    (case,) = (case for case in REMEMBERING if case.name == "reset-before-gru")
    found = rnn.analysis.recurrent_matrices(case.cell, case.params())
    assert [*found] == ["w_hh.0", "w_hh.1", "w_hn"]


@pytest.mark.parametrize("lags", [[8], [-1], [1.5]])
def test_lags_that_xs_has_not_are_refused(key, lags):
    cell = rnn.Elman(1, 2)
    params = params_of(cell)
    with pytest.raises(rnn.ArgumentError, match="lags must be integers from 0 to 7, got"):
        rnn.analysis.gradient_metrics(
            cell, params, jnp.ones((8, 1)), loss=squares, targets=0.0, lags=lags
        )
