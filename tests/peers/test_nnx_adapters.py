"""Cells of rnn_jax in nnx and back: what its modules, optimizers and loops make of them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import rnn_jax as rnn
from rnn_jax.interop.nnx import from_nnx, to_nnx
from tests.cases import assert_close
from tests.peers import parity
from tests.peers.flax_cells import OUR_CELLS, SIZES, XS
from tests.peers.nnx_homes import Own
from tests.peers.parity import BATCH, HIDDEN, INPUTS, LENGTHS, STEPS

pytestmark = pytest.mark.usefixtures("promoting")


@pytest.mark.slow
def test_the_analysis_of_a_cell_of_flax_is_that_of_its_counterpart():
    module = nnx.GRUCell(*SIZES, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    nnx.update(module, parity.moved(nnx.to_pure_dict(nnx.state(module, nnx.Param))))
    known, foreign = rnn.interop.nnx.read(module), from_nnx(module)
    lengths = np.array(LENGTHS[0])
    spectra = [
        rnn.analysis.lyapunov_spectrum(cell, params, XS, lengths=lengths).exponents
        for cell, params in (known, foreign)
    ]
    assert_close(*spectra)

    def loss(hs, _):
        return jnp.sum(jnp.sin(hs), -1)

    shares = [
        rnn.analysis.gradient_by_lag(cell, params, XS, loss=loss, lengths=lengths)
        for cell, params in (known, foreign)
    ]
    assert_close(*shares)


@pytest.mark.slow
@pytest.mark.parametrize("name", OUR_CELLS)
def test_to_nnx_and_back_is_the_same_cell(name):
    cell, params = OUR_CELLS[name].cell, OUR_CELLS[name].params()
    for again, same in (
        from_nnx(to_nnx(cell, params)),
        from_nnx(nnx.merge(*nnx.split(to_nnx(cell, params)))),
    ):
        assert again == cell
        assert jax.tree.structure(same) == jax.tree.structure(params)
        assert jax.tree.all(jax.tree.map(np.array_equal, same, params))


def test_equal_modules_are_equal_cells():
    """So that nothing is compiled anew; modules of other sizes are others."""
    first, second, wider = (
        from_nnx(nnx.GRUCell(INPUTS, hidden, rngs=nnx.Rngs(seed)))[0]
        for seed, hidden in ((0, HIDDEN), (1, HIDDEN), (2, HIDDEN + 2))
    )
    assert first == second
    assert hash(first) == hash(second)
    assert first != wider
    assert repr(first) == f"NnxCell(peer='GRUCell', input_shape=({INPUTS},))"


@pytest.mark.slow
@pytest.mark.parametrize("kind", [nnx.RNN, rnn.interop.nnx.RNN])
def test_an_optimizer_of_nnx_takes_the_steps_of_optax(kind):
    cell = rnn.LSTM(*SIZES)
    params, tx = cell.init(jax.random.key(0), jnp.float64), optax.adam(0.1)
    model = kind(to_nnx(cell, params), time_major=True)
    optimizer, state = nnx.Optimizer(model, tx, wrt=nnx.Param), tx.init(params)

    @nnx.jit
    def update(model, optimizer):
        grads = nnx.grad(lambda model: jnp.mean(model(XS) ** 2))(model)
        optimizer.update(model, grads)

    for _ in range(2):
        update(model, optimizer)
        grads = jax.grad(lambda p: jnp.mean(rnn.unroll(cell, p, XS)[1] ** 2))(params)
        updates, state = tx.update(grads, state)
        params = optax.apply_updates(params, updates)
    assert_close(from_nnx(model.cell)[1], params)


# What Flax's own tests of recurrent layers hold, of the adapter.


@pytest.mark.slow
@pytest.mark.parametrize("name", OUR_CELLS)
def test_a_cell_steps_by_itself(name):
    """Carry by carry, as in a loop or a `lax.scan` of one's own: the numbers of `unroll`."""
    case = OUR_CELLS[name]
    cell, params, xs = case.cell, case.params(), case.xs(STEPS, BATCH)
    module = to_nnx(cell, params)
    carry = module.initialize_carry(xs.shape[1:], nnx.Rngs(0))
    assert_close(carry, cell.initial_carry(params, (BATCH,)))
    assert_close(jax.lax.scan(module, carry, xs), rnn.unroll(cell, params, xs))


