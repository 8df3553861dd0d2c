"""Parity with the cells of Equinox in a scan; the weights are read by rnn_jax.interop.equinox."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

import rnn_jax as rnn
from tests.cases import assert_close
from tests.peers import parity

eqx = pytest.importorskip("equinox", reason="equinox is absent: `make test-peers` installs it")

CELLS = {"LSTMCell": rnn.LSTMCarry, "GRUCell": rnn.GRUCarry}


@parity.some_shapes
@given(data=st.data())
@pytest.mark.parametrize("name", CELLS)
def test_any_shape_has_the_numbers_of_equinox(name, data):
    carry = CELLS[name]
    inputs, hidden, steps, batch = (data.draw(st.integers(1, 4)) for _ in range(4))
    bias = data.draw(st.booleans())
    blank = getattr(eqx.nn, name)(inputs, hidden, bias, dtype=np.float64, key=jax.random.key(0))

    def filled(arrays):
        return eqx.tree_at(lambda c: [getattr(c, k) for k in arrays], blank, [*arrays.values()])

    def theirs(arrays, xs, before):
        cell = jax.vmap(filled(arrays))

        def step(state, x):
            state = cell(x, state if len(state) > 1 else state[0])
            state = state if isinstance(state, tuple) else (state,)
            return state, state[0]

        after, ys = lax.scan(step, before, xs)
        return ys, after

    def ours(arrays, xs, before):
        cell, params = rnn.interop.equinox.read(arrays)
        after, ys = rnn.unroll(cell, params, xs, carry(*before))
        return ys, tuple(after)

    fields = ["weight_ih", "weight_hh", "bias", "bias_n"]
    arrays = {k: getattr(blank, k) for k in fields if getattr(blank, k, None) is not None}
    xs = parity.draw(steps, batch, inputs)
    before = tuple(parity.draw(len(carry._fields), batch, hidden, seed=1))
    expected = parity.outcome(theirs, (arrays, xs, before))
    assert_close(parity.outcome(ours, (arrays, xs, before)), expected)

    cell, params = rnn.interop.equinox.read(blank)
    again = rnn.interop.equinox.write(cell, params)
    assert_close({k: again[k] for k in arrays}, arrays, 0)
    assert not any(again[k].any() for k in again.keys() - arrays.keys())


def test_what_equinox_has_and_we_have_not_is_refused():
    with pytest.raises(rnn.StructureError, match=r"needs LSTMCell or GRUCell, .* got"):
        rnn.interop.equinox.read(eqx.nn.Linear(2, 3, key=jax.random.key(0)))
