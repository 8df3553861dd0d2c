"""Truncated BPTT as users run it: any optimiser, other batches, bad windows, donated states."""

import chex
import jax
import jax.numpy as jnp
import optax
import optax.contrib
import pytest

import rnn_jax as rnn
from tests.cases import assert_close, params_of

pytestmark = pytest.mark.usefixtures("no_rank_promotion")

WINDOW = 3
MODEL = rnn.learned_carry(rnn.Elman(2, 2))


def squares(ys, targets):
    return jnp.square(ys - targets).sum(-1)


def trained_by(optimizer, loss=squares):
    return rnn.truncated_bptt(MODEL, loss, optimizer, window=WINDOW)


@pytest.fixture
def params(key):
    return params_of(MODEL)


@pytest.fixture
def stream(rng):
    """Four windows of two sequences."""
    return jnp.asarray(rng.normal(size=(4 * WINDOW, 2, 2)))


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau(patience=1)),
        optax.polyak_sgd(),
        optax.lbfgs(memory_size=2, linesearch=optax.scale_by_backtracking_linesearch(3)),
        optax.chain(optax.clip_by_global_norm(0.1), optax.polyak_sgd()),
    ],
    ids=["plateau", "polyak", "lbfgs", "chain"],
)
def test_an_optimiser_gets_what_it_asks_for(optimizer, params, stream):
    """Value, gradient and the function of both, as its documents have it; donated, too."""
    trainer, carry, expected = trained_by(optimizer), None, jax.tree.map(jnp.copy, params)
    state = trainer.init(jax.tree.map(jnp.copy, params), (2,))
    opt_state = optimizer.init(expected)
    update = jax.jit(trainer.update, donate_argnums=0)

    @jax.jit
    def by_hand(params, opt_state, carry, xs):
        def loss(params):
            after, ys = rnn.unroll(MODEL, params, xs, carry)
            return squares(ys, -xs).mean(), after

        (value, after), grads = jax.value_and_grad(loss, has_aux=True)(params)
        updates, opt_state = optimizer.update(
            grads, opt_state, params, value=value, grad=grads, value_fn=lambda p: loss(p)[0]
        )
        return optax.apply_updates(params, updates), opt_state, after

    with jax.numpy_dtype_promotion("standard"):
        for xs in rnn.windows(stream[: 2 * WINDOW], WINDOW):
            state, _ = update(state, xs, -xs)
            expected, opt_state, carry = by_hand(expected, opt_state, carry, xs)
    assert_close(state.params, expected, 1e-10)


def test_an_optimiser_that_asks_for_nothing_costs_nothing(params, stream):
    calls = []

    def loss(ys, targets):
        calls.append(1)
        return squares(ys, targets)

    trainer = trained_by(optax.sgd(0.1, momentum=0.9), loss)
    jax.make_jaxpr(trainer.update)(trainer.init(params, (2,)), stream[:WINDOW], stream[:WINDOW])
    assert len(calls) == 1


def test_a_state_is_of_one_batch_until_it_restarts_with_another(params, stream):
    trainer = trained_by(optax.sgd(0.1, momentum=0.9))
    xs = stream[:WINDOW]
    for batch_shape in [(1,), (2, 1), ()]:
        state = trainer.init(params, batch_shape)
        with pytest.raises(rnn.ShapeError, match=r"state does not fit.*\(2,\).*restart") as raised:
            trainer.update(state, xs, xs)
        assert "restart(state, (2,))" in str(raised.value)
    used, _ = trainer.update(trainer.init(params, (2,)), xs, xs)
    again = jax.jit(trainer.restart, static_argnums=1)(used, (1,))
    assert_close(again._replace(carry=used.carry), used._replace(position=0), 0)
    one = xs[:, :1]
    _, metrics = trainer.update(again, one, one)
    _, fresh = trainer.update(trainer.init(used.params, (1,)), one, one)
    assert_close(metrics, fresh, 0)


def test_a_bad_window_costs_no_more_than_itself(params, stream):
    """Its sequence starts afresh, the other goes on; params and optimiser have not seen it."""
    trainer = trained_by(optax.apply_if_finite(optax.sgd(0.1), max_consecutive_errors=9))
    update = jax.jit(trainer.update)
    first, bad, *rest = rnn.windows(stream, WINDOW)
    before, _ = update(trainer.init(params, (2,)), first, first)
    state, metrics = update(before, bad.at[1, 1].set(jnp.nan), bad)
    assert jnp.isnan(metrics.loss)
    assert_close(state.params, before.params, 0)

    (h,), _ = rnn.unroll(MODEL, before.params, bad[:, :1], rnn.ElmanCarry(before.carry.h[:1]))
    start = MODEL.initial_carry(before.params, (1,))
    carry = rnn.ElmanCarry(jnp.concatenate([h, start.h]))
    after, metrics = update(state, rest[0], rest[0])
    expected, same = update(state._replace(carry=carry), rest[0], rest[0])
    assert_close(metrics.loss, same.loss, 1e-12)
    assert_close(after.carry, expected.carry, 1e-12)
    for xs in rest:
        state, metrics = update(state, xs, xs)
        chex.assert_tree_all_finite((metrics, state))
    assert not jnp.allclose(state.params.carry.h, before.params.carry.h), "a start is learned from"


MISTAKES = {
    "a function as the layer": (
        lambda trainer, params, xs: rnn.truncated_bptt(jnp.tanh, squares, optax.sgd(1.0)),
        rnn.StructureError,
        "the first argument must be a Layer, got the function tanh",
    ),
    "no loss": (
        lambda trainer, params, xs: rnn.truncated_bptt(MODEL, None, optax.sgd(1.0)),
        rnn.ArgumentError,
        "loss must be a function, got None",
    ),
    "an optimiser that is a function": (
        lambda trainer, params, xs: rnn.truncated_bptt(MODEL, squares, optax.sgd),
        rnn.ArgumentError,
        r"optimizer must be a transformation of optax.*got the function sgd",
    ),
    "params of another layer": (
        lambda trainer, params, xs: trainer.init(params.layer),
        rnn.StructureError,
        "expected params of the form LearnedCarryParams",
    ),
    "a number as batch axes": (
        lambda trainer, params, xs: trainer.init(params, 2),
        rnn.ArgumentError,
        r"batch_shape must be a tuple of batch axes, such as \(2,\); got 2",
    ),
    "params as the state": (
        lambda trainer, params, xs: trainer.update(params, xs, xs),
        rnn.StructureError,
        "state must be a TrainState.*got LearnedCarryParams",
    ),
    "a list as the window": (
        lambda trainer, params, xs: trainer.update(trainer.init(params, (2,)), [1.0], xs),
        rnn.StructureError,
        r"xs must be an array, got \[1\.0\]",
    ),
    "a seed as the key": (
        lambda trainer, params, xs: trainer.update(trainer.init(params, (2,)), xs, xs, key=0),
        rnn.StructureError,
        "key must be one key",
    ),
    "a batch of nobody": (
        lambda trainer, params, xs: trainer.update(trainer.init(params, (0,)), xs[:, :0], xs),
        rnn.ShapeError,
        r"batch of shape \(0,\), without any sequence.*leave out such an update",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(mistake, params, stream):
    make, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=f"(?s){message}"):
        make(trained_by(optax.sgd(0.1)), params, stream[:WINDOW])
