"""Parity with torch.nn: packed sequences of any order, several layers, both directions.

PyTorch refuses a length of 0, so none is here.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from tests.cases import assert_close
from tests.peers import parity
from tests.peers.parity import BATCH, HIDDEN, INPUTS, LENGTHS, STEPS

torch = pytest.importorskip("torch", reason="torch is absent: `make test-peers` installs it")

PROJECTION = 2


def elman(w):
    """Matrices are `(outputs, inputs)`; the two biases are added, so that their sum is all."""
    return rnn.ElmanParams(w["weight_ih"].T, w["weight_hh"].T, w["bias_ih"] + w["bias_hh"])


def lstm(w):
    """As `elman`: the gates have one order, i f g o."""
    return rnn.LSTMParams(*elman(w))


def gru(w):
    """The gates have one order, r z n; the candidate has its `bias_hh` inside the reset."""
    outside, b_hn = jnp.split(w["bias_hh"], [2 * HIDDEN])
    b_h = w["bias_ih"] + jnp.concatenate([outside, jnp.zeros_like(b_hn)])
    return rnn.GRUParams(w["weight_ih"].T, w["weight_hh"].T, b_h, b_hn)


def projected_lstm(w):
    """As `lstm`, with the projection."""
    return rnn.ProjectedLSTMParams(*elman(w), w["weight_hr"].T)


def projected_carry(params, h, c):
    """PyTorch has `h = m @ w_hr` where rnn_jax has m: any m with that h will do."""
    return rnn.ProjectedLSTMCarry(m=h @ jnp.linalg.pinv(params.w_hr), c=c)


class Peer(NamedTuple):
    module: Callable[..., Any]
    cell: Callable[[int], rnn.Cell]
    params: Callable[[dict], Any]
    """From the arrays of one layer in one direction, by name."""
    carry: Callable[..., Any]
    """From those params and PyTorch's states: `h`, or `h, c`."""
    states: Callable[..., tuple] = lambda params, carry: tuple(carry)
    """And back."""
    widths: tuple[int, ...] = (HIDDEN,)
    """Of the states; the first is emitted."""


PEERS = {
    "tanh": Peer(
        torch.nn.RNN,
        lambda inputs: rnn.Elman(inputs, HIDDEN),
        elman,
        lambda params, h: rnn.ElmanCarry(h),
    ),
    "relu": Peer(
        lambda *sizes, **settings: torch.nn.RNN(*sizes, nonlinearity="relu", **settings),
        lambda inputs: rnn.Elman(inputs, HIDDEN, activation=jax.nn.relu),
        elman,
        lambda params, h: rnn.ElmanCarry(h),
    ),
    "lstm": Peer(
        torch.nn.LSTM,
        lambda inputs: rnn.LSTM(inputs, HIDDEN),
        lstm,
        lambda params, h, c: rnn.LSTMCarry(h, c),
        widths=(HIDDEN, HIDDEN),
    ),
    "gru": Peer(
        torch.nn.GRU,
        lambda inputs: rnn.GRU(inputs, HIDDEN),
        gru,
        lambda params, h: rnn.GRUCarry(h),
    ),
    "projected": Peer(
        lambda *sizes, **settings: torch.nn.LSTM(*sizes, proj_size=PROJECTION, **settings),
        lambda inputs: rnn.ProjectedLSTM(inputs, HIDDEN, PROJECTION),
        projected_lstm,
        projected_carry,
        lambda params, carry: (carry.m @ params.w_hr, carry.c),
        widths=(PROJECTION, HIDDEN),
    ),
}


def stacked(peer, layers, both):
    model, inputs = [], INPUTS
    for _ in range(layers):
        cell = peer.cell(inputs)
        model.append(rnn.bidirectional(cell, cell) if both else cell)
        inputs = peer.widths[0] * (1 + both)
    return rnn.stack(*model)


def ours(peer, layers, both):
    """PyTorch lists layers, and the directions of a layer side by side; a stack nests them."""
    directions = ["", "_reverse"] if both else [""]
    places = [f"_l{layer}{direction}" for layer in range(layers) for direction in directions]

    def nested(pair, entries):
        return tuple(map(pair, entries[::2], entries[1::2]) if both else entries)

    def at(place, weights):
        return {name.removesuffix(place): w for name, w in weights.items() if name.endswith(place)}

    def run(weights, xs, states, lengths):
        params = [peer.params(at(place, weights)) for place in places]
        before = [peer.carry(p, *(s[i] for s in states)) for i, p in enumerate(params)]
        carry, ys = rnn.unroll(
            stacked(peer, layers, both),
            nested(rnn.BidirectionalParams, params),
            xs,
            nested(rnn.BidirectionalCarry, before),
            lengths=lengths,
        )
        after = [c for layer in carry for c in layer] if both else carry
        pairs = zip(params, after, strict=True)
        return ys, tuple(map(jnp.stack, zip(*(peer.states(*pair) for pair in pairs), strict=True)))

    return run


def theirs(module, xs, states, lengths):
    """Values and gradients, as `parity.outcome` has them."""
    xs, *states = (torch.tensor(x, requires_grad=True) for x in (xs, *states))
    weights = dict(module.named_parameters())
    nn = torch.nn.utils.rnn
    packed = nn.pack_padded_sequence(xs, torch.tensor(lengths), enforce_sorted=False)
    packed, after = module(packed, states[0] if len(states) == 1 else tuple(states))
    ys, _ = nn.pad_packed_sequence(packed, total_length=STEPS)
    after = (after,) if len(states) == 1 else after

    flat = torch.cat([out.ravel() for out in (ys, *after)])
    loss = torch.sin(flat + torch.arange(len(flat), dtype=flat.dtype)).sum()
    d_xs, *rest = torch.autograd.grad(loss, [xs, *states, *weights.values()])
    d_states, d_weights = rest[: len(states)], rest[len(states) :]
    out = ys.detach(), tuple(s.detach() for s in after)
    return out, (dict(zip(weights, d_weights, strict=True)), d_xs, tuple(d_states))


@pytest.mark.parametrize(
    ("layers", "both"), [(3, False), (2, True)], ids=["three-layers", "two-both-ways"]
)
@pytest.mark.parametrize("name", PEERS)
def test_packed_sequences_have_the_numbers_of_torch(name, layers, both):
    peer, run = PEERS[name], ours(PEERS[name], layers, both)
    torch.manual_seed(0)
    module = peer.module(INPUTS, HIDDEN, layers, bidirectional=both, dtype=torch.float64)
    weights = {name: w.detach().numpy() for name, w in module.named_parameters()}
    xs, places = parity.draw(STEPS, BATCH, INPUTS), layers * (1 + both)
    states = tuple(parity.draw(places, BATCH, w, seed=i) for i, w in enumerate(peer.widths))
    for lengths in LENGTHS:
        point = weights, parity.spoiled(xs, parity.happens(lengths)), states
        actual = parity.outcome(run, point, np.array(lengths))
        assert_close(actual, theirs(module, xs, states, lengths))
