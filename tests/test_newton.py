"""Newton's method over time: the numbers of `Scan`, and a certificate that is not fooled."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree

import rnn_jax as rnn
from rnn_jax.analysis import newton_report, step_jacobians
from rnn_jax.methods.orbit.jacobian import DiagonalJacobian
from rnn_jax.recurrence.padding import padded
from rnn_jax.recurrence.steps import Steps
from tests.cases import CASES, assert_close, normal, params_of

pytestmark = pytest.mark.usefixtures("no_rank_promotion")

FULL = rnn.Newton()
DIAGONAL = rnn.Newton(rnn.DiagonalJacobian(), iterations=100)
NAMED = {case.name: case for case in CASES}


def weighed(carry, ys):
    flat, _ = ravel_pytree((carry, ys))
    return jnp.sum(jnp.sin(flat + jnp.arange(flat.size, dtype=flat.dtype)))


def marks(steps):
    rng = np.random.default_rng(0)
    return {
        "lengths": jnp.array([steps, steps - 3]),
        "mask": jnp.asarray(rng.random((steps, 2)) > 0.1),
        "reset": jnp.asarray(rng.random((steps, 2)) > 0.8),
    }


def agree_with_scan(cell, method, params, xs, carry, marks):
    """Values, gradients, tangents of the gradient: of everything there is."""

    @functools.partial(jax.jit, static_argnums=0)
    def outcome(method, *arguments):
        def loss(arguments):
            carry, ys = rnn.unroll(cell, *arguments, **marks, method=method)
            return weighed(carry, ys), ys

        def gradient(arguments):
            return jax.grad(loss, has_aux=True)(arguments)

        directions = jax.tree.map(jnp.cos, arguments)
        return jax.jvp(gradient, (arguments,), (directions,))

    found, expected = (outcome(way, params, xs, carry) for way in (method, rnn.Scan()))
    assert_close(found, expected)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("elman", rnn.Newton(block=6)),
        pytest.param("lstm", DIAGONAL, marks=pytest.mark.slow),
        pytest.param("elman", DIAGONAL, marks=pytest.mark.slow),
        pytest.param("gru", rnn.Newton(block=5), marks=pytest.mark.slow),
        pytest.param("lstm", FULL, marks=pytest.mark.slow),
        pytest.param("output-gated", FULL, marks=pytest.mark.slow),
        pytest.param("peephole", FULL, marks=pytest.mark.slow),
        pytest.param("layer-norm-gru", FULL, marks=pytest.mark.slow),
        pytest.param("wide-carry", DIAGONAL, marks=pytest.mark.slow),
    ],
)
def test_values_and_derivatives_of_both_orders_are_those_of_scan(name, method):
    case = NAMED[name]
    params, xs = case.params(), case.xs(12, 2)
    agree_with_scan(case.cell, method, params, xs, case.carry(params, (2,)), marks(12))


@pytest.mark.slow
def test_layers_in_both_directions_are_those_of_scan():
    model = rnn.stack(rnn.bidirectional(rnn.Elman(2, 2), rnn.Elman(2, 1)), rnn.Elman(3, 2))
    params = params_of(model)
    xs = normal((9, 2, 2), seed=1)

    @functools.partial(jax.jit, static_argnums=0)
    def outcome(method, params):
        def loss(params):
            options = {**marks(9), "reverse": True, "method": method}
            return weighed(*rnn.unroll(model, params, xs, **options))

        return jax.value_and_grad(loss)(params)

    assert_close(outcome(FULL, params), outcome(rnn.Scan(), params))


@settings(max_examples=3)
@given(steps=st.integers(0, 200), block=st.integers(1, 100), diagonal=st.booleans())
def test_any_number_of_steps_and_any_block_have_the_numbers_of_scan(steps, block, diagonal):
    jacobian = rnn.DiagonalJacobian() if diagonal else rnn.FullJacobian()
    method = rnn.Newton(jacobian, block=block)
    cell = rnn.Elman(1, 2)
    params = params_of(cell)
    xs = normal((steps, 1), seed=1)
    found, expected = (rnn.unroll(cell, params, xs, method=way) for way in (method, rnn.Scan()))
    assert_close(found, expected)


def orbit_of(params, xs, h):
    """The largest residual of h `(T, H)`, step by step, in NumPy: is it an orbit?"""
    params = jax.tree.map(np.asarray, params)
    before = np.concatenate([np.zeros_like(h[:1]), h[:-1]])
    return np.abs(np.tanh(xs @ params.w_xh + before @ params.w_hh + params.b_h) - h).max()


@functools.partial(jax.jit, static_argnums=(0, 1))
def hidden(cell, method, params, xs):
    return rnn.unroll(cell, params, xs, method=method)[1]


STEPS = 600


def network(gain, units=16):
    """`(cell, params, xs)`: random recurrent weights; with a gain of 2 it is chaotic.

    Its largest Lyapunov exponent is 0.09 then, and -0.24 with a gain of 1.
    """
    rng = np.random.default_rng(1)
    w_hh = gain * rng.normal(size=(units, units)) / units**0.5
    params = rnn.ElmanParams(rng.normal(size=(2, units)), w_hh, np.zeros(units))
    params, xs = jax.tree.map(jnp.asarray, (params, 0.1 * rng.normal(size=(STEPS, 2))))
    return rnn.Elman(2, units), params, xs


@pytest.mark.parametrize("method", [FULL, DIAGONAL], ids=["full", "diagonal"])
def test_contractive_critical_and_chaotic_networks(method):
    lengths = []
    for gain in (0.5, 1.0, 2.0):
        cell, params, xs = network(gain)
        found = np.asarray(hidden(cell, method, params, xs))
        (report,) = newton_report(cell, params, xs, method=method)
        lengths.append(int(report.certified.sum()))
        # Whoever found it, it is an orbit; and where rounding is not amplified, that of the scan.
        assert orbit_of(params, np.asarray(xs), found) < 1e-14
        known = STEPS
        if gain > 1:
            known = lengths[-1] if method == FULL else 100
        expected = np.asarray(hidden(cell, rnn.Scan(), params, xs))
        np.testing.assert_allclose(found[:known], expected[:known], atol=1e-10)
    assert lengths[0] == STEPS
    assert 0 < lengths[2] < STEPS


@pytest.mark.parametrize("steps", [1000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_iterations_do_not_grow_with_the_number_of_steps(steps):
    cell = rnn.GRU(2, 4)
    params = params_of(cell)
    xs = normal((steps, 2), seed=1)
    (report,) = newton_report(cell, params, xs)
    assert report.certified.all()
    assert report.iterations.max() <= 10
    found, expected = (hidden(cell, way, params, xs) for way in (FULL, rnn.Scan()))
    np.testing.assert_allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize("method", [FULL, DIAGONAL], ids=["full", "diagonal"])
def test_a_small_residual_is_no_certificate(method):
    """Close to a fixed point that repels, beside a large unit: the guess has no residual to see.

    The first unit doubles from 1e-17, and is at its end after some sixty steps. That it stays
    where it is, as the guess has it, is wrong by 1e-17 at every step, and by 0.96 at the last.
    """
    cell = rnn.Elman(1, 2)
    w_hh, b_h = jnp.diag(jnp.array([2.0, 0.0])), jnp.array([0.0, 1.0])
    params = rnn.ElmanParams(jnp.zeros((1, 2)), w_hh, b_h)
    start = rnn.ElmanCarry(jnp.array([1e-17, jnp.tanh(1.0)]))
    xs = jnp.zeros((200, 1))
    _, found = rnn.unroll(cell, params, xs, start, method=method)
    _, expected = rnn.unroll(cell, params, xs, start, method=rnn.Scan())
    assert expected[-1, 0] > 0.95
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_what_is_certified_is_determined_by_arithmetic_of_its_width():
    """In float32 the chaotic network has orbits of rounded steps that have nothing in common.

    The residuals of each are those of rounding; the certificate of the whole derivative ends
    before they part.
    """
    cell, params, xs = network(2.0)
    single = cast((params, xs), jnp.float32)
    (report,) = newton_report(cell, *single)
    certified = int(report.certified.sum())
    found = np.asarray(hidden(cell, FULL, *single))
    exact = np.asarray(hidden(cell, rnn.Scan(), *cast(single, jnp.float64)))
    assert 20 < certified < STEPS
    assert np.abs(found - exact)[:certified].max() < 1e-4
    assert np.abs(found - exact).max() > 0.1


def cast(tree, dtype):
    return jax.tree.map(lambda x: x.astype(dtype), tree)


def test_what_is_not_certified_is_run_step_by_step():
    cell, params, xs = network(2.0)
    for iterations in (1, 3):
        method = rnn.Newton(iterations=iterations, block=100)
        (report,) = newton_report(cell, params, xs, method=method)
        assert report.iterations.tolist() == [iterations] * STEPS
        # Each iteration makes one more step right, at least, and none looks further than it does.
        in_block = np.asarray(report.certified).reshape(-1, 100)
        assert (np.sort(in_block, axis=1)[:, ::-1] == in_block).all()
        assert in_block.sum(1).min() >= iterations - 1
        assert in_block.sum() < STEPS / 2
        found = hidden(cell, method, params, xs)
        assert orbit_of(params, np.asarray(xs), np.asarray(found)) < 1e-14


@pytest.mark.slow
def test_the_carries_of_the_last_update_are_where_the_next_one_starts():
    cell, plain = rnn.guided(rnn.LSTM(2, 4)), rnn.LSTM(2, 4)
    params = params_of(cell)
    xs = normal((50, 2, 2), seed=1)
    method = rnn.Newton(block=30)  # of which one is cut short
    options = {**marks(50), "method": method}
    (before,) = newton_report(cell, params, xs, **options)
    moved = jax.tree.map(lambda p: p + 1e-4 * jnp.cos(p), params)
    guided = moved._replace(guess=before.carries)
    (after,) = newton_report(cell, guided, xs, **options)
    (cold,) = newton_report(cell, moved, xs, **options)
    assert after.certified.all()
    assert (after.iterations < cold.iterations).all()

    def loss(cell, method, params):
        options = {**marks(50), "method": method}
        return weighed(*rnn.unroll(cell, params, xs, **options))

    found, expected = jax.jit(
        lambda guided, params: (
            jax.value_and_grad(functools.partial(loss, cell, method))(guided),
            jax.value_and_grad(functools.partial(loss, plain, rnn.Scan()))(params),
        )
    )(guided, moved.layer)
    assert_close((found[0], found[1].layer), expected)
    chex.assert_trees_all_equal(found[1].guess, jax.tree.map(jnp.zeros_like, before.carries))


@pytest.mark.parametrize("wrong", [3.0, jnp.nan, 1e300])
def test_a_guess_that_is_wrong_moves_no_number(wrong):
    cell, params, xs = network(1.0)
    expected = hidden(cell, rnn.Scan(), params, xs)
    guess = rnn.ElmanCarry(jnp.full_like(expected, wrong))
    params = rnn.GuidedParams(params, guess)
    for method in (FULL, rnn.BPTT()):
        found = hidden(rnn.guided(cell), method, params, xs)
        np.testing.assert_allclose(found, expected, atol=1e-10)


def test_a_reset_ends_what_is_amplified_and_each_layer_has_a_report():
    cell, params, xs = network(2.0)
    stack = rnn.stack(cell, rnn.Elman(16, 1))
    params = (params, params_of(stack)[1])
    reset = jnp.arange(STEPS) % 20 == 0
    first, second = newton_report(stack, params, xs, reset=reset)
    assert first.certified.all()
    assert second.certified.all()
    first, _ = newton_report(stack, params, xs, reset=reset & False)
    assert not first.certified.all()


@pytest.mark.parametrize("method", [FULL, DIAGONAL], ids=["full", "diagonal"])
@pytest.mark.parametrize("start", [1.0, 1e200])
def test_what_overflows_is_left_to_the_loop(start, method):
    """Squares: guesses overflow long before the orbit does, and then the orbit."""
    cell = rnn.Elman(1, 1, activation=jnp.square)
    params = rnn.ElmanParams(jnp.ones((1, 1)), jnp.ones((1, 1)), jnp.zeros(1))
    carry, xs = rnn.ElmanCarry(jnp.full(1, start)), jnp.full((40, 1), -0.1)
    _, found = rnn.unroll(cell, params, xs, carry, method=method)
    _, expected = rnn.unroll(cell, params, xs, carry, method=rnn.Scan())
    assert np.isinf(expected[-1]) == (start > 1)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_one_sequence_without_numbers_spoils_no_other():
    cell, params, xs = network(0.5)
    xs = jnp.stack([xs[:20], xs[:20].at[7].set(jnp.nan)], 1)
    found, expected = (hidden(cell, way, params, xs) for way in (FULL, rnn.Scan()))
    assert np.isnan(expected[7:, 1]).all()
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_the_diagonal_is_that_of_the_jacobian():
    case = NAMED["lstm"]
    cell, params, xs = case.cell, case.params(), case.xs(6, 2)
    start, reset = case.carry(params, (2,)), marks(6)["reset"]
    assert reset.any()

    @jax.jit
    def columns(params, start, xs):
        steps = Steps(None, reset, cell.initial_carry(params, (2,)))
        inside, params, xs = padded(cell, params, xs, steps)
        zs = inside.project(params, xs)
        before = jax.tree.map(lambda c: jnp.broadcast_to(c, (6, *c.shape)), start)
        a = inside.recur(params, before, zs)
        update = inside.linearize(before, a, jax.vmap(inside.update)(before, a))
        operator = DiagonalJacobian().operator(inside, params, before, zs, update)
        return operator.steps

    def one_step(x, reset):
        return step_jacobians(cell, params, x[None], start, reset=reset[None])[0]

    whole = jnp.stack([one_step(x, mark) for x, mark in zip(xs, reset, strict=True)])
    for j, column in enumerate(columns(params, start, xs)):
        for i, block in enumerate(jax.tree.leaves(column)):
            part = whole[..., 3 * i : 3 * (i + 1), 3 * j : 3 * (j + 1)]
            np.testing.assert_allclose(block, jnp.diagonal(part, axis1=-2, axis2=-1), atol=1e-14)


def test_a_gradient_that_is_clipped_on_its_way_is_that_of_scan(key):
    def clip(ct):
        return jax.tree.map(lambda g: jnp.clip(g, -0.05, 0.05), ct)

    cell = rnn.map_cotangent(rnn.Elman(2, 2), clip)
    params = params_of(cell)
    xs = normal((9, 2))

    @functools.partial(jax.jit, static_argnums=0)
    def gradient(method, params):
        return jax.grad(lambda params: weighed(*rnn.unroll(cell, params, xs, method=method)))(
            params
        )

    assert_close(gradient(FULL, params), gradient(rnn.Scan(), params))


def test_sequences_under_vmap_are_a_batch():
    cell, params, xs = network(1.0)
    xs = jnp.stack([xs[:30], -2 * xs[:30]])
    mapped = jax.jit(jax.vmap(lambda xs: rnn.unroll(cell, params, xs, method=FULL)[1]))(xs)
    expected = jnp.swapaxes(hidden(cell, rnn.Scan(), params, jnp.swapaxes(xs, 0, 1)), 0, 1)
    np.testing.assert_allclose(mapped, expected, atol=1e-10)
