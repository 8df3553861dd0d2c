"""Cells of rnn_jax in Flax, and cells of Flax in rnn_jax: what holds of nnx and of linen alike.

A home is a way in which Flax runs a cell of ours: its own `RNN`, of nnx and of linen, and the two
that call `unroll`. All must have the numbers of `unroll`. What Flax's own tests hold of its cells
and of its `RNN` is held of the adapters. What only one of the two has is in the files beside this.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import rnn_jax as rnn
from rnn_jax.interop.nnx import from_nnx
from rnn_jax.recurrence.steps import select
from tests.cases import assert_close
from tests.peers import linen_homes, nnx_homes, parity
from tests.peers.flax_cells import ATTENDING, OUR_CELLS, SIZES, XS
from tests.peers.parity import BATCH, HIDDEN, INPUTS, LENGTHS, STEPS

pytestmark = pytest.mark.usefixtures("promoting")
HOMES = nnx_homes.HOMES | linen_homes.HOMES
THEIRS = nnx_homes.THEIRS | linen_homes.THEIRS
BOTH = nnx_homes.BOTH | linen_homes.BOTH
every_home = pytest.mark.parametrize("home", HOMES)
QUICK = ("elman", "nnx"), ("learned-carry", "linen by unroll")


@pytest.mark.parametrize(
    ("name", "home"),
    [
        pytest.param(*pair, marks=[] if pair in QUICK else pytest.mark.slow)
        for pair in itertools.product(OUR_CELLS, HOMES)
        if not (pair[0] in ATTENDING and pair[1] in linen_homes.HOMES)
    ],
)
def test_a_cell_of_ours_has_the_numbers_of_unroll_in_flax(name, home):
    """Values and gradients, of the initial carry that is learned as well."""
    case = OUR_CELLS[name]
    cell = case.cell
    params, xs = case.params(), case.xs(STEPS, BATCH)
    by_unroll = "unroll" in home

    def theirs(params, xs, lengths):
        options = {"seq_lengths": lengths, "return_carry": True}
        carry, ys = HOMES[home](cell, params, xs, options, {"time_major": True})
        valid = jnp.asarray(parity.happens(LENGTHS[0]))
        return carry, select(valid, ys, jnp.zeros_like(ys))

    def ours(params, xs, lengths):
        return rnn.unroll(cell, params, xs, lengths=lengths)

    lengths = np.array(LENGTHS[0])
    spoiled = parity.spoiled(xs, parity.happens(lengths))
    expected = parity.outcome(ours, (params, spoiled), lengths)
    assert_close(parity.outcome(theirs, (params, spoiled if by_unroll else xs), lengths), expected)


@pytest.mark.slow
@every_home
@pytest.mark.parametrize("keep_order", [False, True])
@pytest.mark.parametrize("lengths", [None, LENGTHS[0]])
@pytest.mark.parametrize("time_major", [False, True])
@pytest.mark.parametrize("at_the_call", [False, True])
def test_backward_in_time_is_what_flax_means_by_it(
    home, keep_order, lengths, time_major, at_the_call
):
    """Each sequence turned around in its own steps, run forward, and turned around again or not."""
    cell = rnn.GRU(*SIZES)
    params = parity.moved(cell.init(jax.random.key(0)))
    flags = {
        "reverse": True,
        "keep_order": keep_order,
        "time_major": time_major,
        "return_carry": True,
    }
    options = {} if lengths is None else {"seq_lengths": jnp.array(lengths)}
    settings = {} if at_the_call else flags
    options |= flags if at_the_call else {}
    xs = XS if time_major else XS.swapaxes(0, 1)
    carry, ys = HOMES[home](cell, params, xs, options, settings)
    ys = ys if time_major else ys.swapaxes(0, 1)
    for row, length in enumerate(lengths or [STEPS] * BATCH):
        after, hs = rnn.unroll(cell, params, XS[:length, row][::-1])
        assert_close(ys[:length, row], hs[::-1] if keep_order else hs)
        assert_close(jax.tree.map(lambda c, row=row: c[row], carry), after)
        if "unroll" in home:
            assert (ys[length:, row] == 0).all()


@pytest.mark.slow
@every_home
@pytest.mark.parametrize("batch_shape", [(), (2, 3)], ids=["no batch", "two batch axes"])
def test_batch_axes_are_those_of_flax(home, batch_shape):
    cell = rnn.LSTM(*SIZES)
    params = parity.moved(cell.init(jax.random.key(0)))
    xs = parity.draw(*batch_shape, STEPS, INPUTS)
    ys = HOMES[home](cell, params, xs, {}, {})
    _, hs = rnn.unroll(cell, params, np.moveaxis(xs, -2, 0))
    assert_close(ys, jnp.moveaxis(hs, 0, -2))


@pytest.mark.slow
@pytest.mark.parametrize("home", [home for home in HOMES if "unroll" in home])
@pytest.mark.parametrize("keep_order", [False, True])
def test_lengths_may_have_several_axes(home, keep_order):
    """Which those of Flax may not."""
    cell, lengths = rnn.LSTM(*SIZES), np.array([[1, 5, 3], [0, 4, 2]])
    params = parity.moved(cell.init(jax.random.key(0)))
    xs = parity.draw(2, 3, STEPS, INPUTS)
    options = {"seq_lengths": lengths, "return_carry": True, "keep_order": keep_order}
    carry, ys = HOMES[home](cell, params, xs, options, {"reverse": True})
    for place in np.ndindex(2, 3):
        after, hs = rnn.unroll(cell, params, xs[place][: lengths[place]], reverse=True)
        assert_close(ys[place][: lengths[place]], hs if keep_order else hs[::-1])
        assert (ys[place][lengths[place] :] == 0).all()
        assert_close(jax.tree.map(lambda c, place=place: c[place], carry), after)


@pytest.mark.slow
@every_home
def test_a_cell_may_read_tokens(home):
    """An input without an axis of its own."""
    cell = rnn.stack(rnn.Embedding(5, 2), rnn.GRU(2, HIDDEN))
    params = parity.moved(cell.init(jax.random.key(0)))
    tokens = np.array([[0, 1, 4], [2, 2, 3]])
    expected = rnn.unroll(cell, params, tokens.T)[1]
    assert_close(HOMES[home](cell, params, tokens, {}, {}), expected.swapaxes(0, 1))


@pytest.mark.slow
@pytest.mark.parametrize("merge", [{}, {"merge_fn": jnp.add}], ids=["concatenated", "added"])
@pytest.mark.parametrize("home", BOTH)
def test_two_directions_of_flax_are_bidirectional(home, merge):
    cells = rnn.LSTM(*SIZES), rnn.Elman(*SIZES)
    params = [parity.moved(cell.init(jax.random.key(0))) for cell in cells]
    carry, ys = BOTH[home](cells, params, merge)
    layer = rnn.bidirectional(*cells, *merge.values())
    after, hs = rnn.unroll(
        layer, rnn.BidirectionalParams(*params), XS, lengths=np.array(LENGTHS[0])
    )
    assert_close(tuple(carry), tuple(after))
    assert_close(jnp.where(parity.happens(LENGTHS[0])[..., None], ys, 0.0), hs)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n == "nnx GRUCell" else pytest.mark.slow) for n in THEIRS],
)
def test_a_cell_of_flax_has_its_numbers_here(name):
    """Values and gradients, with padding whose inputs are NaN."""
    theirs = THEIRS[name]()
    xs, lengths = parity.draw(STEPS, BATCH, *theirs.inputs), np.array(LENGTHS[0])
    valid = parity.happens(lengths)

    def blank(x):
        return jnp.where(valid.reshape(*valid.shape, *[1] * (x.ndim - 2)), x, 0.0)

    def flax(weights, xs, lengths):
        carry, ys = theirs.run(weights, xs, lengths)
        return carry, blank(ys)

    def ours(weights, xs, lengths):
        return rnn.unroll(theirs.cell, theirs.params(weights), xs, lengths=lengths)

    expected = parity.outcome(flax, (theirs.weights, xs), lengths)
    xs = np.where(valid.reshape(*valid.shape, *[1] * len(theirs.inputs)), xs, np.nan)
    assert_close(parity.outcome(ours, (theirs.weights, xs), lengths), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nnx LSTMCell", "linen LSTMCell"])
@pytest.mark.parametrize(
    "method",
    [rnn.Scan(), rnn.Checkpointed(rnn.BPTT(chunk=2)), rnn.BPTT(chunk=2)],
    ids=repr,
)
def test_every_method_takes_a_cell_of_flax(name, method):
    theirs = THEIRS[name]()

    def run(method):
        def ours(weights, xs):
            return rnn.unroll(theirs.cell, theirs.params(weights), xs, method=method)

        return parity.outcome(ours, (theirs.weights, XS))

    assert_close(run(method), run(rnn.BPTT()))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nnx, of the user", "linen GRUCell"])
def test_gaps_and_resets_reach_a_cell_of_flax(name):
    """A gap is no step; a mark of reset begins with the initial carry of the module."""
    theirs = THEIRS[name]()
    cell, params = theirs.cell, theirs.weights
    mask = np.ones((STEPS, BATCH), bool)
    mask[2] = False
    carry, hs = rnn.unroll(cell, params, np.where(mask[..., None], XS, np.nan), mask=mask)
    after, kept = rnn.unroll(cell, params, np.delete(XS, 2, 0))
    assert_close((carry, np.delete(hs, 2, 0)), (after, kept))
    reset = np.zeros((STEPS, BATCH), bool)
    reset[3] = True
    carry, hs = rnn.unroll(cell, params, XS, reset=reset)
    after, second = rnn.unroll(cell, params, XS[3:])
    assert_close(
        (carry, hs), (after, np.concatenate([rnn.unroll(cell, params, XS[:3])[1], second]))
    )


@pytest.mark.slow
@every_home
def test_from_flax_and_back_is_the_same_cell(home):
    """Also around it: a part of a stack."""
    module = nnx.GRUCell(*SIZES, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    first, params = from_nnx(module)
    xs = XS.swapaxes(0, 1)
    assert_close(HOMES[home](first, params, xs, {}, {}), nnx.RNN(module)(xs))
    dense = rnn.Dense(HIDDEN, 1)
    both = params, dense.init(jax.random.key(0), jnp.float64)
    ys = HOMES[home](rnn.stack(first, dense), both, xs, {}, {})
    assert_close(ys, nnx.RNN(module)(xs) @ both[1].w + both[1].b)
