"""Encoder and decoder: the loss of padded pairs, what the bridge hands over, training."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from rnn_jax.attention import (
    Additive,
    Attention,
    AttentionReadout,
    Dot,
    LocationSensitive,
    attentive,
)
from rnn_jax.seq2seq import CopyBridge, DenseBridge, EncoderDecoder, NoBridge, encode, loss
from tests.cases import assert_close, params_of

pytestmark = pytest.mark.usefixtures("no_rank_promotion")

S, T, B, V = 5, 4, 3, 6
LENGTHS = {"source_lengths": jnp.array([5, 2, 3]), "target_lengths": jnp.array([2, 4, 3])}
BOTH_WAYS = rnn.stack(rnn.Embedding(7, 2), rnn.bidirectional(rnn.GRU(2, 2), rnn.LSTM(2, 1)))
LOCATED = EncoderDecoder(
    BOTH_WAYS,
    DenseBridge(),
    rnn.stack(
        rnn.Embedding(V, 2),
        attentive(rnn.LSTM(2 + 3, 4), Attention(4, 3, LocationSensitive(2, 1, 3))),
        rnn.Dense(4 + 3, V),
    ),
    start=1,
)
# The logits are made by something else than a Dense, and what was emitted is fed back.
FED = EncoderDecoder(
    rnn.stack(rnn.Embedding(7, 2), rnn.LSTM(2, 3)),
    CopyBridge(),
    rnn.stack(
        rnn.Embedding(V, 2),
        rnn.fed_back(rnn.stack(rnn.LSTM(2 + V, 3), AttentionReadout(Attention(3, 3, Dot()), V))),
    ),
    start=0,
)
PLAIN = EncoderDecoder(
    rnn.stack(rnn.Embedding(7, 2), rnn.GRU(2, 3)),
    CopyBridge(),
    rnn.stack(rnn.Embedding(V, 2), rnn.GRU(2, 3), rnn.Dense(3, V)),
    start=0,
)


def setting(model):
    rng = np.random.default_rng(1)
    tokens = rng.integers(7, size=(S, B)), rng.integers(V, size=(T, B))
    return params_of(model), *map(jnp.asarray, tokens)


def spoiled(tokens, lengths):
    """Tokens that do not exist in every padded place."""
    real = np.arange(len(tokens))[:, None] < np.asarray(lengths)
    return jnp.asarray(np.where(real, tokens, -(10**6)))


def by_hand(model, params, source, target):
    """The losses of one pair without padding, from the parts."""
    carry, memory = rnn.unroll(model.encoder, params.encoder, source)
    decoder = params.decoder
    if model is not PLAIN:
        decoder = rnn.attention.with_memory(model.decoder, decoder, memory)
    first = model.decoder.initial_carry(decoder)
    given = jax.tree.leaves(carry)
    if model is LOCATED:
        flat = jnp.concatenate(given)
        h, c = (jnp.tanh(flat @ dense.w + dense.b) for dense in params.bridge)
        first = (first[0], first[1]._replace(layer=rnn.LSTMCarry(h, c)), first[2])
    else:
        leaves, structure = jax.tree.flatten(first)
        first = structure.unflatten([*given, *leaves[len(given) :]])
    read = jnp.concatenate([jnp.array([model.start]), target[:-1]])
    _, logits = rnn.unroll(model.decoder, decoder, read, first)
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), target[:, None], -1)[:, 0]


@pytest.mark.slow
@pytest.mark.parametrize("model", [LOCATED, FED, PLAIN], ids=["located", "fed back", "plain"])
def test_the_loss_of_padded_pairs_is_that_of_each_pair_alone(model):
    params, source, target = setting(model)
    source_lengths, target_lengths = LENGTHS.values()

    @jax.jit
    def padded(params):
        return loss(
            model,
            params,
            spoiled(source, source_lengths),
            spoiled(target, target_lengths),
            **LENGTHS,
        )

    def alone(params):
        each = zip(source_lengths.tolist(), target_lengths.tolist(), strict=True)
        pairs = [
            by_hand(model, params, source[:s, b], target[:t, b]) for b, (s, t) in enumerate(each)
        ]
        return jnp.mean(jnp.concatenate(pairs))

    value, grads = jax.value_and_grad(padded)(params)
    assert_close((value, grads), jax.jit(jax.value_and_grad(alone))(params))
    assert all(leaf.any() for leaf in jax.tree.leaves(grads)), "something is not trained"


def test_what_encode_returns_steps_as_the_loss_of_padded_pairs_says():
    params, source, target = setting(PLAIN)
    source_lengths, target_lengths = LENGTHS.values()
    source, padded = spoiled(source, source_lengths), spoiled(target, target_lengths)

    @jax.jit
    def both(params):
        cell, decoding, carry = encode(PLAIN, params, source, lengths=source_lengths)
        token, costs = jnp.full(B, PLAIN.start), []
        for right in target:
            carry, logits = rnn.step(cell, decoding, token, carry)
            log_p = jax.nn.log_softmax(logits)
            costs.append(-jnp.take_along_axis(log_p, right[:, None], -1)[:, 0])
            token = right
        return costs, loss(PLAIN, params, source, padded, **LENGTHS)

    costs, found = both(params)
    real = np.arange(T)[:, None] < np.asarray(target_lengths)
    assert_close(found, np.mean(np.stack(costs)[real]), 1e-12)


@pytest.mark.slow
def test_without_real_tokens_the_loss_is_0_and_a_length_that_is_none_is_nan():
    params, source, target = setting(PLAIN)
    measure = jax.jit(
        jax.value_and_grad(
            lambda params, lengths: loss(PLAIN, params, source, target, target_lengths=lengths)
        )
    )
    value, grads = measure(params, jnp.zeros(B, int))
    assert value == 0
    assert not any(leaf.any() for leaf in jax.tree.leaves(grads))
    value, _ = measure(params, jnp.array([1, 2, T + 1]))
    assert jnp.isnan(value)
    value, _ = jax.value_and_grad(functools.partial(loss, PLAIN))(params, source, target[:0])
    assert value == 0


def test_scheduled_sampling_goes_from_the_target_to_what_the_decoder_says():
    params, source, target = setting(PLAIN)
    # It says 5 whatever it reads, so that what it draws is known.
    dense = params.decoder[2]
    sure = dense._replace(b=jnp.zeros(V, dense.b.dtype).at[5].set(1e3))
    params = params._replace(decoder=(*params.decoder[:2], sure))

    @jax.jit
    def measure(target, sampling):
        return loss(PLAIN, params, source, target, sampling=sampling, key=jax.random.key(3))

    def mean(target, read):
        cell, decoding, carry = encode(PLAIN, params, source)
        _, logits = rnn.unroll(cell, decoding, read, carry)
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), target[..., None], -1).mean()

    start = jnp.zeros_like(target[:1])
    forced = jnp.concatenate([start, target[:-1]])
    own = jnp.concatenate([start, jnp.full_like(target[:-1], 5)])
    assert_close(measure(target, 0.0), mean(target, forced), 1e-12)
    assert_close(measure(target, 1.0), mean(target, own), 1e-12)
    values = {round(float(x), 9) for x in (mean(target, forced), mean(target, own))}
    assert round(float(measure(target, 0.5)), 9) not in values


@pytest.mark.slow
def test_a_model_with_noise_and_its_deterministic_one():
    model = EncoderDecoder(
        rnn.stack(rnn.Embedding(7, 2), rnn.Dropout(2, 0.5), rnn.GRU(2, 3)),
        NoBridge(),
        rnn.stack(
            rnn.Embedding(V, 2),
            attentive(rnn.zoneout(rnn.GRU(2 + 3, 3), 0.5), Attention(3, 3, Additive(2))),
            rnn.Dropout(6, 0.5),
            rnn.Dense(6, V),
        ),
        start=0,
    )
    params, source, target = setting(model)
    values = [
        float(loss(model, params, source, target, key=jax.random.key(seed))) for seed in (0, 0, 1)
    ]
    assert values[0] == values[1] != values[2]
    calm = model.deterministic()
    assert calm.deterministic() == calm
    assert np.isfinite(loss(calm, params, source, target))
    with pytest.raises(rnn.ArgumentError, match="is random and needs a key"):
        loss(model, params, source, target)


@pytest.mark.parametrize("model", [FED], ids=["fed back"])
def test_a_beam_finds_the_likeliest_of_all_that_the_decoder_can_say(model):
    params, source, _ = setting(model)
    end, longest = V - 1, 3
    cell, decoding, carry = encode(model, params, source, lengths=LENGTHS["source_lengths"])
    first = jnp.full((1, B), model.start)
    found = rnn.decoding.beam(
        cell, decoding, first, longest, width=V * (V - 1) ** 2, end=end, n_best=2, carry=carry
    )

    # Every sequence of three tokens, side by side on an axis before that of the memory.
    every = jnp.stack(jnp.meshgrid(*[jnp.arange(V)] * longest, indexing="ij")).reshape(longest, -1)
    said = jnp.broadcast_to(every[..., None], (*every.shape, B))
    read = jnp.concatenate([jnp.full_like(said[:1], model.start), said[:-1]])
    starts = jax.tree.map(lambda c: jnp.broadcast_to(c, (every.shape[1], *c.shape)), carry)
    _, logits = rnn.unroll(cell, decoding, read, starts)
    each = jnp.take_along_axis(jax.nn.log_softmax(logits), said[..., None], -1)[..., 0]
    ended = np.cumsum(np.asarray(said) == end, 0)
    once = (ended == 0) | ((ended == 1) & (np.asarray(said) == end))
    scores = np.where(once, each, 0).sum(0)
    scores = np.where(ended[-1] > 0, scores, -np.inf)
    for b in range(B):
        # Sequences that differ after their end alone have the same score.
        best = np.unique(scores[:, b].round(12))[::-1][:2]
        np.testing.assert_allclose(found.scores[:, b], best, atol=1e-10)
