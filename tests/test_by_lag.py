"""The gradient by lag: known values, and the chain rule written out."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree

import rnn_jax as rnn
from tests.cases import CASES, REMEMBERING, assert_close, every, normal, params_of

pytestmark = pytest.mark.usefixtures("no_rank_promotion")


def linear(a):
    return a


def outputs(ys, targets):
    return ys.sum(-1)


def squares(ys, targets):
    """A loss of each step that weighs the steps."""
    steps = jnp.arange(1, ys.shape[0] + 1, dtype=ys.dtype)
    return jnp.square(ys).sum(-1) * steps.reshape(-1, *(1,) * (ys.ndim - 2))


def scalar(w, dtype=jnp.float64):
    cell = rnn.Elman(1, 1, activation=linear)
    ones = jnp.ones((1, 1), dtype)
    return cell, rnn.ElmanParams(ones, w * ones, jnp.zeros(1, dtype))


def measured(analysis, cell, params, xs, **given):
    """What an analysis says, as one program."""
    return jax.jit(lambda params, xs: analysis(cell, params, xs, **given))(params, xs)


def test_a_scalar_forgets_by_its_weight():
    """Scalar w = 0.9: the lags are 0.9^(k+1), and 95% of the gradient lies within 28 of them."""
    cell, params = scalar(0.9)
    xs = jnp.ones((400, 1))
    norms = measured(rnn.analysis.gradient_by_lag, cell, params, xs, loss=outputs)
    np.testing.assert_allclose(norms, 0.9 ** np.arange(1, 401), rtol=1e-12)
    share = np.cumsum(norms) / np.sum(norms)
    assert share[27] < 0.95 <= share[28]
    assert rnn.analysis.memory_horizon(jnp.log(norms)) == 28


@pytest.mark.parametrize("w", [0.1, 10.0])
def test_gradients_that_underflow_or_overflow_are_numbers(w):
    """1000 steps of 0.1 are 1e-1000, which no float holds; its logarithm does."""
    cell, params = scalar(w)
    params = params._replace(w_xh=jnp.zeros((1, 1)))
    logs, by_lag = measured(
        rnn.analysis.gradient_map, cell, params, jnp.ones((1000, 1)), loss=outputs
    )
    logs = np.asarray(logs)
    t, k = np.tril_indices(1000)
    np.testing.assert_allclose(logs[t, k], np.log(w) * (t - k + 1), rtol=1e-12)
    assert np.all(np.isneginf(logs[np.triu_indices(1000, 1)]))
    lags = np.arange(1000)
    expected = np.log(w) * (lags + 1) + np.log(1000 - lags)
    np.testing.assert_allclose(by_lag, expected, rtol=1e-12)


def test_an_orthogonal_matrix_forgets_nothing(key):
    cell = rnn.Elman(2, 6, activation=linear)
    params = cell.init(key, jnp.float64)
    xs = normal((50, 3, 2))
    norms = measured(rnn.analysis.gradient_by_lag, cell, params, xs, loss=outputs)
    np.testing.assert_allclose(norms, np.sqrt(6), rtol=1e-10)


def test_a_chain_of_units_forgets_all_at_once():
    """Each unit hands its value on, weight 2, and the last is read: exactly zero after 4 steps."""
    cell = rnn.Elman(1, 4, activation=linear)
    chain = 2 * jnp.eye(4, k=1)
    params = rnn.ElmanParams(jnp.ones((1, 4)), chain, jnp.zeros(4))
    last = lambda ys, _: ys[..., -1]  # noqa: E731
    norms = measured(rnn.analysis.gradient_by_lag, cell, params, jnp.ones((6, 1)), loss=last)
    np.testing.assert_allclose(norms, [2, 4, 8, 0, 0, 0], rtol=1e-14)


def test_the_map_is_the_gradient_of_every_loss_by_every_carry():
    """By `jax.jacrev` with a nudge at every carry of a stack, a batch of two."""
    (case,) = (case for case in CASES if case.name == "stack")
    cell, params, xs = case.cell, case.params(), case.xs(4, 2)
    start = case.carry(params, (2,))

    @jax.jit
    def outcomes(params, start):
        def losses(nudges):
            def nudged(carry, at):
                x, nudge = at
                return rnn.step(cell, params, x, jax.tree.map(jnp.add, carry, nudge))

            _, ys = jax.lax.scan(nudged, start, (xs, nudges))
            return squares(ys, None)

        still = jax.tree.map(lambda c: jnp.zeros((4, *c.shape), c.dtype), start)
        found = rnn.analysis.gradient_map(cell, params, xs, start, loss=squares)
        last = rnn.analysis.gradient_by_lag(cell, params, xs, start, loss=squares)
        return jax.tree.leaves(jax.jacrev(losses)(still)), found, last

    by_carry, found, last = outcomes(params, start)
    # (T of losses, batch, T of carries, the same batch, features).
    own = [np.einsum("tbkb...->tkb...", leaf).reshape(4, 4, 2, -1) for leaf in by_carry]
    norms = np.linalg.norm(np.concatenate(own, -1), axis=-1).mean(-1)
    np.testing.assert_allclose(np.exp(found.log_norms), norms, rtol=1e-10, atol=1e-14)
    by_lag = [np.trace(norms, -lag) for lag in range(4)]
    np.testing.assert_allclose(np.exp(found.by_lag), by_lag, rtol=1e-10)
    np.testing.assert_allclose(last, norms[-1, ::-1], rtol=1e-10)


@every("loop", REMEMBERING)
def test_the_lags_of_the_weight_gradient_add_up_to_it(case):
    cell, params, xs = case.cell, case.params(), case.xs(4)
    start = case.carry(params)

    def loss(ys, targets):
        return squares(ys.reshape(4, -1), targets)  # whatever a layer emits is one step's

    @jax.jit
    def outcomes(params):
        def mean_loss(params):
            _, ys = rnn.unroll(cell, params, xs, start, method=rnn.Scan())
            return loss(ys, None).mean()

        split = rnn.analysis.weight_gradient_by_lag(cell, params, xs, start, loss=loss)
        return jax.grad(mean_loss)(params), jax.tree.map(lambda g: g.sum(0), split)

    grads, total = outcomes(params)
    assert_close(total, grads, 1e-10)


def test_one_lag_is_the_product_of_jacobians_of_the_textbook(rng):
    """dL_t/dh_t (dh_t/dh_{t-2}) dh_{t-2}/dw_hh, for the matrix of an Elman network by hand."""
    cell = rnn.Elman(1, 3)
    params = rnn.ElmanParams(*(rng.normal(size=shape) for shape in [(1, 3), (3, 3), (3,)]))
    xs = rng.normal(size=(5, 1))
    h, hs = np.zeros(3), []
    for x in xs:
        h = np.tanh(x @ params.w_xh + h @ params.w_hh + params.b_h)
        hs.append(h)
    expected = np.zeros((3, 3))
    for t in range(2, 5):
        dh = 2 * (t + 1) * hs[t] / 5
        for j in (t, t - 1):
            dh = params.w_hh @ ((1 - hs[j] ** 2) * dh)
        before = hs[t - 3] if t > 2 else np.zeros(3)
        expected += np.outer(before, (1 - hs[t - 2] ** 2) * dh)
    given = {"loss": squares, "of": lambda params: params.w_hh, "max_lag": 2}
    split = measured(rnn.analysis.weight_gradient_by_lag, cell, params, xs, **given)
    np.testing.assert_allclose(split[2], expected, rtol=1e-12)


@dataclasses.dataclass(frozen=True)
class Learned(rnn.Elman):
    """Starts from its bias."""

    def initial_carry(self, params, batch_shape=()):
        return rnn.ElmanCarry(jnp.broadcast_to(params.b_h, (*batch_shape, self.hidden_size)))


def test_a_learned_initial_carry_counts_with_the_first_step(key):
    """And in a batch, with some of the leaves, or some of the lags."""
    cell = Learned(2, 3)
    params = params_of(cell)._replace(b_h=jnp.array([0.1, -0.2, 0.3]))
    xs = normal((5, 2, 2))

    @jax.jit
    def outcomes(params):
        split = functools.partial(
            rnn.analysis.weight_gradient_by_lag, cell, params, xs, loss=squares
        )
        grads = jax.grad(lambda p: squares(rnn.unroll(cell, p, xs)[1], None).mean())(params)
        return grads, split(), split(of=lambda params: params.b_h, max_lag=1)

    grads, split, some = outcomes(params)
    assert_close(jax.tree.map(lambda g: g.sum(0), split), grads, 1e-10)
    assert_close(some, split.b_h[:2], 1e-13)


def test_a_norm_whose_square_underflows_is_not_lost():
    """float32 holds 1e-30, its square not."""
    cell, params = scalar(0.1, jnp.float32)
    xs = jnp.ones((30, 1), jnp.float32)
    norms = measured(rnn.analysis.gradient_by_lag, cell, params, xs, loss=outputs)
    assert norms.dtype == jnp.float32
    np.testing.assert_allclose(norms[29] * 1e30, 1, rtol=1e-4)


@given(st.lists(st.integers(-3000, 3000), min_size=6, max_size=6), st.floats(0.01, 0.99))
def test_the_horizon_is_where_the_cumulated_share_is_reached(logs, share):
    horizon = int(rnn.analysis.memory_horizon(jnp.array(logs, jnp.float64), share=share))
    norms = np.exp(np.array(logs, float) - max(logs))
    cumulated = np.cumsum(norms) / norms.sum()
    assert cumulated[horizon] >= share - 1e-9
    assert horizon == 0 or cumulated[horizon - 1] < share + 1e-9


def test_the_horizon_goes_by_the_last_axis():
    logs = jnp.log(jnp.array([[1.0, 1, 1, 1], [1, 0, 0, 0]]))
    assert rnn.analysis.memory_horizon(logs, share=0.6).tolist() == [2, 0]


def test_a_gradient_that_is_no_number_has_no_horizon():
    logs = jnp.array([[0.0, 0, 0], [0, jnp.nan, 0], [-jnp.inf] * 3, [0, jnp.inf, 0]])
    assert jax.jit(rnn.analysis.memory_horizon)(logs).tolist() == [2, -1, 0, 1]
    for nothing in jnp.zeros(()), jnp.zeros((3, 0)):
        with pytest.raises(rnn.ShapeError, match="log_norms must have an axis of numbers"):
            rnn.analysis.memory_horizon(nothing)


def test_signal_to_noise_is_that_of_one_gradient_a_sequence(key):
    cell = rnn.GRU(2, 3)
    params = params_of(cell)
    xs = normal((5, 2, 3, 2))
    targets = jnp.arange(30, dtype=jnp.float64).reshape(5, 2, 3)

    def loss(ys, targets):
        return jnp.square(ys[..., 0] - jnp.cos(targets))

    @jax.jit
    def together(params):
        return rnn.analysis.signal_to_noise_by_lag(
            cell, params, xs, loss=loss, targets=targets, max_lag=2
        )

    @functools.partial(jax.vmap, in_axes=(1, 1))
    def alone(xs, targets):
        split = rnn.analysis.weight_gradient_by_lag(
            cell, params, xs, loss=loss, targets=targets, max_lag=2
        )
        return jax.vmap(lambda g: ravel_pytree(g)[0])(split)

    grads = np.asarray(jax.jit(alone)(xs.reshape(5, 6, 2), targets.reshape(5, 6)))
    signal = np.linalg.norm(grads.mean(0), axis=-1)
    noise = np.sqrt(np.square(grads - grads.mean(0)).sum(-1).sum(0) / 5)
    assert_close(tuple(together(params)), (signal / noise, signal, noise), 1e-10)


def test_signal_to_noise_stands_where_squares_underflow():
    """Sequences of inputs 1 and 3 have gradients g and 3 g: 2 over the root of 2, however small."""
    cell, params = scalar(1e-10)
    xs = jnp.array([[[1.0], [3.0]], *[[[0.0], [0.0]]] * 29])

    loss = rnn.analysis.last(lambda y, _: y[..., 0])
    given = {"loss": loss, "of": lambda params: params.w_xh}
    ratio, signal, _ = measured(rnn.analysis.signal_to_noise_by_lag, cell, params, xs, **given)
    np.testing.assert_allclose(ratio[29], np.sqrt(2), rtol=1e-10)
    np.testing.assert_allclose(np.asarray(signal)[29] * 1e290, 2, rtol=1e-10)


def test_the_saturated_share_counts_units_by_nonlinearity():
    """Inputs chosen so that f, i, g, o and tanh(c) saturate in their turn."""
    cell = rnn.LSTM(1, 2)
    weights = np.zeros((4, 2))
    weights[0], weights[1, 0] = 8, -8
    params = rnn.LSTMParams(weights.reshape(1, -1), np.zeros((2, 8)), np.zeros(8))
    shares = measured(rnn.analysis.saturated_share, cell, params, np.array([[0.0], [1.0]]))
    assert sorted(shares[:, 0].tolist()) == [0, 0, 0, 0, 0]
    assert sorted(shares[:, 1].tolist()) == [0, 0, 0, 0.5, 1]


@pytest.mark.parametrize(
    ("activation", "expected"),
    [(jnp.tanh, 0.5), (jax.nn.sigmoid, 0.5), (jax.nn.relu, 0.75), (jax.nn.hard_tanh, None)],
)
def test_a_unit_is_saturated_where_its_slope_is_small(activation, expected):
    """Preactivations -9, -1, 0 and 9: the flat ends of tanh; a ReLU is off at all but 9."""
    cell = rnn.Elman(4, 4, activation=activation)
    params = rnn.ElmanParams(jnp.eye(4), jnp.zeros((4, 4)), jnp.zeros(4))
    xs = jnp.array([[[-9.0, -1.0, 0.0, 9.0]]])
    if expected is None:
        with pytest.raises(rnn.StructureError, match="no tanh, sigmoid or ReLU"):
            rnn.analysis.saturated_share(cell, params, xs)
        return
    shares = measured(rnn.analysis.saturated_share, cell, params, xs)
    assert shares.tolist() == [[expected]]


NONLINEARITIES = {
    "irnn": 1,
    "jordan": 2,
    "lstm": 5,
    "gru": 3,
    "mgu": 2,
    "peephole": 5,
    "reset-before-gru": 3,
    "stack": 4,
}


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_the_nonlinearities_of_a_cell_are_all_found(name):
    """Gates and states, whether the step splits or not, and through the layers of a stack."""
    (case,) = (case for case in CASES if case.name == name)
    params, xs = case.params(), case.xs(3, 2)
    share = functools.partial(rnn.analysis.saturated_share, case.cell, slope=0.999)
    all_of_it = jax.eval_shape(share, params, xs)
    assert all_of_it.shape == (NONLINEARITIES[name], 3)


KEY = jax.random.key(0)
ELMAN, PARAMS = scalar(0.5)
XS = jnp.ones((4, 2, 1))
MISTAKES = {
    "no cell": (
        lambda: rnn.analysis.gradient_map(None, PARAMS, XS, loss=outputs),
        rnn.StructureError,
        "gradient_map: the first argument must be a Cell, got None",
    ),
    "no memory": (
        lambda: rnn.analysis.weight_gradient_by_lag(
            rnn.Dense(1, 2), params_of(rnn.Dense(1, 2)), XS, loss=outputs
        ),
        rnn.StructureError,
        "Dense.* carries nothing from step to step",
    ),
    "a mean": (
        lambda: rnn.analysis.gradient_map(ELMAN, PARAMS, XS, loss=lambda ys, _: ys.mean()),
        rnn.ShapeError,
        r"one number a step and sequence, .*\(4, 2\), got float64 of shape \(\)",
    ),
    "inputs": (
        lambda: rnn.analysis.gradient_map(ELMAN, PARAMS, jnp.ones((4, 2, 3)), loss=outputs),
        rnn.ShapeError,
        r"xs must have shape \(T, \*batch, 1\), got \(4, 2, 3\)",
    ),
    "lags": (
        lambda: rnn.analysis.weight_gradient_by_lag(ELMAN, PARAMS, XS, loss=outputs, max_lag=-1),
        rnn.ArgumentError,
        "max_lag must be an integer of 0 or more, got -1",
    ),
    "batch of one": (
        lambda: rnn.analysis.signal_to_noise_by_lag(ELMAN, PARAMS, XS[:, 0], loss=outputs),
        rnn.ArgumentError,
        r"two at least; got batch axes \(\)",
    ),
    "share": (
        lambda: rnn.analysis.memory_horizon(jnp.zeros(3), share=95),
        rnn.ArgumentError,
        r"share must be a number in \(0, 1\], got 95",
    ),
    "slope": (
        lambda: rnn.analysis.saturated_share(ELMAN, PARAMS, XS, slope=-1),
        rnn.ArgumentError,
        r"slope must be a number in \[0, 1\], got -1",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(mistake):
    make, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=f"(?s){message}"):
        make()


def test_targets_without_steps_are_refused():
    cell, params = scalar(0.5)
    xs = jnp.ones((4, 3, 1))
    with pytest.raises(rnn.ShapeError, match=r"targets .*\(4, 3\), in front, got .*\(3,\)"):
        rnn.analysis.signal_to_noise_by_lag(cell, params, xs, loss=outputs, targets=jnp.ones(3))
