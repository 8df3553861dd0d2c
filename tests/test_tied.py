"""A table of vectors that is read at both ends of a language model."""

import re

import jax
import jax.numpy as jnp
import pytest

import rnn_jax as rnn
from tests.cases import params_of

TABLE = rnn.Embedding(7, 3)


def test_a_tied_table_is_there_once():
    model = rnn.tied(TABLE, rnn.Elman(3, 3))
    params = model.init(jax.random.key(0), jnp.float64)
    sizes = sorted(leaf.shape for leaf in jax.tree.leaves(params))
    assert sizes == [(3,), (3, 3), (3, 3), (7,), (7, 3)]
    assert not params.b.any()


def test_the_gradient_of_a_tied_table_is_the_sum_of_both_uses():
    body = rnn.Elman(3, 3)
    model = rnn.tied(TABLE, body)
    apart = rnn.stack(TABLE, body, rnn.Dense(3, 7))
    params = params_of(model)
    xs = jnp.array([1, 4, 4, 0])
    (table, inner), b = params

    def loss(layer, params):
        return jnp.sin(rnn.unroll(layer, params, xs)[1]).sum()

    together = jax.grad(lambda p: loss(model, p))(params)
    (read, inside, scored) = jax.grad(lambda p: loss(apart, p))(
        (table, inner, rnn.DenseParams(table.w.T, b))
    )
    assert jnp.allclose(together.layer[0].w, read.w + scored.w.T, rtol=1e-12)
    assert jnp.allclose(together.layer[1].w_hh, inside.w_hh, rtol=1e-12)
    assert jnp.allclose(together.b, scored.b, rtol=1e-12)


@pytest.mark.parametrize(
    ("embedding", "body", "message"),
    [
        (rnn.Dense(3, 3), rnn.Elman(3, 3), "tied: the embedding is Dense"),
        (TABLE, "lstm", "tied: the body is 'lstm'"),
        (TABLE, rnn.bidirectional(rnn.Elman(3, 1), rnn.Elman(3, 2)), "is not a rnn_jax.Cell"),
        (TABLE, rnn.Elman(4, 3), "reads (4,) of floating a step"),
        (TABLE, rnn.Elman(3, 5), "emits (5,) of float32 a step, but Embedding("),
    ],
)
def test_layers_that_cannot_be_tied_are_refused(embedding, body, message):
    with pytest.raises(rnn.ArgumentError, match=re.escape(message)):
        rnn.tied(embedding, body)
