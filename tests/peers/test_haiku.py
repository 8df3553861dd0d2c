"""Parity with haiku.ResetCore: marks between sequences, in either direction.

The weights are read by rnn_jax.interop.haiku, core by core.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rnn_jax as rnn
from tests.cases import assert_close
from tests.peers import parity
from tests.peers.parity import BATCH, HIDDEN, INPUTS, STEPS

hk = pytest.importorskip("haiku", reason="haiku is absent: `make test-peers` installs dm-haiku")

MODEL = rnn.stack(rnn.LSTM(INPUTS, HIDDEN), rnn.Elman(HIDDEN, HIDDEN, activation=jax.nn.relu))


def read(weights, *modules):
    """Each core by the names of its modules."""
    found = []
    for module in modules:
        inside = {n: w for n, w in weights.items() if n.split("/")[0] == module}
        found.append(rnn.interop.haiku.read(inside))
    layers, params = zip(*found, strict=True)
    return rnn.stack(*layers), params


def run_haiku(reverse):
    def run(xs, before, reset):
        layers = [hk.LSTM(HIDDEN, name="lstm"), hk.VanillaRNN(HIDDEN, name="vanilla")]
        core = hk.ResetCore(hk.DeepRNN(layers))
        return hk.dynamic_unroll(core, (xs, reset), before, reverse=reverse)

    return hk.without_apply_rng(hk.transform(run))


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_resets_have_the_numbers_of_haiku(reverse):
    peer = run_haiku(reverse)

    def theirs(weights, xs, before, reset):
        # Backward, Haiku resets before the step that bears the mark, which is then the last of
        # its sequence. Here a mark stands between two steps, whichever comes first.
        if reverse:
            reset = jnp.concatenate([reset[1:], jnp.zeros_like(reset[:1])])
        return peer.apply(weights, xs, before, reset)

    def ours(weights, xs, before, reset):
        layer, params = read(weights, "lstm", "vanilla")
        assert layer == MODEL
        carry = rnn.LSTMCarry(h=before[0].hidden, c=before[0].cell), rnn.ElmanCarry(before[1])
        carry, ys = rnn.unroll(layer, params, xs, carry, reset=reset, reverse=reverse)
        return ys, (hk.LSTMState(hidden=carry[0].h, cell=carry[0].c), carry[1].h)

    xs = parity.draw(STEPS, BATCH, INPUTS)
    h, c, upper = parity.draw(3, BATCH, HIDDEN, seed=1)
    before = hk.LSTMState(hidden=h, cell=c), upper
    marks = np.random.default_rng(2).random((3, STEPS, BATCH)) < 0.4
    weights = parity.moved(peer.init(jax.random.key(0), xs, before, marks[0]))
    for reset in marks:
        point = weights, xs, before
        assert_close(parity.outcome(ours, point, reset), parity.outcome(theirs, point, reset))


CORES = {
    "vanilla": (lambda hidden: hk.VanillaRNN(hidden), rnn.ElmanCarry, lambda h: h),
    "one-bias": (
        lambda hidden: hk.VanillaRNN(hidden, double_bias=False),
        rnn.ElmanCarry,
        lambda h: h,
    ),
    "gru": (lambda hidden: hk.GRU(hidden), rnn.GRUCarry, lambda h: h),
    "lstm": (lambda hidden: hk.LSTM(hidden), rnn.LSTMCarry, lambda h, c: hk.LSTMState(h, c)),
}


@parity.some_shapes
@given(data=st.data())
@pytest.mark.parametrize("name", CORES)
def test_any_shape_has_the_numbers_of_haiku(name, data):
    """And what is read, written again, is what Haiku runs."""
    make, carry, state = CORES[name]
    inputs, hidden, steps, batch = (data.draw(st.integers(1, 4)) for _ in range(4))
    peer = hk.without_apply_rng(
        hk.transform(lambda xs, before: hk.dynamic_unroll(make(hidden), xs, before))
    )

    def theirs(weights, xs, before):
        ys, after = peer.apply(weights, xs, state(*before))
        return ys, tuple(after) if isinstance(after, tuple) else (after,)

    def ours(weights, xs, before):
        cell, params = rnn.interop.haiku.read(weights)
        after, ys = rnn.unroll(cell, params, xs, carry(*before))
        return ys, tuple(after)

    xs = parity.draw(steps, batch, inputs)
    before = tuple(parity.draw(len(carry._fields), batch, hidden, seed=1))
    weights = parity.moved(peer.init(jax.random.key(0), xs, state(*before)))
    expected = parity.outcome(theirs, (weights, xs, before))
    assert_close(parity.outcome(ours, (weights, xs, before)), expected)

    again = rnn.interop.haiku.write(*rnn.interop.haiku.read(weights))
    if name != "one-bias":  # there is a place for a second one
        assert jax.tree.structure(again) == jax.tree.structure(weights)
        assert_close(theirs(again, xs, before), expected[0])
