"""Parity with torch.nn: packed sequences of any order, several layers, both directions.

The weights are read by rnn_jax.interop.torch. PyTorch refuses a length of 0, so none is here.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rnn_jax as rnn
from tests.cases import assert_close
from tests.peers import parity
from tests.peers.parity import BATCH, HIDDEN, INPUTS, LENGTHS, STEPS

torch = pytest.importorskip("torch", reason="torch is absent: `make test-peers` installs it")

PROJECTION = 2


def projected_carry(params, h, c):
    """PyTorch has `h = m @ w_hr` where rnn_jax has m: any m with that h will do."""
    return rnn.ProjectedLSTMCarry(m=h @ jnp.linalg.pinv(params.w_hr), c=c)


class Peer(NamedTuple):
    module: Callable[..., Any]
    """Of `(inputs, hidden, layers)` and PyTorch's settings."""
    carry: Callable[..., Any]
    """From the params of one cell and PyTorch's states: `h`, or `h, c`."""
    states: Callable[..., tuple] = lambda params, carry: tuple(carry)
    """And back."""
    activation: Callable[..., Any] | None = None

    def widths(self, module):
        """Of the states; the first is emitted."""
        emitted = getattr(module, "proj_size", 0) or module.hidden_size
        return (emitted, module.hidden_size)[: 1 + isinstance(module, torch.nn.LSTM)]


PEERS = {
    "tanh": Peer(torch.nn.RNN, lambda params, h: rnn.ElmanCarry(h), activation=jnp.tanh),
    "relu": Peer(
        lambda *sizes, **settings: torch.nn.RNN(*sizes, nonlinearity="relu", **settings),
        lambda params, h: rnn.ElmanCarry(h),
        activation=jax.nn.relu,
    ),
    "lstm": Peer(torch.nn.LSTM, lambda params, h, c: rnn.LSTMCarry(h, c)),
    "gru": Peer(torch.nn.GRU, lambda params, h: rnn.GRUCarry(h)),
    "projected": Peer(
        lambda inputs, hidden, layers, **settings: torch.nn.LSTM(
            inputs, hidden, layers, proj_size=max(1, hidden - 1), **settings
        ),
        projected_carry,
        lambda params, carry: (carry.m @ params.w_hr, carry.c),
    ),
}


def ours(peer, both):
    """PyTorch lists the states of layers, with those of both directions side by side."""

    def nested(entries):
        return tuple(map(rnn.BidirectionalCarry, entries[::2], entries[1::2]) if both else entries)

    def run(weights, xs, states, lengths):
        layer, params = rnn.interop.torch.read(weights, activation=peer.activation)
        several = isinstance(layer, rnn.LayerStack)
        layers = params if several else (params,)
        cells = [p for one in layers for p in (one if both else [one])]
        before = nested([peer.carry(p, *(s[i] for s in states)) for i, p in enumerate(cells)])
        carry, ys = rnn.unroll(layer, params, xs, before if several else before[0], lengths=lengths)
        carry = carry if several else (carry,)
        after = [c for one in carry for c in one] if both else carry
        pairs = zip(cells, after, strict=True)
        return ys, tuple(map(jnp.stack, zip(*(peer.states(*pair) for pair in pairs), strict=True)))

    return run


def theirs(module, xs, states, lengths):
    """Values and gradients, as `parity.outcome` has them."""
    xs, *states = (torch.tensor(x, requires_grad=True) for x in (xs, *states))
    weights = dict(module.named_parameters())
    nn = torch.nn.utils.rnn
    before = states[0] if len(states) == 1 else tuple(states)
    if lengths is None:
        ys, after = module(xs, before)
    else:
        packed = nn.pack_padded_sequence(xs, torch.tensor(lengths), enforce_sorted=False)
        packed, after = module(packed, before)
        ys, _ = nn.pad_packed_sequence(packed, total_length=len(xs))
    after = (after,) if len(states) == 1 else after

    flat = torch.cat([out.ravel() for out in (ys, *after)])
    loss = torch.sin(flat + torch.arange(len(flat), dtype=flat.dtype)).sum()
    d_xs, *rest = torch.autograd.grad(loss, [xs, *states, *weights.values()])
    d_states, d_weights = rest[: len(states)], rest[len(states) :]
    out = ys.detach(), tuple(s.detach() for s in after)
    return out, (dict(zip(weights, d_weights, strict=True)), d_xs, tuple(d_states))


def assert_parity(peer, module, steps, batch, lengths, seed=0):
    weights = {name: w.detach().numpy() for name, w in module.named_parameters()}
    xs = parity.draw(steps, batch, module.input_size, seed=seed)
    places = module.num_layers * (1 + module.bidirectional)
    states = tuple(
        parity.draw(places, batch, width, seed=seed + i)
        for i, width in enumerate(peer.widths(module))
    )
    run = ours(peer, module.bidirectional)
    for some in lengths:
        spoiled = xs if some is None else parity.spoiled(xs, parity.happens(some, steps))
        marks = None if some is None else np.array(some)
        actual = parity.outcome(run, (weights, spoiled, states), marks)
        assert_close(actual, theirs(module, xs, states, some))


