"""Backpropagation through time against its own formula, term by term."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

import rnn_jax as rnn
from tests.cases import CASES, assert_close, normal, params_of

pytestmark = pytest.mark.usefixtures("no_rank_promotion")

STEPS, HIDDEN, INPUTS, OUTPUTS = 6, 4, 3, 2


@pytest.fixture
def network():
    """`h_t = tanh(x w_xh + h w_hh + b_h)`, `y_t = h w_hy + b_y`, `L = sum_t |y_t - target_t|^2`."""
    model = rnn.stack(rnn.Elman(INPUTS, HIDDEN), rnn.Dense(HIDDEN, OUTPUTS))
    params = params_of(model)
    xs = normal((STEPS, INPUTS))
    targets = normal((STEPS, OUTPUTS), seed=1)
    return model, params, xs, targets


def squares(ys, targets):
    return jnp.square(ys - targets).sum(-1)


def double_sum(params, xs, targets, horizon=STEPS):
    """`dL/dw_hh = sum_t sum_{k<=t} dL_t/dh_t (prod_{k<j<=t} dh_j/dh_{j-1}) dh_k/dw_hh`.

    Written out with row vectors: `dh_j/dh_{j-1}` is the matrix `w_hh diag(1 - h_j^2)`, and
    `dh_k/dw_hh` is immediate: `h_{k-1}` outer whatever reaches the preactivation of step k.
    """
    (w_xh, w_hh, b_h), (w_hy, b_y) = jax.tree.map(np.asarray, params)
    hs = [np.zeros(HIDDEN)]
    for x in np.asarray(xs):
        hs.append(np.tanh(x @ w_xh + hs[-1] @ w_hh + b_h))
    total = np.zeros_like(w_hh)
    for t in range(1, STEPS + 1):
        dL_dh = 2 * (hs[t] @ w_hy + b_y - np.asarray(targets)[t - 1]) @ w_hy.T
        for k in range(max(1, t - horizon + 1), t + 1):
            product = np.eye(HIDDEN)
            for j in range(k + 1, t + 1):
                product = product @ (w_hh * (1 - hs[j] ** 2))
            reaches = (product @ dL_dh) * (1 - hs[k] ** 2)
            total += np.outer(hs[k - 1], reaches)
    return total


@pytest.mark.parametrize("method", [rnn.Scan(), rnn.BPTT(), rnn.BPTT(chunk=4)], ids=str)
def test_the_double_sum_is_the_gradient(network, method):
    model, params, xs, targets = network

    def loss(params):
        _, ys = rnn.unroll(model, params, xs, method=method)
        return jnp.sum(jnp.square(ys - targets))

    elman, _ = jax.grad(loss)(params)
    assert_close(elman.w_hh, double_sum(params, xs, targets), 1e-12)


@pytest.mark.parametrize("horizon", [1, 3, STEPS])
def test_a_window_is_the_double_sum_cut_at_its_length(network, horizon):
    """Stride 1: each update holds one L_t, with the terms of the last `horizon` steps."""
    model, params, xs, targets = network
    # A learning rate of 1 and no momentum: the update is the gradient, and params are put back.
    trainer = rnn.truncated_bptt(
        model,
        squares,
        optax.sgd(1.0),
        window=horizon,
        stride=1,
    )
    state = trainer.init(params)
    total = jax.tree.map(jnp.zeros_like, params)
    for x, target in zip(
        rnn.windows(xs, horizon, 1), rnn.windows(targets, horizon, 1), strict=True
    ):
        after, _ = trainer.update(state, x, target)
        steps = horizon if state.position == 0 else 1  # the loss is a mean over counted steps
        grads = jax.tree.map(lambda new, old, n=steps: (old - new) * n, after.params, params)
        total = jax.tree.map(jnp.add, total, grads)
        state = after._replace(params=params)
    assert_close(total[0].w_hh, double_sum(params, xs, targets, horizon), 1e-10)


def test_a_hidden_derivative_is_its_product_of_jacobians(network):
    """`dh_T/dh_0` by JAX through BPTT against the product written out."""
    model, params, xs, _ = network
    cell, (w_xh, w_hh, b_h) = model.layers[0], params[0]

    def last(h):
        carry, _ = rnn.unroll(cell, params[0], xs, rnn.ElmanCarry(h), method=rnn.BPTT(chunk=4))
        return carry.h

    h = h0 = jnp.full(HIDDEN, 0.1, jnp.float64)
    product = jnp.eye(HIDDEN, dtype=jnp.float64)
    for x in xs:
        h = jnp.tanh(x @ w_xh + h @ w_hh + b_h)
        product = product @ (w_hh * (1 - h**2)[None])
    assert_close(jax.jacfwd(last)(h0).T, product, 1e-12)
    assert_close(jax.jacrev(last)(h0).T, product, 1e-12)


def test_a_carry_without_a_gradient_is_refused_by_name():
    @dataclasses.dataclass(frozen=True)
    class Counter(rnn.Cell):
        @property
        def input(self):
            return rnn.Input((1,), jnp.floating)

        def init(self, key, dtype=jnp.float32):
            return jnp.ones(1, dtype)

        def initial_carry(self, params, batch_shape=()):
            return {"count": jnp.zeros(batch_shape, jnp.int32)}

        def project(self, params, xs):
            return xs

        def step(self, params, carry, z):
            count = carry["count"] + 1
            return {"count": count}, z * params

    cell, xs = Counter(), jnp.ones((3, 1), jnp.float32)
    params = cell.init(jax.random.key(0))
    carry, _ = rnn.unroll(cell, params, xs, method=rnn.Scan())
    assert carry["count"] == 3
    with pytest.raises(rnn.DtypeError, match=r"BPTT.*Counter.*int32.*count.*Scan\(\)"):
        rnn.unroll(cell, params, xs)


def test_the_first_loss_of_an_overlapping_stream_counts_once(network):
    """The losses of all windows, weighted by their counted steps, are those of the whole stream."""
    model, params, xs, targets = network
    trainer = rnn.truncated_bptt(model, squares, optax.sgd(0.0), window=4, stride=2)
    state, total = trainer.init(params), 0.0
    for x, target in zip(rnn.windows(xs, 4, 2), rnn.windows(targets, 4, 2), strict=True):
        steps = 4 if state.position == 0 else 2
        state, metrics = trainer.update(state, x, target)
        total += metrics.loss * steps
    _, ys = rnn.unroll(model, params, xs)
    np.testing.assert_allclose(total, squares(ys, targets).sum(), rtol=1e-12)


def test_restart_forgets_the_stream_and_nothing_else(network):
    model, params, xs, targets = network
    trainer = rnn.truncated_bptt(model, squares, optax.sgd(0.01, momentum=0.9), window=3)
    fresh = trainer.init(params)
    used, first = trainer.update(fresh, xs[:3], targets[:3])
    again = trainer.restart(used)._replace(params=params)
    _, same = trainer.update(again, xs[:3], targets[:3])
    _, other = trainer.update(used._replace(params=params), xs[:3], targets[:3])
    assert same.loss == first.loss != other.loss
    assert_close(again.opt_state, used.opt_state, 0)


def test_a_window_takes_gaps_and_beginnings(network):
    """A mark in the middle of overlapping windows: the loss is that of the steps that happen."""
    model, params, xs, targets = network
    mask = jnp.array([True, True, False, True, True, True])
    reset = jnp.array([False, False, False, False, True, False])
    spoiled = jnp.where(mask[:, None], xs, jnp.nan)
    trainer = rnn.truncated_bptt(model, squares, optax.sgd(0.0), window=4, stride=2)
    update, state, total = jax.jit(trainer.update), trainer.init(params), 0.0
    parts = [rnn.windows(stream, 4, 2) for stream in (spoiled, targets, mask, reset)]
    for first, (x, target, m, r) in zip((True, False), zip(*parts, strict=True), strict=True):
        state, metrics = update(state, x, target, mask=m, reset=r)
        total += metrics.loss * int((m if first else m[2:]).sum())
    _, before = rnn.unroll(model, params, jnp.concatenate([xs[:2], xs[3:4]]))
    _, after = rnn.unroll(model, params, xs[4:])
    ys = jnp.concatenate([before, after])
    np.testing.assert_allclose(total, squares(ys, targets[mask]).sum(), rtol=1e-12)


def test_a_window_without_steps_teaches_nothing(network):
    model, params, xs, targets = network
    trainer = rnn.truncated_bptt(model, squares, optax.sgd(0.1), window=STEPS)
    mask = jnp.zeros(STEPS, bool)
    state, metrics = trainer.update(trainer.init(params), xs * jnp.nan, targets, mask=mask)
    assert metrics == (0, 0)
    assert_close(state.params, params, 0)


def test_a_window_draws_noise_from_the_key_and_its_number(network, key):
    """Overlapping windows too: the part before the stride and the rest are one run."""
    model, _, xs, targets = network
    noisy = rnn.stack(rnn.variational(model.layers[0], 0.3, 0.3), rnn.Dropout(HIDDEN, 0.5))
    params = params_of(noisy)
    trainer = rnn.truncated_bptt(
        noisy, lambda ys, _: ys.sum(-1), optax.sgd(0.1), window=6, stride=2
    )
    update, state, carry = jax.jit(trainer.update), trainer.init(params), None
    for n in range(2):
        noise = {"key": jax.random.fold_in(key, n)}
        state, metrics = update(state._replace(params=params), xs, targets, key=key)
        _, ys = rnn.unroll(noisy, params, xs, carry, **noise)
        new = ys if n == 0 else ys[-2:]
        np.testing.assert_allclose(metrics.loss, new.sum(-1).mean(), rtol=1e-12)
        carry, _ = rnn.unroll(noisy, params, xs[:2], carry, **noise)
    _, same = update(trainer.init(params), xs, targets, key=key, number=7)
    _, ys = rnn.unroll(noisy, params, xs, key=jax.random.fold_in(key, 7))
    np.testing.assert_allclose(same.loss, ys.sum(-1).mean(), rtol=1e-12)


@pytest.mark.parametrize(
    "name",
    ["elman", *(pytest.param(name, marks=pytest.mark.slow) for name in ("lstm", "peephole"))],
)
def test_carries_that_are_not_kept_are_computed_again(name):
    """Every way to keep fewer, with a rest at every level, under padding: the numbers of Scan."""
    case = next(case for case in CASES if case.name == name)
    params, xs = case.params(), case.xs(11, 2)
    lengths, kept = jnp.array([11, 9]), (3, "sqrt", "log")

    @jax.jit
    def outcomes(params):
        def loss(params, method):
            carry, ys = rnn.unroll(case.cell, params, xs, lengths=lengths, method=method)
            flat, _ = ravel_pytree((carry, ys))
            return jnp.sum(jnp.sin(flat))

        methods = [rnn.Scan(), *(rnn.Checkpointed(rnn.BPTT(chunk=1), every) for every in kept)]
        return [jax.value_and_grad(loss)(params, method) for method in methods]

    expected, *actual = outcomes(params)
    for outcome in actual:
        assert_close(outcome, expected)
