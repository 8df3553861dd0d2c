"""Parity with haiku.ResetCore: marks between sequences, in either direction.

Haiku's GRU applies the reset before the matmul, which is no cell of rnn_jax.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from tests.cases import assert_close
from tests.peers import parity
from tests.peers.parity import BATCH, HIDDEN, INPUTS, STEPS

hk = pytest.importorskip("haiku", reason="haiku is absent: `make test-peers` installs dm-haiku")

MODEL = rnn.stack(rnn.LSTM(INPUTS, HIDDEN), rnn.Elman(HIDDEN, HIDDEN, activation=jax.nn.relu))


def lstm(linear):
    """x and h in one matrix, x above; the gates in the order i g f o; 1 is added to f each step."""
    (w_xi, w_xg, w_xf, w_xo), (w_hi, w_hg, w_hf, w_ho) = (
        jnp.split(w, 4, -1) for w in jnp.split(linear["w"], [INPUTS])
    )
    b_i, b_g, b_f, b_o = jnp.split(linear["b"], 4)
    return rnn.LSTMParams(
        w_xh=jnp.concatenate([w_xi, w_xf, w_xg, w_xo], -1),
        w_hh=jnp.concatenate([w_hi, w_hf, w_hg, w_ho], -1),
        b_h=jnp.concatenate([b_i, b_f + 1, b_g, b_o]),
    )


def elman(at_input, at_state):
    """The two biases are added, so that their sum is all."""
    return rnn.ElmanParams(at_input["w"], at_state["w"], at_input["b"] + at_state["b"])


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
        params = (
            lstm(weights["lstm/linear"]),
            elman(weights["vanilla/linear"], weights["vanilla/linear_1"]),
        )
        carry = rnn.LSTMCarry(h=before[0].hidden, c=before[0].cell), rnn.ElmanCarry(before[1])
        carry, ys = rnn.unroll(MODEL, params, xs, carry, reset=reset, reverse=reverse)
        return ys, (hk.LSTMState(hidden=carry[0].h, cell=carry[0].c), carry[1].h)

    xs = parity.draw(STEPS, BATCH, INPUTS)
    h, c, upper = parity.draw(3, BATCH, HIDDEN, seed=1)
    before = hk.LSTMState(hidden=h, cell=c), upper
    marks = np.random.default_rng(2).random((3, STEPS, BATCH)) < 0.4
    weights = parity.moved(peer.init(jax.random.key(0), xs, before, marks[0]))
    for reset in marks:
        point = weights, xs, before
        assert_close(parity.outcome(ours, point, reset), parity.outcome(theirs, point, reset))