@pytest.mark.slow
def test_a_narrow_cell_stays_narrow_and_takes_integers():
    """As nnx does with a dtype: what is read is cast."""
    cell = rnn.LSTM(*SIZES)
    params = cell.init(jax.random.key(0), jnp.bfloat16)
    module = to_nnx(cell, params)
    carry = module.initialize_carry((BATCH, INPUTS))
    for x in (jnp.ones((BATCH, INPUTS), jnp.int32), jnp.ones((BATCH, INPUTS), jnp.float64)):
        after, y = module(carry, x)
        assert y.dtype == after.c.dtype == jnp.bfloat16
    ones = module.initialize_carry((BATCH, INPUTS), nnx.Rngs(0), nnx.initializers.ones)
    assert ones.c.shape == (BATCH, HIDDEN)
    assert (ones.c == 1).all()
    noise = module.initialize_carry((BATCH, INPUTS), nnx.Rngs(0), nnx.initializers.normal())
    assert not (noise.c == noise.h).any()


@pytest.mark.slow
def test_settings_of_the_loop_of_flax_are_its_own():
    cell = rnn.LSTM(*SIZES)
    params = cell.init(jax.random.key(0), jnp.float64)
    expected = rnn.unroll(cell, params, XS)[1]
    assert_close(nnx.RNN(to_nnx(cell, params), time_major=True, unroll=2)(XS), expected)


@pytest.mark.slow
def test_one_cell_in_both_directions_shares_its_params():
    cell = rnn.GRU(*SIZES)
    params = cell.init(jax.random.key(0), jnp.float64)
    shared = to_nnx(cell, params)
    module = nnx.Bidirectional(*[rnn.interop.nnx.RNN(shared) for _ in range(2)], time_major=True)
    assert len(jax.tree.leaves(nnx.state(module, nnx.Param))) == len(params)
    layer = rnn.bidirectional(cell, cell)
    assert_close(module(XS), rnn.unroll(layer, rnn.BidirectionalParams(params, params), XS)[1])


class Random(nnx.GRUCell):
    """With dropout in its step."""

    def __init__(self, *sizes, rngs):
        super().__init__(*sizes, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, carry, inputs):
        return super().__call__(carry, self.dropout(inputs))


class Counting(nnx.GRUCell):
    """With a mean of what went through."""

    def __init__(self, *sizes, rngs):
        super().__init__(*sizes, rngs=rngs)
        self.mean = nnx.BatchStat(jnp.zeros(()))


def test_a_cell_of_nnx_that_is_more_than_a_cell_is_refused():
    rngs = nnx.Rngs(0)
    with pytest.raises(rnn.StructureError, match="its step draws random numbers"):
        from_nnx(Random(*SIZES, rngs=rngs))
    with pytest.raises(rnn.StructureError, match="more than params: mean is of BatchStat"):
        from_nnx(Counting(*SIZES, rngs=rngs))
    with pytest.raises(rnn.StructureError, match=r"RNN is no cell.*hand over its cell"):
        from_nnx(nnx.RNN(nnx.GRUCell(*SIZES, rngs=rngs)))
    with pytest.raises(rnn.StructureError, match=r"float64 .* before a step and float32"):
        from_nnx(nnx.SimpleCell(*SIZES, dtype=jnp.float32, param_dtype=jnp.float64, rngs=rngs))
    with pytest.raises(rnn.ArgumentError, match="no size among those of its arrays fits"):
        from_nnx(Own(*SIZES, rngs=rngs))
    with pytest.raises(rnn.ArgumentError, match=r"takes no input of input_shape=\(7,\)"):
        from_nnx(nnx.GRUCell(*SIZES, rngs=rngs), input_shape=(7,))
    cell, _ = from_nnx(nnx.GRUCell(*SIZES, rngs=rngs))
    with pytest.raises(rnn.StructureError, match="does not keep how it was drawn"):
        cell.init(jax.random.key(0))
    assert all(jnp.isnan(p).all() for p in jax.tree.leaves(jax.jit(cell.init)(jax.random.key(0))))
