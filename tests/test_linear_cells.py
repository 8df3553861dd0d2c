"""Linear and diagonal cells: what is read from their programs, how they start, their digits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import rnn_jax as rnn
from rnn_jax.cells.s5 import hippo_n
from rnn_jax.recurrence.dependence import is_unitwise
from rnn_jax.recurrence.padding import padded
from rnn_jax.recurrence.steps import Steps
from rnn_jax.recurrence.structure import structure
from tests.cases import CASES, assert_close

KEY = jax.random.key(0)
BY_NAME = {case.name: case for case in CASES}
LINEAR = ["lru", "s5", "rglru", "min-gru", "min-lstm", "selective-ssm"]
DIAGONAL = ["diagonal-gru", "diagonal-lstm", "indrnn"]


def of_shape(*shape, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


@pytest.mark.parametrize("marked", [False, True])
@pytest.mark.parametrize("name", LINEAR + DIAGONAL)
def test_what_a_parallel_method_needs_is_read_from_the_program(name, marked):
    cell = BY_NAME[name].cell
    params, xs = jax.eval_shape(cell.init, KEY), of_shape(4, 2, *cell.input.shape)
    carry = jax.eval_shape(lambda params: cell.initial_carry(params, (2,)), params)
    if marked:
        marks = of_shape(4, 2, dtype=bool)
        cell, params, xs = padded(cell, params, xs, Steps(marks, marks, carry))
    facts = structure(cell, params, carry, xs)
    assert facts.is_affine == (name in LINEAR)
    assert facts.recur_is_affine
    assert facts.update_is_unitwise
    assert facts.emits_carry == (name != "selective-ssm")


@pytest.mark.parametrize("name", DIAGONAL)
def test_what_a_diagonal_cell_feeds_back_is_of_the_same_unit(name):
    case = BY_NAME[name]
    params, carry = case.params(), case.carry(case.params(), (2,))
    z = case.cell.project(params, case.xs(2))
    assert is_unitwise(lambda carry, z: case.cell.recur(params, carry, z), (carry, z))


@pytest.mark.parametrize("name", LINEAR)
def test_no_params_make_a_state_grow(name):
    case = BY_NAME[name]
    for size in (1, 30):
        params = jax.tree.map(lambda p, size=size: size * p, case.params())
        z = case.cell.project(params, size * case.xs(50))
        a = jax.tree.leaves(case.cell.coefficients(params, z).a)
        assert sum(part * part for part in a).max() <= 1


@pytest.mark.parametrize("name", LINEAR)
def test_coefficients_of_narrow_params_are_wide(name):
    """In bfloat16 0.999 is 1."""
    cell = BY_NAME[name].cell
    params = jax.eval_shape(lambda: cell.init(KEY, jnp.bfloat16))
    z = jax.eval_shape(cell.project, params, of_shape(2, *cell.input.shape, dtype=jnp.bfloat16))
    a = jax.eval_shape(cell.coefficients, params, z).a
    assert {part.dtype for part in jax.tree.leaves(a)} == {jnp.dtype(jnp.float32)}


def test_an_lru_starts_on_its_ring_and_makes_noise_no_larger():
    cell = rnn.LRU(2, 4000, r_min=0.6, r_max=0.9, max_phase=0.5)
    params = cell.init(KEY, jnp.float64)
    a = cell.coefficients(params, cell.project(params, jnp.ones(2))).a
    radius, phase = np.hypot(*a), np.arctan2(a.im, a.re)
    assert 0.6 <= radius.min() < 0.61 < 0.89 < radius.max() <= 0.9
    assert 0 <= phase.min() < 0.01 < 0.49 < phase.max() <= 0.5
    # Uniform in the area. Beyond 1.63 / sqrt(n) is one draw in a hundred (Kolmogorov, Smirnov).
    area = np.sort((radius**2 - 0.6**2) / (0.9**2 - 0.6**2))
    assert np.abs(area - np.arange(4000) / 4000).max() < 1.63 / np.sqrt(4000)
    # Of white noise the state has the variance gamma^2 (1 + r^2 + r^4 + ..) = 1.
    np.testing.assert_allclose(np.exp(2 * params.gamma_log) / (1 - radius**2), 1, rtol=1e-9)


def hippo_legs(size):
    """The matrix as Gu et al. 2020 print it, and the vector that makes it normal."""
    n = np.arange(size)
    full = -np.sqrt(np.outer(2 * n + 1, 2 * n + 1))
    return np.tril(full, -1) - np.diag(n + 1), np.sqrt(n + 0.5)


def test_s5_starts_with_the_eigenvalues_of_hippo():
    legs, p = hippo_legs(8)
    normal = legs + np.outer(p, p)
    frequency, vectors = hippo_n(8)
    eigenvalues = -0.5 + 1j * frequency
    np.testing.assert_allclose(normal @ vectors, eigenvalues * vectors, atol=1e-12)
    expected = np.linalg.eigvals(normal)
    np.testing.assert_allclose(expected.real, -0.5, atol=1e-12)
    np.testing.assert_allclose(
        np.sort(expected.imag), np.sort(np.r_[frequency, -frequency]), atol=1e-12
    )
    params = rnn.S5(2, 4).init(KEY, jnp.float64)
    assert_close(np.exp(params.decay_log), np.full(4, 0.5), 1e-15)
    assert_close(params.frequency, frequency, 0)


def test_half_of_the_eigenvalues_are_the_whole_real_system():
    """Impulse responses, by the matrix exponential of the real system of twice the size."""
    cell, time = rnn.S5(2, 4), 0.03
    params = cell.init(KEY, jnp.float64)._replace(
        step_log=jnp.full(4, np.log(time)), d=jnp.zeros(2)
    )
    legs, p = hippo_legs(8)
    a, (_, vectors) = legs + np.outer(p, p), hippo_n(8)
    b = 2 * (np.asarray(params.b.re) + 1j * np.asarray(params.b.im)) @ vectors.T
    c = 2 * vectors.conj() @ (np.asarray(params.c.re) + 1j * np.asarray(params.c.im))
    step = scipy.linalg.expm(a * time)
    held = np.linalg.solve(a, step - np.eye(8))
    xs = jnp.zeros((6, 2)).at[0, 0].set(1.0)
    _, ys = rnn.unroll(cell, params, xs)
    h = held @ b.real[0]
    for y in np.asarray(ys):
        np.testing.assert_allclose(y, h @ c.real, atol=1e-12)
        h = step @ h


def test_the_weights_of_s5_are_lecun_normal_before_the_eigenvectors():
    params = rnn.S5(30, 200).init(KEY, jnp.float64)
    for w, of_real in ((params.b, 1 / 30), (params.c, 1 / 400)):
        # |v^H B|^2 of a unit vector has the variance of B.
        size = np.mean(np.asarray(w.re) ** 2 + np.asarray(w.im) ** 2)
        np.testing.assert_allclose(size / of_real, 1, atol=5 * np.sqrt(2 / 6000))


def test_an_open_gate_of_rglru_starts_between_its_bounds():
    p = np.asarray(rnn.RGLRU(4000, heads=4000).init(KEY, jnp.float64).p)
    a = np.sort(np.exp(-8 * np.log1p(np.exp(p))))
    assert 0.9 <= a[0] < 0.9001
    assert 0.9989 < a[-1] <= 0.999
    place = (a - 0.9) / 0.099
    assert np.abs(place - np.arange(4000) / 4000).max() < 1.63 / np.sqrt(4000)


def test_heads_are_blocks_of_one_matrix():
    params, xs = BY_NAME["rglru"].params(), BY_NAME["rglru"].xs(5)

    def whole(w):
        return scipy.linalg.block_diag(*np.asarray(w))[None]

    one = params._replace(w_r=whole(params.w_r), w_i=whole(params.w_i))
    _, hs = rnn.unroll(rnn.RGLRU(4, heads=2), params, xs)
    _, same = rnn.unroll(rnn.RGLRU(4), one, xs)
    assert_close(hs, same, 1e-12)


def test_a_selective_ssm_starts_with_s4d_and_steps_in_their_range():
    cell = rnn.SelectiveSSM(4000, 3)
    assert cell.step_rank == 250
    params = cell.init(KEY, jnp.float64)
    assert_close(np.exp(params.decay_log), np.broadcast_to([1.0, 2.0, 3.0], (4000, 3)), 1e-14)
    steps = np.log1p(np.exp(params.b_step))
    assert 0.001 <= steps.min() < 0.00101
    assert 0.099 < steps.max() <= 0.1
    place = np.log(np.sort(steps) / 0.001) / np.log(100)
    assert np.abs(place - np.arange(4000) / 4000).max() < 1.63 / np.sqrt(4000)
    assert rnn.SelectiveSSM(33).step_rank == 3


@pytest.mark.parametrize("kind", [rnn.MinGRU, rnn.MinLSTM])
def test_a_memory_bias_says_over_how_many_steps_a_minimal_cell_forgets(kind):
    cell = kind(2, 500, memory_bias=rnn.Chrono(longest=100))
    params = cell.init(KEY, jnp.float64)
    a = cell.coefficients(params, cell.project(params, jnp.zeros(2))).a.h
    spans = 1 / (1 - np.asarray(a))
    assert 2 <= spans.min() < 3
    assert 97 < spans.max() <= 100


def coefficients_of(cell, params, xs, dtype):
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), params)
    return cell.coefficients(params, cell.project(params, jnp.asarray(xs, dtype)))


def test_a_state_that_is_nearly_kept_takes_in_the_right_small_share():
    """`1 - a` is far below the spacing of float32 at 1, and what is written has all digits."""
    rglru = rnn.RGLRU(1)
    params = rnn.RGLRUParams(
        np.zeros((1, 1, 1)), np.zeros((1, 1, 1)), np.array([-12.0]), np.zeros(1), np.array([-5.0])
    )
    log_a = -8 * np.exp(-np.log1p(np.exp(12.0))) * np.log1p(np.exp(-5.0))
    found = coefficients_of(rglru, params, [1.0], jnp.float32).b.h
    np.testing.assert_allclose(found, 0.5 * np.sqrt(-np.expm1(2 * log_a)), rtol=1e-6)

    minimal = rnn.MinLSTM(1, 1)
    biases = np.array([-40.0, -20.0, 1.0])  # i and f nearly shut, f 5e8 times as open
    params = rnn.MinLSTMParams(np.zeros((1, 3)), biases)
    i, f = np.exp(-np.log1p(np.exp(-biases[:2])))
    found = coefficients_of(minimal, params, [1.0], jnp.float32).b.h
    np.testing.assert_allclose(found, i / (f + i), rtol=1e-5)

    s5 = rnn.S5(1, 1)
    params = s5.init(KEY, jnp.float64)._replace(
        step_log=np.array([np.log(1e-6)]), b=rnn.Complex(np.ones((1, 1)), np.zeros((1, 1)))
    )
    found = coefficients_of(s5, params, [1.0], jnp.float32).b
    eigenvalue = -0.5 + 1j * np.asarray(params.frequency)
    expected = np.expm1(eigenvalue * 1e-6) / eigenvalue
    np.testing.assert_allclose(
        np.asarray(found.re) + 1j * np.asarray(found.im), expected, rtol=1e-6
    )


def test_a_gate_that_is_wholly_shut_has_a_gradient():
    cell = rnn.RGLRU(1)
    params = cell.init(KEY)._replace(b_r=jnp.array([-200.0], jnp.float32))
    xs = jnp.ones((3, 1), jnp.float32)
    grads = jax.grad(lambda p: rnn.unroll(cell, p, xs)[1].sum())(params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))


def test_diagonal_cells_are_those_with_diagonal_matrices():
    case = BY_NAME["diagonal-gru"]
    params, xs = case.params(), case.xs(5, 2)
    diagonal = np.concatenate([np.diag(w) for w in np.split(params.w_h, 3)], 1)
    full = rnn.GRUParams(params.w_xh, diagonal, params.b_h, np.zeros(3))
    assert_close(rnn.unroll(case.cell, params, xs), rnn.unroll(rnn.GRU(2, 3), full, xs), 1e-12)
    case = BY_NAME["indrnn"]
    params = case.params()
    full = rnn.ElmanParams(params.w_xh, np.diag(params.w_h), params.b_h)
    elman = rnn.Elman(2, 3, activation=jax.nn.relu)
    assert_close(rnn.unroll(case.cell, params, xs), rnn.unroll(elman, full, xs), 1e-12)


@pytest.mark.parametrize("name", ["diagonal-gru", "diagonal-lstm"])
def test_one_diagonal_unit_tracks_a_parity(name):
    """It turns its sign at every 1: what the coefficients of a linear cell in (0, 1) cannot do."""
    keep, turn = [30.0, -60.0], -30.0  # of the gate that keeps, by bias and by the input
    if name == "diagonal-gru":
        cell = rnn.DiagonalGRU(1, 1)
        params = rnn.DiagonalGRUParams(
            [[0.0, keep[1], 0.0]], [0.0, 0.0, turn], [30.0, keep[0], 0.0]
        )
    else:
        cell = rnn.DiagonalLSTM(1, 1)
        params = rnn.DiagonalLSTMParams(
            [[keep[1], 0.0, 0.0]], [0.0, turn, 0.0], [keep[0], 0.0, 30.0]
        )
    params = type(params)(*map(jnp.array, params))
    bits = np.random.default_rng(0).integers(0, 2, 200)
    start = jax.tree.map(jnp.ones_like, cell.initial_carry(params))
    _, hs = rnn.unroll(cell, params, jnp.asarray(bits[:, None], float), start)
    assert (np.sign(hs[:, 0]) == (-1.0) ** np.cumsum(bits)).all()
