"""Attention: the memory beside the params, its padding, its gradient, and where it may stand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import rnn_jax as rnn
from rnn_jax.attention import (
    Additive,
    Attention,
    AttentionReadout,
    Dot,
    General,
    LocationSensitive,
    attentive,
    with_memory,
)
from tests import hlo, reference, reference_attention
from tests.cases import assert_close, params_of, plain
from tests.unsplit import PeepholeLSTM

pytestmark = pytest.mark.usefixtures("no_rank_promotion")

S, M, T, B = 5, 3, 4, 2
LENGTHS = jnp.array([3, 5])
LOCATED = attentive(rnn.Elman(2 + M, 3), Attention(3, M, LocationSensitive(2, 2, 3)))
BAHDANAU = attentive(rnn.GRU(2 + M, 3), Attention(3, M, Additive(2)))
LUONG = rnn.stack(rnn.LSTM(2, 3), AttentionReadout(Attention(3, M, General()), 2))
FED = rnn.fed_back(rnn.stack(rnn.LSTM(2 + 2, 3), AttentionReadout(Attention(3, M, Dot()), 2)))


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def setting(cell):
    """Params, a memory with NaN where there is no place, and inputs."""
    params = params_of(cell)
    valid = np.arange(S)[:, None, None] < np.asarray(LENGTHS)[:, None]
    memory = np.where(valid, np.asarray(normal(1, S, B, M)), np.nan)
    return params, jnp.asarray(memory), normal(2, T, B, 2)


def weighed(tree):
    flat, _ = ravel_pytree(tree)
    return jnp.sum(jnp.sin(flat + jnp.arange(flat.size, dtype=flat.dtype)))


@functools.partial(jax.jit, static_argnums=0)
def outcome(cell, params, memory, xs, lengths):
    """What each step emits, and the gradient by params and memory."""

    def loss(params, memory):
        beside = with_memory(cell, params, memory, lengths=lengths)
        ys = rnn.unroll(cell, beside, xs)[1]
        return jnp.sum(jnp.sin(ys)), ys

    (_, ys), grads = jax.value_and_grad(loss, (0, 1), has_aux=True)(params, memory)
    return ys, *grads


@pytest.mark.parametrize(
    "cell",
    [
        pytest.param(LOCATED, marks=pytest.mark.slow),
        pytest.param(BAHDANAU, marks=pytest.mark.slow),
        LUONG,
    ],
    ids=["location", "additive", "general"],
)
def test_a_padded_memory_is_the_shorter_one_in_value_and_gradient(cell):
    params, memory, xs = setting(cell)
    length = 3
    spoiled = memory.at[length:].set(jnp.nan)
    ys, of_params, of_memory = outcome(cell, params, spoiled, xs, jnp.full(B, length))
    assert_close(
        (ys, of_params, of_memory[:length]), outcome(cell, params, memory[:length], xs, None)
    )
    assert not of_memory[length:].any()
    assert all(leaf.any() for leaf in jax.tree.leaves(of_params)), "something is not trained"


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (Dot(), reference_attention.dot),
        (General(), reference_attention.dot),
        (Additive(4), reference_attention.additive),
        (LocationSensitive(4, 2, 3), reference_attention.location),
    ],
    ids=lambda score: getattr(score, "__name__", type(score).__name__),
)
def test_what_a_query_finds_is_that_of_the_equations(score, expected):
    layer = Attention(M, M, score)
    _, memory, _ = setting(layer)
    params = params_of(layer)
    query, previous = normal(4, T, M), jax.nn.softmax(normal(5, T, S))
    beside = with_memory(layer, params, memory[:, 0], lengths=3)
    found = layer.read(beside, query, previous)
    assert_close(
        found,
        reference_attention.attend(
            expected, plain(beside), np.asarray(query), np.asarray(previous)
        ),
        1e-12,
    )


def test_a_memory_of_length_0_gives_zeros_and_finite_gradients():
    layer = Attention(2, M, Additive(2))
    params, memory, xs = setting(layer)
    ys, of_params, of_memory = outcome(layer, params, memory, xs, jnp.array([0, 3]))
    assert not ys[:, 0].any()
    assert ys[:, 1].all()
    assert not of_memory[:, 0].any()
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((of_params, of_memory)))


def test_where_a_length_is_none_under_jit_what_is_read_is_nan():
    layer = Attention(2, M, General())
    params, memory, xs = setting(layer)
    ys, _, _ = outcome(layer, params, jnp.nan_to_num(memory), xs, jnp.array([3, 6]))
    assert jnp.isfinite(ys[:, 0]).all()
    assert jnp.isnan(ys[:, 1]).all()


def test_keys_are_made_of_the_memory_once_and_a_mask_is_lengths_with_gaps():
    params, memory, _ = setting(BAHDANAU)
    by_lengths = with_memory(BAHDANAU, params, memory, lengths=LENGTHS)
    mask = jnp.arange(S)[:, None] < LENGTHS[None]
    found = with_memory(BAHDANAU, by_lengths, memory, mask=mask)  # in place of the first
    assert_close(found, by_lengths, 0)
    own = found.attention.memory
    clean = np.where(mask[..., None], memory, 0)
    assert_close(
        own,
        {"values": clean, "keys": clean @ params.attention.w_key, "valid": np.asarray(mask, float)},
    )
    assert params.attention.memory is None
    assert len(jax.tree.leaves(params)) == len(jax.tree.leaves(by_lengths)) - 3


@pytest.mark.parametrize("cell", [LOCATED, LUONG], ids=["in the loop", "behind it"])
def test_beams_are_a_leading_batch_axis_that_shares_the_memory(cell):
    params, memory, _ = setting(cell)
    beside = with_memory(cell, params, memory, lengths=LENGTHS)
    xs = normal(3, T, 3, B, 2)
    carry, ys = rnn.unroll(cell, beside, xs)
    for k in range(3):
        one = rnn.unroll(cell, beside, xs[:, k])
        assert_close((jax.tree.map(lambda c, k=k: c[k], carry), ys[:, k]), one, 1e-12)


def shapes(jaxpr):
    """Of all that a program makes, however deep inside."""
    for equation in jaxpr.eqns:
        yield from (variable.aval.shape for variable in equation.outvars)
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            yield from shapes(inner)


@pytest.mark.parametrize(
    "score",
    [General(), pytest.param(LocationSensitive(2, 2, 3), marks=pytest.mark.slow)],
    ids=lambda score: type(score).__name__,
)
def test_the_memory_is_not_stored_for_each_step(score):
    steps, places, width, batch = 11, 7, 5, 3
    cell = attentive(rnn.GRU(2 + width, 4), Attention(4, width, score))
    params = params_of(cell)
    memory, xs = jnp.ones((places, batch, width)), jnp.ones((steps, batch, 2))

    def loss(params, memory):
        return rnn.unroll(cell, with_memory(cell, params, memory), xs)[1].sum()

    program = jax.make_jaxpr(jax.grad(loss, (0, 1)))(params, memory)
    made = {tuple(sorted(shape)) for shape in shapes(program.jaxpr)}
    assert tuple(sorted((places, batch, width))) in made
    assert tuple(sorted((steps, places, batch, width))) not in made


def test_behind_the_loop_all_steps_attend_in_two_matmuls():
    cell = Attention(4, 5, General())
    params = params_of(cell)
    params = with_memory(cell, params, jnp.ones((7, 5)))
    program = jax.jit(lambda xs: rnn.unroll(cell, params, xs)[1]).lower(jnp.ones((11, 4))).compile()
    assert len(hlo.matmuls(program)) == 2


NOISY = {
    "zoneout": attentive(rnn.zoneout(rnn.LSTM(2 + M, 3), 0.5), Attention(3, M, General())),
    "variational": rnn.fed_back(rnn.variational(rnn.GRU(2 + 3, 3), inputs=0.0, state=0.5)),
    "a stack": rnn.fed_back(
        rnn.stack(
            rnn.Dropout(2 + 3, 0.5),
            rnn.zoneout(rnn.GRU(2 + 3, 3), 0.3),
            rnn.Dropout(3, 0.5),
            rnn.Elman(3, 3),
        )
    ),
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n == "a stack" else pytest.mark.slow) for n in NOISY]
)
def test_noise_within_the_loop_is_drawn_by_step(name):
    cell = rnn.stack(NOISY[name], rnn.Dense(3 + M if name == "zoneout" else 3, 2))
    params = params_of(cell)
    if name == "zoneout":
        params = with_memory(cell, params, normal(1, S, B, M), lengths=LENGTHS)
    xs, key = normal(2, T, B, 2), jax.random.key(7)
    reset = jnp.zeros((T, B), bool).at[2, 0].set(True)
    last, ys = rnn.unroll(cell, params, xs, key=key, lengths=jnp.array([4, 2]), reset=reset)
    carry = None
    for t, x in enumerate(xs):
        happens = jnp.array([True, t < 2])
        carry, y = rnn.step(cell, params, x, carry, mask=happens, reset=reset[t], key=key, t=t)
        assert_close(y, ys[t], 1e-12)
    assert_close(carry, last, 1e-12)
    _, other = rnn.unroll(cell, params, xs, key=jax.random.key(8))
    assert (other != ys).any()


def test_a_stack_within_a_loop_draws_what_it_draws_layer_by_layer():
    inner = rnn.stack(
        rnn.Dropout(2, 0.5), rnn.zoneout(rnn.GRU(2, 3), 0.3), rnn.Dropout(3, 0.5), rnn.Elman(3, 3)
    )
    params, xs, key = (
        params_of(inner),
        normal(2, T, B, 2),
        jax.random.key(7),
    )
    whole = rnn.map_cotangent(inner, lambda ct: ct)
    assert_close(
        rnn.unroll(whole, params, xs, key=key), rnn.unroll(inner, params, xs, key=key), 1e-12
    )


@pytest.mark.slow
@pytest.mark.parametrize("inside", [rnn.Elman, PeepholeLSTM], ids=["split", "whole"])
def test_every_method_takes_a_cell_that_attends(inside):
    cell = attentive(inside(2 + M, 2), Attention(2, M, LocationSensitive(2, 1, 3)))
    params, memory, xs = setting(cell)
    params = with_memory(cell, params, memory, lengths=LENGTHS)
    marks = {"lengths": jnp.array([4, 3]), "reset": jnp.zeros((T, B), bool).at[2].set(True)}

    @functools.partial(jax.jit, static_argnums=0)
    def run(method, params):
        def loss(params):
            return weighed(rnn.unroll(cell, params, xs, **marks, method=method))

        return jax.value_and_grad(loss)(params)

    expected = run(rnn.Scan(), params)
    for method in (rnn.BPTT(chunk=3), rnn.Newton(), rnn.Checkpointed(rnn.BPTT(), every=2)):
        assert_close(run(method, params), expected)


def test_the_weights_for_a_picture_are_those_of_the_equations():
    params, memory, xs = setting(LOCATED)
    marks = {"lengths": jnp.array([4, 2]), "reset": jnp.zeros((T, B), bool).at[1, 0].set(True)}
    beside = with_memory(LOCATED, params, memory, lengths=LENGTHS)
    (weights,) = rnn.analysis.attention_weights(LOCATED, beside, xs, **marks)
    assert weights.shape == (T, B, S)
    assert not weights[2:, 1].any()

    step = reference_attention.attentive(reference_attention.location, reference.elman(np.tanh))
    for b, steps in enumerate((4, 2)):
        alone = with_memory(LOCATED, params, memory[:, b], lengths=LENGTHS[b])
        carry = initial = plain(LOCATED.initial_carry(alone))
        for t in range(steps):
            carry = initial if marks["reset"][t, b] else carry
            carry, _ = step(plain(alone), carry, np.asarray(xs[t, b]))
            assert_close(weights[t, b], carry["weights"], 1e-12)


@pytest.mark.slow
def test_the_weights_of_every_attention_come_in_the_order_of_reading():
    readout = AttentionReadout(Attention(3, M, General()), 3)
    cell = rnn.stack(rnn.fed_back(rnn.stack(rnn.LSTM(2 + 3, 3), readout)), readout)
    params, memory, xs = setting(cell)
    params = with_memory(cell, params, memory, lengths=LENGTHS)
    below, above = rnn.analysis.attention_weights(cell, params, xs)
    _, hs = rnn.unroll(cell.layers[0], params[0], xs)
    b = 0
    attention = jax.tree.map(np.asarray, plain(params[1].attention))
    attention["memory"] = {name: leaf[:, b] for name, leaf in attention["memory"].items()}
    _, expected = reference_attention.attend(
        reference_attention.dot, attention, np.asarray(hs[:, b])
    )
    assert_close(above[:, b], expected, 1e-12)
    assert_close(below.sum(-1), jnp.ones((T, B)), 1e-12)
    assert (below != above).any()
