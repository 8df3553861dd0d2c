"""Padding is invisible: lengths, masks, resets and directions mean the same for every row."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree

import rnn_jax as rnn
from tests import hlo, reference
from tests.cases import CASES, Case, assert_close, elman, every, gru, lstm, plain

pytestmark = pytest.mark.usefixtures("no_rank_promotion")

STEPS, BATCH = 5, 2


def marks(draw, steps, *lead):
    """Lengths, a mask with any gaps, and resets."""
    batch = math.prod(lead)
    booleans = st.lists(st.booleans(), min_size=steps * batch, max_size=steps * batch)
    lengths = draw(st.lists(st.integers(0, steps), min_size=batch, max_size=batch))
    mask, reset = (np.array(draw(booleans), bool).reshape(steps, *lead) for _ in range(2))
    return np.array(lengths, np.int32).reshape(lead), mask, reset


def spoiled(xs, valid, seed=0):
    """NaN, inf and huge numbers, or tokens that do not exist, in every padded place."""
    valid = valid.reshape(valid.shape + (1,) * (xs.ndim - valid.ndim))
    if np.issubdtype(xs.dtype, np.integer):
        return np.where(valid, xs, -(10**6))
    rubbish = np.random.default_rng(seed).choice([np.nan, np.inf, -np.inf, 1e300], xs.shape)
    return np.where(valid, xs, rubbish)


def weighed(carry, ys):
    """A loss that reads every number by its own weight."""
    flat, _ = ravel_pytree((carry, ys))
    return jnp.sum(jnp.sin(flat + jnp.arange(flat.size, dtype=flat.dtype)))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def outcome(case, method, reverse, params, xs, carry, lengths, mask, reset):
    """Values, and gradients of a loss of them; one program for all values of the marks."""

    def loss(params, xs, carry):
        out = rnn.unroll(
            case.cell,
            params,
            xs,
            carry,
            lengths=lengths,
            mask=mask,
            reset=reset,
            reverse=reverse,
            method=method,
        )
        return weighed(*out), out

    wrt = (0, 2) if case.cell.input.kind is jnp.integer else (0, 1, 2)
    return jax.value_and_grad(loss, wrt, has_aux=True)(params, xs, carry)


def oracle(case, reverse, params, xs, carry, valid, reset):
    """The loop in NumPy, one sequence at a time: the loss, the carry and ys."""
    run = reference.reverse(case.reference) if reverse else case.reference
    initial = plain(case.cell.initial_carry(jax.tree.map(jnp.asarray, params)))
    outs = []
    for b in range(valid.shape[1]):
        own = reference.Marks(valid[:, b], reset[:, b], initial)
        one = jax.tree.map(lambda c, b=b: c[b], plain(carry))
        outs.append(run(plain(params), one, xs[:, b], own))
    last = jax.tree.map(lambda *leaves: np.stack(leaves), *(last for last, _ in outs))
    ys = np.stack([np.stack(ys) for _, ys in outs], axis=1)
    flat = np.concatenate([np.ravel(x) for x in [*jax.tree.leaves(in_order(last, carry)), ys]])
    return np.sum(np.sin(flat + np.arange(flat.size))), last, ys


def in_order(fields, like):
    """Dictionaries in the order of the NamedTuples that they stand for."""
    if hasattr(like, "_fields"):
        return [in_order(fields[name], getattr(like, name)) for name in like._fields]
    if isinstance(like, tuple):
        return [in_order(f, one) for f, one in zip(fields, like, strict=True)]
    return fields


def check(case, method, reverse, lengths, mask, reset, seed=0):
    """Values of the loop, and its derivative along one direction, from spoiled inputs."""
    steps, lead = len(mask), lengths.shape
    params, xs = case.params(), np.asarray(case.xs(steps, *lead))
    carry = case.carry(params, lead)
    valid = mask & (np.arange(steps).reshape(-1, *(1,) * len(lead)) < lengths)
    (value, out), grads = outcome(
        case, method, reverse, params, spoiled(xs, valid), carry, lengths, mask, reset
    )

    def one_batch_axis(carry):
        return jax.tree.map(lambda c: np.reshape(c, (-1, *c.shape[len(lead) :])), carry)

    def loop(params, xs, carry):
        """The oracle has one batch axis."""
        xs, valid_, reset_ = (
            x.reshape(steps, -1, *x.shape[1 + len(lead) :]) for x in (xs, valid, reset)
        )
        carry = one_batch_axis(carry)
        return oracle(case, reverse, params, xs, carry, valid_, reset_)

    loss, last, ys = loop(params, xs, carry)
    assert_close((one_batch_axis(out[0]), out[1].reshape(ys.shape)), (last, ys), 1e-12)
    assert_close(value, loss, 1e-12)

    tokens = case.cell.input.kind is jnp.integer
    point = (params, carry) if tokens else (params, xs, carry)
    rng = np.random.default_rng(seed)
    direction = jax.tree.map(lambda x: rng.normal(size=x.shape), point)

    def moved(by):
        there = jax.tree.map(lambda x, d: np.asarray(x) + by * d, point, direction)
        return loop(there[0], xs if tokens else there[1], there[-1])[0]

    # Richardson's extrapolation of the central difference: an error of h^4.
    h = 1e-3
    slope = (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h)
    pairs = zip(jax.tree.leaves(grads), jax.tree.leaves(direction), strict=True)
    np.testing.assert_allclose(sum(np.sum(g * d) for g, d in pairs), slope, rtol=1e-8, atol=1e-8)
    if not tokens:
        assert not np.asarray(grads[1])[~valid].any(), "padded inputs have a gradient"


@settings(max_examples=4)
@given(data=st.data())
def agree_with_the_loop(data, case, reverse):
    check(case, rnn.BPTT(chunk=2), reverse, *marks(data.draw, STEPS, BATCH))


@every("direction")
def test_padded_sequences_are_those_of_the_loop(case):
    agree_with_the_loop(case=case, reverse=False)


@every("mechanism")
def test_padded_sequences_run_backward_are_those_of_the_loop(case):
    agree_with_the_loop(case=case, reverse=True)


LAYERS = {
    "elman": (lambda inputs: rnn.Elman(inputs, 2), elman),
    "gru": (lambda inputs: rnn.GRU(inputs, 2), gru),
    "lstm": (lambda inputs: rnn.learned_carry(rnn.LSTM(inputs, 2)), reference.around(lstm)),
    "both": (
        lambda inputs: rnn.bidirectional(rnn.LSTM(inputs, 2), rnn.GRU(inputs, 2), jnp.add),
        reference.bidirectional(lstm, gru, np.add),
    ),
}


@pytest.mark.slow
@settings(max_examples=5)
@given(
    data=st.data(),
    names=st.lists(st.sampled_from(sorted(LAYERS)), min_size=1, max_size=3),
    lead=st.sampled_from([(), (2,), (2, 1)]),
    steps=st.integers(1, 6),
    method=st.sampled_from([rnn.Scan(), rnn.BPTT(chunk=1), rnn.BPTT(chunk=4)]),
    reverse=st.booleans(),
)
def test_random_stacks_and_batches_are_those_of_the_loop(data, names, lead, steps, method, reverse):
    layers, references = zip(*(LAYERS[name] for name in names), strict=True)
    model = rnn.stack(*(layer(2) for layer in layers))
    case = Case(" ".join(names), lambda: model, reference.stack(*references))
    check(case, method, reverse, *marks(data.draw, steps, *lead))


@every("mechanism")
def test_a_padded_batch_is_its_sequences_alone(case):
    """By the library itself: each sequence cut to its length, in values and in gradients."""
    lengths = (4, 0, 2)
    params, xs = case.params(), case.xs(4, 3)

    def loss(params, xs, method, lengths=None):
        carry, ys = rnn.unroll(case.cell, params, xs, lengths=lengths, method=method)
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in [ys, *jax.tree.leaves(carry)])

    def alone(params):
        # Loops of no chunks: what they compile to is small.
        return sum(loss(params, xs[:n, b], rnn.Scan()) for b, n in enumerate(lengths))

    valid = np.arange(4)[:, None] < np.array(lengths)
    gradient = jax.jit(jax.value_and_grad(loss), static_argnums=2)
    together = gradient(params, spoiled(xs, valid), rnn.BPTT(chunk=3), jnp.array(lengths))
    assert_close(together, jax.jit(jax.value_and_grad(alone))(params))


@every("direction")
def test_packed_sequences_are_themselves_alone(case):
    """Two in a row, a reset between them, in either direction."""
    params, xs = case.params(), case.xs(5)
    reset = jnp.array([True, False, True, False, False])

    @jax.jit
    def both(xs):
        return [
            (
                rnn.unroll(case.cell, params, xs, reset=reset, reverse=reverse)[1],
                [rnn.unroll(case.cell, params, s, reverse=reverse)[1] for s in (xs[:2], xs[2:])],
            )
            for reverse in (False, True)
        ]

    for packed, alone in both(xs):
        assert_close(packed, np.concatenate(alone), 1e-12)


@pytest.mark.parametrize("lead", [(), (2, 2)], ids=str)
def test_padding_holds_for_any_batch_axes(lead):
    case = CASES[0]
    params, xs = case.params(), case.xs(STEPS, *lead)
    lengths = jnp.arange(int(np.prod(lead)), dtype=jnp.int32).reshape(lead) + 1
    mask = jax.random.bernoulli(jax.random.key(1), 0.7, (STEPS, *lead))
    flat = (STEPS, -1)
    _, ys = rnn.unroll(case.cell, params, xs, lengths=lengths, mask=mask, reset=~mask)
    _, same = rnn.unroll(
        case.cell,
        params,
        xs.reshape(*flat, 2),
        lengths=lengths.ravel(),
        mask=mask.reshape(flat),
        reset=~mask.reshape(flat),
    )
    assert_close(ys.reshape(same.shape), same, 1e-12)


def test_other_marks_compile_no_other_program():
    case = CASES[0]
    params, xs = case.params(), case.xs(STEPS, BATCH)

    @jax.jit
    def run(lengths, mask, reset):
        return rnn.unroll(case.cell, params, xs, lengths=lengths, mask=mask, reset=reset)

    every = jnp.ones((STEPS, BATCH), bool)
    run(jnp.array([5, 1]), every, ~every)
    run(jnp.array([0, 3]), ~every, every)
    assert run._cache_size() == 1


def test_a_cotangent_of_nan_stays_in_its_padded_place():
    """A loss may be NaN where there is nothing to predict."""
    case = CASES[0]
    params, xs, lengths = case.params(), case.xs(STEPS, BATCH), jnp.array([5, 2])

    def loss(params):
        _, ys = rnn.unroll(case.cell, params, xs, lengths=lengths)
        valid = jnp.arange(STEPS)[:, None] < lengths[None]
        # The trap: 0/0 in the padded places, selected away only afterwards.
        return jnp.sum(jnp.where(valid[..., None], ys / ys, 0.0))

    assert all(jnp.isfinite(g).all() for g in jax.tree.leaves(jax.grad(loss)(params)))


def test_an_impossible_length_under_jit_is_nan():
    case = CASES[0]
    params, xs = case.params(), case.xs(STEPS, 3)
    run = jax.jit(lambda lengths: rnn.unroll(case.cell, params, xs, lengths=lengths))
    carry, _ = run(jnp.array([5, 6, -1]))
    assert jnp.isnan(carry.h).any(axis=1).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("dtype", "x64"),
    [
        *((dtype, False) for dtype in "uint8 int8 int16 uint16 uint32 int64 uint64".split()),
        ("int8", True),
        ("int64", True),
    ],
)
def test_lengths_of_any_integer_dtype_are_those_numbers(dtype, x64):
    """Of more steps than the dtype has numbers for; and it may have more than JAX has."""
    cell = rnn.Elman(1, 2)
    with jax.enable_x64(x64):
        params, xs = cell.init(jax.random.key(0)), jnp.ones((300, 2, 1), jnp.float32)
        run = jax.jit(lambda lengths: rnn.unroll(cell, params, xs, lengths=lengths)[1])
        given = np.array([40, 127], dtype)
        for ys in (rnn.unroll(cell, params, xs, lengths=given)[1], run(given)):
            assert (jnp.abs(ys) > 0).any(-1).sum(0).tolist() == [40, 127]


@pytest.mark.parametrize("x64", [False, True])
def test_a_length_beyond_32_bits_is_refused_and_not_wrapped(x64):
    cell = rnn.Elman(1, 2)
    with jax.enable_x64(x64):
        params, xs = cell.init(jax.random.key(0)), jnp.ones((9, 2, 1), jnp.float32)
        with pytest.raises(rnn.ArgumentError, match="a length is from 0 to 9"):
            rnn.unroll(cell, params, xs, lengths=np.array([3, 2**32 + 3]))


def test_lengths_run_where_nan_is_an_error():
    cell = rnn.Elman(1, 2)
    params, xs = cell.init(jax.random.key(0)), jnp.ones((9, 2, 1), jnp.float32)
    with jax.debug_nans(True):
        _, ys = rnn.unroll(cell, params, xs, lengths=[3, 9])
        jax.grad(lambda p: rnn.unroll(cell, p, xs, lengths=[3, 9])[1].sum())(params)
    assert not ys[3:, 0].any()


def test_the_final_carry_keeps_no_history():
    """Lengths add nothing that grows with T, and without outputs no carry of BPTT is stored."""
    cell = rnn.LSTM(7, 32)
    params = cell.init(jax.random.key(0))

    def growth(method, lengths):
        def memory(steps):
            xs = jnp.ones((steps, 8, 7), jnp.float32)
            program = hlo.compiled(
                lambda p, xs: rnn.unroll(cell, p, xs, lengths=lengths, method=method)[0], params, xs
            )
            return hlo.temporaries(program)

        return (memory(2048) - memory(1024)) / 1024

    carry, lengths = 8 * 32 * 4, jnp.arange(8)
    assert growth(rnn.BPTT(), lengths) < carry
    assert growth(rnn.Scan(), lengths) < growth(rnn.Scan(), None) + carry
