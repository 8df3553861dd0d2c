"""Dynamic evaluation, against the same by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rnn_jax as rnn
from tests.cases import assert_close, params_of

MODEL = rnn.stack(rnn.Elman(2, 3), rnn.Dense(3, 2))


def squares(ys, targets):
    return targets["weight"] * jnp.square(ys - targets["next"]).sum(-1)


@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("clip", [np.inf, 0.2])
def test_it_predicts_before_it_learns(rng, key, batch, clip):
    params = params_of(MODEL)
    kept = jax.tree.map(np.asarray, params)
    stream, weights = rng.normal(size=(12, *batch, 2)), rng.random((11, *batch))
    xs, targets = stream[:-1], {"next": stream[1:], "weight": weights}
    rule = optax.chain(optax.clip_by_global_norm(clip), optax.sgd(0.5))
    found = rnn.training.dynamic_evaluation(
        MODEL, params, jnp.asarray(xs), targets, squares, rule, window=4
    )
    assert_close(params, kept, 0)

    @jax.jit
    @jax.value_and_grad
    def loss(params, carry, xs, targets):
        return squares(rnn.unroll(MODEL, params, xs, carry)[1], targets).mean()

    carry, total = MODEL.initial_carry(params, batch), 0.0
    for at in (0, 4, 8):  # the last has three steps
        piece, wanted = jax.tree.map(lambda leaf, at=at: leaf[at : at + 4], (xs, targets))
        value, gradient = loss(params, carry, piece, wanted)
        carry, _ = rnn.unroll(MODEL, params, piece, carry)
        norm = sum(float((leaf**2).sum()) for leaf in jax.tree.leaves(gradient)) ** 0.5
        assert norm > 0.2  # or there would be nothing to clip
        step = 0.5 * min(1, clip / norm)
        params = jax.tree.map(lambda p, g, step=step: p - step * g, params, gradient)
        total += float(value) * len(piece)
    assert found.loss == pytest.approx(total / 11, rel=1e-10)
    assert_close(found.params, params, 1e-10)