@pytest.mark.parametrize(
    ("layers", "both"), [(3, False), (2, True)], ids=["three-layers", "two-both-ways"]
)
@pytest.mark.parametrize("name", PEERS)
def test_packed_sequences_have_the_numbers_of_torch(name, layers, both):
    peer = PEERS[name]
    torch.manual_seed(0)
    module = peer.module(INPUTS, HIDDEN, layers, bidirectional=both, dtype=torch.float64)
    assert_parity(peer, module, STEPS, BATCH, LENGTHS)


@parity.some_shapes
@given(data=st.data())
@pytest.mark.parametrize("name", PEERS)
def test_any_shape_has_the_numbers_of_torch(name, data):
    peer = PEERS[name]
    inputs, batch, steps, layers = (data.draw(st.integers(1, most)) for most in (4, 3, 5, 3))
    hidden = data.draw(st.integers(2 if name == "projected" else 1, 5))
    both, bias = data.draw(st.booleans()), data.draw(st.booleans())
    torch.manual_seed(data.draw(st.integers(0, 9)))
    module = peer.module(inputs, hidden, layers, bias=bias, bidirectional=both, dtype=torch.float64)
    some = tuple(data.draw(st.integers(1, steps)) for _ in range(batch))
    assert_parity(peer, module, steps, batch, [None, some], seed=3)


@pytest.mark.parametrize("name", PEERS)
def test_a_module_is_written_and_read(name, tmp_path):
    """By itself, by its state_dict, by a file; and written, PyTorch has the same numbers again."""
    from safetensors.numpy import save_file

    peer = PEERS[name]
    module = peer.module(INPUTS, HIDDEN, 2, bidirectional=True)
    layer, params = rnn.interop.torch.read(module)
    arrays = rnn.interop.torch.write(layer, params)
    save_file(arrays, tmp_path / "weights.safetensors")
    again = peer.module(INPUTS, HIDDEN, 2, bidirectional=True)
    again.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    xs = torch.ones(STEPS, BATCH, INPUTS)
    torch.testing.assert_close(again(xs)[0], module(xs)[0])
    said = {} if peer.activation is None else {"activation": peer.activation}
    for source, more in (
        (again, {}),
        (module.state_dict(), said),
        (tmp_path / "weights.safetensors", said),
        (dict(module.named_parameters()), said),
    ):
        found, same = rnn.interop.torch.read(source, **more)
        assert found == layer
        assert_close(same, params, 0)


def test_a_cell_is_read():
    for kind, carry in ((torch.nn.LSTMCell, rnn.LSTMCarry), (torch.nn.GRUCell, rnn.GRUCarry)):
        module = kind(INPUTS, HIDDEN, dtype=torch.float64)
        cell, params = rnn.interop.torch.read(module)
        x, *states = parity.draw(1 + len(carry._fields), BATCH, HIDDEN)
        x = x[:, :INPUTS]
        after, _ = rnn.step(cell, params, x, carry(*states))
        states = tuple(map(torch.tensor, states))
        expected = module(torch.tensor(x), states if len(states) > 1 else states[0])
        expected = expected if len(states) > 1 else (expected,)
        assert_close(tuple(after), tuple(s.detach() for s in expected))


def test_what_torch_has_and_we_have_not_is_refused(tmp_path):
    read = rnn.interop.torch.read
    with pytest.raises(
        rnn.StructureError, match=r"dropout of 0\.5 between the layers would be lost"
    ):
        read(torch.nn.LSTM(2, 3, 2, dropout=0.5))
    with pytest.raises(rnn.StructureError, match="no array of a recurrent layer among 'weight'"):
        read(torch.nn.Linear(2, 3))
    with pytest.raises(rnn.ArgumentError, match=r"do not say what its nonlinearity is"):
        read(torch.nn.RNN(2, 3).state_dict())
    with pytest.raises(rnn.ArgumentError, match="activation is for arrays alone"):
        read(torch.nn.RNN(2, 3), activation=jnp.tanh)
    model = torch.nn.ModuleDict({"rnn": torch.nn.GRU(2, 3), "out": torch.nn.Linear(3, 2)})
    with pytest.raises(rnn.StructureError, match=r"'out\.weight', 'out\.bias' is of no .*'rnn\.'"):
        read(model)
    torch.save(torch.nn.GRU(2, 3).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(rnn.ArgumentError, match=r"is no safetensors file .* can run code"):
        read(tmp_path / "weights.pt")
    with pytest.raises(rnn.ArgumentError, match="there is no file"):
        read(tmp_path / "absent.safetensors")
