"""Parity with the cells of Equinox in a scan; the weights are read by rnn_jax.interop.equinox."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

import rnn_jax as rnn
from tests.cases import assert_close
from tests.peers import parity

eqx = pytest.importorskip("equinox", reason="equinox is absent: `make test-peers` installs it")

CELLS = {"LSTMCell": rnn.LSTMCarry, "GRUCell": rnn.GRUCarry}


@settings(max_examples=4)
@given(data=st.data())
@pytest.mark.parametrize("name", CELLS)
def test_any_shape_has_the_numbers_of_equinox(name, data):
    carry = CELLS[name]
    inputs, hidden, steps, batch = (data.draw(st.integers(1, 4)) for _ in range(4))
    use_bias = data.draw(st.booleans())
    module = getattr(eqx.nn, name)(
        inputs, hidden, use_bias, dtype=np.float64, key=jax.random.key(0)
    )

    def theirs(module, xs, before):
        def step(state, x):
            state = jax.vmap(module)(x, state if len(state) > 1 else state[0])
            state = state if isinstance(state, tuple) else (state,)
            return state, state[0]

        after, ys = lax.scan(step, before, xs)
        return ys, after

    def ours(module, xs, before):
        cell, params = rnn.interop.equinox.read(module)
        after, ys = rnn.unroll(cell, params, xs, carry(*before))
        return ys, tuple(after)

    xs = parity.draw(steps, batch, inputs)
    before = tuple(parity.draw(len(carry._fields), batch, hidden, seed=1))
    expected = parity.outcome(theirs, (module, xs, before))
    assert_close(parity.outcome(ours, (module, xs, before)), expected)

    cell, params = rnn.interop.equinox.read(module)
    arrays = rnn.interop.equinox.write(cell, params)
    blank = getattr(eqx.nn, name)(inputs, hidden, dtype=np.float64, key=jax.random.key(1))
    again = eqx.tree_at(lambda c: [getattr(c, k) for k in arrays], blank, [*arrays.values()])
    assert_close(theirs(again, xs, before), expected[0])
    assert rnn.interop.equinox.read(again)[0] == rnn.interop.equinox.read(arrays)[0] == cell


def test_what_equinox_has_and_we_have_not_is_refused():
    with pytest.raises(rnn.StructureError, match="needs LSTMCell or GRUCell, .* got"):
        rnn.interop.equinox.read(eqx.nn.Linear(2, 3, key=jax.random.key(0)))
