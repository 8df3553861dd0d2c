"""The vectors of every layer: laws of a stack, and of a run from either end."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from tests.cases import assert_close, params_of

MODEL = rnn.stack(
    rnn.Embedding(5, 3), rnn.Dropout(3, 0.5), rnn.GRU(3, 3), rnn.LSTM(3, 3), rnn.Dense(3, 5)
)
CALM = MODEL.deterministic()
PARAMS = params_of(MODEL)
TOKENS = jnp.array([[3, 1], [4, 1], [1, 2], [0, 4], [2, 2], [3, 0]])
LENGTHS = jnp.array([6, 4])


@jax.jit
def outcomes(tokens, key):
    options = {"lengths": LENGTHS, "key": key}
    return (
        rnn.unroll(MODEL, PARAMS, tokens, **options),
        rnn.words.layer_outputs(MODEL, PARAMS, tokens, **options),
    )


def test_the_last_layer_is_what_the_stack_emits(key):
    """With its noise, its padding and its carry."""
    (carry, ys), (after, layers) = outcomes(TOKENS, key)
    assert len(layers) == len(MODEL.layers)
    assert_close((after, layers[-1]), (carry, ys), 1e-12)
    assert all((np.asarray(layer)[4:, 1] == 0).all() for layer in layers)


@pytest.fixture(scope="module")
def vectors():
    def found(tokens, reverse, carry=None):
        return rnn.words.contextual_vectors(CALM, PARAMS, tokens, carry, reverse=reverse)

    return jax.jit(found, static_argnums=1)


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "backward"])
def test_a_vector_depends_on_what_was_read_so_far(vectors, reverse):
    (_, before), (_, after) = (vectors(t, reverse) for t in (TOKENS, TOKENS.at[2, 0].set(4)))
    assert len(before) == 3  # the embedding and two cells; neither dropout nor output
    for layer, (old, new) in enumerate(zip(before, after, strict=True)):
        changed = np.asarray((old != new).any(-1))
        assert not changed[:, 1].any()
        read = [2] if layer == 0 else [0, 1, 2] if reverse else [2, 3, 4, 5]
        assert np.flatnonzero(changed[:, 0]).tolist() == read


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "backward"])
def test_pieces_are_the_whole(vectors, reverse):
    carry, whole = vectors(TOKENS, reverse)
    order = [slice(3, 6), slice(0, 3)] if reverse else [slice(0, 3), slice(3, 6)]
    first, early = vectors(TOKENS[order[0]], reverse, CALM.initial_carry(PARAMS, (2,)))
    last, late = vectors(TOKENS[order[1]], reverse, first)
    assert_close(last, carry, 1e-12)
    for all_of_it, *parts in zip(whole, early, late, strict=True):
        pieces = jnp.concatenate(parts[::-1] if reverse else parts)
        assert_close(pieces, all_of_it, 1e-12)
