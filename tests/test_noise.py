"""Dropout, variational dropout and zoneout: what is drawn, when, and what it does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import rnn_jax as rnn
from rnn_jax.noise import Noisy
from rnn_jax.recurrence.steps import Steps, select
from tests import reference
from tests.cases import Case, assert_close, params_of, plain

pytestmark = pytest.mark.usefixtures("no_rank_promotion")

RATES = rnn.LSTMCarry(h=0.3, c=0.6)
MODELS = [
    Case("dropout", lambda: rnn.Dropout(2, 0.4), None),
    Case("variational-dropout", lambda: rnn.VariationalDropout(2, 0.4), None),
    Case("variational-lstm", lambda: rnn.variational(rnn.LSTM(2, 3), 0.3, 0.4), None),
    Case("variational-gru", lambda: rnn.variational(rnn.GRU(2, 3), 0.0, 0.4), None),
    Case("zoneout-lstm", lambda: rnn.zoneout(rnn.LSTM(2, 3), RATES), None),
    Case("zoneout-elman", lambda: rnn.zoneout(rnn.Elman(2, 3), 0.5), None),
    Case(
        "time-scales",
        lambda: rnn.variational(
            rnn.time_scales(rnn.zoneout(rnn.Elman(2, 3), 0.5), 0.5, 9.0), 0.3, 0.4
        ),
        None,
    ),
    Case(
        "at-each",
        lambda: rnn.at_each(rnn.stack(rnn.GRU(2, 3), rnn.Dropout(3, 0.4)), 2),
        None,
    ),
    Case(
        "all",
        lambda: rnn.stack(
            rnn.Dropout(2, 0.4),
            rnn.variational(rnn.zoneout(rnn.GRU(2, 3), 0.3), 0.3, 0.4),
            rnn.residual(rnn.zoneout(rnn.LSTM(3, 3), RATES)),
            rnn.VariationalDropout(3, 0.4),
        ),
        None,
    ),
]
every_model = pytest.mark.parametrize(
    "case",
    [
        # All at once is a large program, and each part of it is another row; what keeps the units
        # of an Elman network is a part of the time scales.
        pytest.param(
            case,
            id=case.name,
            marks=pytest.mark.slow if case.name in ("all", "zoneout-elman") else [],
        )
        for case in MODELS
    ],
)
KEY = jax.random.key(7)
RESET = jnp.zeros((5, 2), bool).at[3, 1].set(True)


@every_model
def test_every_method_and_step_draw_the_same_noise(case):
    params, xs = case.params(), case.xs(5, 2)
    start = case.carry(params, (2,))

    @jax.jit
    def outcomes(params, xs, key):
        def loss(params, xs, method):
            out = rnn.unroll(case.cell, params, xs, start, reset=RESET, key=key, method=method)
            flat, _ = ravel_pytree(out)
            return jnp.sum(jnp.sin(flat + jnp.arange(flat.size, dtype=flat.dtype))), out

        gradient = jax.value_and_grad(loss, (0, 1), has_aux=True)
        stepped, carry = [], start
        for t, x in enumerate(xs):
            carry, y = rnn.step(case.cell, params, x, carry, reset=RESET[t], key=key, t=t)
            stepped.append(y)
        runs = [gradient(params, xs, method) for method in (rnn.Scan(), rnn.BPTT(chunk=2))]
        return runs, (carry, jnp.stack(stepped))

    (scan, bptt), stepped = outcomes(params, xs, KEY)
    assert_close(bptt, scan)
    assert_close(stepped, scan[0][1], 1e-12)
    other, _ = outcomes(params, xs, jax.random.key(8))
    assert not np.allclose(other[0][0][0], scan[0][0]), "the key decides"


@every_model
def test_padding_changes_no_noise(case):
    params, xs = case.params(), case.xs(5, 2)
    lengths = jnp.array([5, 3])
    valid = jnp.arange(5)[:, None] < lengths[None]

    @jax.jit
    def both(xs):
        padded = select(valid, xs, jnp.full_like(xs, jnp.nan))
        _, ys = rnn.unroll(case.cell, params, padded, lengths=lengths, key=KEY)
        return ys, rnn.unroll(case.cell, params, xs, key=KEY)[1]

    ys, whole = both(xs)
    assert_close(ys, select(valid, whole, jnp.zeros_like(whole)), 1e-12)


@every_model
def test_the_deterministic_layer_takes_the_same_params(case):
    calm, params, xs = case.cell.deterministic(), case.params(), case.xs(4)
    assert calm == calm.deterministic()
    assert jax.tree.structure(calm.init(KEY)) == jax.tree.structure(params)
    carry, ys = rnn.unroll(calm, params, xs)
    _, same = rnn.unroll(calm, params, xs, key=KEY)
    assert (ys == same).all(), "a key changes nothing where there is no noise"
    rnn.step(calm, params, xs[0], carry)


def test_dropout_keeps_the_mean_and_drops_at_its_rate():
    xs = jnp.ones((200, 10, 20))
    _, ys = rnn.unroll(rnn.Dropout(20, 0.3), (), xs, key=KEY)
    assert set(np.unique(ys).round(12)) == {0.0, round(1 / 0.7, 12)}
    # Five standard deviations of the share of 40000 Bernoulli variables.
    np.testing.assert_allclose((ys == 0).mean(), 0.3, atol=5 * np.sqrt(0.3 * 0.7 / ys.size))
    assert len(np.unique(ys.reshape(200, -1), axis=0)) == 200, "each step draws anew"


def test_a_gradient_of_nothing_dropped_passes_and_of_the_dropped_does_not():
    xs = jnp.ones((20, 3))

    def run(xs):
        return rnn.unroll(rnn.Dropout(3, 0.5), (), xs, key=KEY)[1]

    assert_close(jax.grad(lambda xs: run(xs).sum())(xs), run(xs), 0)


def test_variational_dropout_is_one_mask_a_sequence():
    xs = jnp.ones((6, 50, 8))
    _, ys = rnn.unroll(rnn.VariationalDropout(8, 0.5), (), xs, key=KEY)
    assert (ys == ys[:1]).all()
    assert len(np.unique(ys[0], axis=0)) > 40, "each sequence has its own"


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_a_variational_cell_is_the_loop_with_masks(name):
    """Gal & Ghahramani: masks on what the weights read; the state that is kept stays whole."""
    inner = {"lstm": rnn.LSTM(2, 3), "gru": rnn.GRU(2, 3)}[name]
    step = {"lstm": reference.lstm, "gru": reference.gru}[name]
    case = Case(name, lambda: rnn.variational(inner, 0.3, 0.4), None)
    params, xs = case.params(), case.xs(5, 4)
    start = case.carry(params, (4,))
    (_, masks), dropped = case.cell.draw(params, xs, Steps(key=KEY))
    seen = np.asarray(dropped) * 0.7 / np.asarray(xs)
    assert_close(seen, np.round(seen), 1e-12)
    assert_close(seen, np.broadcast_to(seen[0], seen.shape), 1e-12)
    assert 0 < seen.mean() < 1
    mask = np.asarray(masks.h) / 0.6

    def masked(p, carry, x):
        """The weights read h * mask; what `update` interpolates or keeps is h."""
        if name == "lstm":
            return step(p, carry | {"h": carry["h"] * mask}, x)
        h, n = carry["h"], 3
        z = x @ p["w_xh"][:, n : 2 * n] + (h * mask) @ p["w_hh"][:, n : 2 * n]
        z = reference.sigmoid(z + p["b_h"][n : 2 * n])
        after, _ = step(p, {"h": h * mask}, x)
        h = after["h"] + z * (h - h * mask)
        return {"h": h}, h

    expected = reference.loop(masked)(plain(params), plain(start), np.asarray(dropped))
    carry, ys = rnn.unroll(case.cell, params, xs, start, key=KEY)
    assert_close((carry, list(ys)), expected, 1e-12)


def test_zoneout_is_the_loop_with_masks():
    case = next(c for c in MODELS if c.name == "zoneout-lstm")
    params, xs = case.params(), case.xs(5, 4)
    start = case.carry(params, (4,))
    _, (_, updated) = case.cell.draw(params, xs, Steps(key=KEY))
    marks = iter(zip(np.asarray(updated.h), np.asarray(updated.c), strict=True))

    def zoned(p, carry, x):
        new, _ = reference.lstm(p, carry, x)
        h, c = next(marks)
        carry = {
            "h": np.where(h, new["h"], carry["h"]),
            "c": np.where(c, new["c"], carry["c"]),
        }
        return carry, carry["h"]

    expected = reference.loop(zoned)(plain(params), plain(start), np.asarray(xs))
    carry, ys = rnn.unroll(case.cell, params, xs, start, key=KEY)
    assert_close((carry, list(ys)), expected, 1e-12)


def test_zoneout_keeps_at_its_rate():
    cell = rnn.zoneout(rnn.LSTM(2, 20), RATES)
    params, xs = params_of(cell), jnp.ones((100, 20, 2))
    _, (_, updated) = cell.draw(params, xs, Steps(key=KEY))
    for name, rate in RATES._asdict().items():
        kept = 1 - np.asarray(getattr(updated, name))
        sigma = np.sqrt(rate * (1 - rate) / kept.size)
        np.testing.assert_allclose(kept.mean(), rate, atol=5 * sigma)
    assert not (updated.h == updated.c).all(), "each part of the carry draws its own"


def test_noise_travels_beside_the_input():
    cell = rnn.zoneout(rnn.Elman(2, 3), 0.5)
    params, xs = cell.init(KEY), jnp.ones((4, 2), jnp.float32)
    same, noisy = cell.draw(params, xs, Steps(key=KEY))
    assert same is params
    assert isinstance(noisy, Noisy)
    assert noisy.noise.h.shape == (4, 3)
