"""Cells of rnn_jax in linen and back: what its variables, loops and train states make of them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen
from flax.training.train_state import TrainState

import rnn_jax as rnn
from rnn_jax.interop.linen import from_linen, to_linen
from tests.cases import assert_close
from tests.peers.flax_cells import ATTENDING, OUR_CELLS, SIZES, XS
from tests.peers.parity import BATCH, HIDDEN, INPUTS, STEPS

pytestmark = pytest.mark.usefixtures("promoting")
LINEN_CELLS = [name for name in OUR_CELLS if name not in ATTENDING]


@pytest.mark.slow
@pytest.mark.parametrize("name", LINEN_CELLS)
def test_to_linen_and_back_is_the_same_cell(name):
    cell, params = OUR_CELLS[name].cell, OUR_CELLS[name].params()
    again, same = from_linen(to_linen(cell), {"params": {"weights": params}})
    assert again == cell
    assert jax.tree.structure(same) == jax.tree.structure(params)
    assert jax.tree.all(jax.tree.map(np.array_equal, same, params))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [linen.RNN, rnn.interop.linen.RNN])
def test_a_train_state_of_linen_takes_the_steps_of_optax(kind):
    cell, tx = rnn.LSTM(*SIZES), optax.adam(0.1)
    model = kind(to_linen(cell, param_dtype=jnp.float64), time_major=True)
    variables = model.init(jax.random.key(0), XS)
    params = variables["params"]["cell"]["weights"]
    train, state = TrainState.create(apply_fn=model.apply, tx=tx, **variables), tx.init(params)
    for _ in range(2):
        grads = jax.grad(lambda p: jnp.mean(model.apply({"params": p}, XS) ** 2))(train.params)
        train = train.apply_gradients(grads=grads)
        grads = jax.grad(lambda p: jnp.mean(rnn.unroll(cell, p, XS)[1] ** 2))(params)
        updates, state = tx.update(grads, state)
        params = optax.apply_updates(params, updates)
    assert_close(train.params["cell"]["weights"], params)


# What Flax's own tests of recurrent layers hold, of the adapter.


@pytest.mark.slow
@pytest.mark.parametrize("name", LINEN_CELLS)
def test_a_cell_steps_by_itself(name):
    """Carry by carry, as in a loop or a `lax.scan` of one's own: the numbers of `unroll`."""
    case = OUR_CELLS[name]
    cell, params, xs = case.cell, case.params(), case.xs(STEPS, BATCH)
    unbound, weights = to_linen(cell), {"params": {"weights": params}}
    carry = cell.initial_carry(params, (BATCH,))
    if name != "learned-carry":
        assert_close(unbound.initialize_carry(jax.random.key(0), xs.shape[1:]), carry)
    assert_close(unbound.bind(weights).initialize_carry(jax.random.key(0), xs.shape[1:]), carry)
    steps = jax.lax.scan(lambda c, x: unbound.apply(weights, c, x), carry, xs)
    assert_close(steps, rnn.unroll(cell, params, xs))


@pytest.mark.slow
def test_settings_of_the_loop_of_flax_are_its_own():
    cell = rnn.LSTM(*SIZES)
    params = cell.init(jax.random.key(0), jnp.float64)
    expected = rnn.unroll(cell, params, XS)[1]
    weights = {"params": {"cell": {"weights": params}}}
    module = linen.RNN(to_linen(cell), time_major=True, unroll=2)
    assert_close(module.apply(weights, XS), expected)
    scanned = linen.scan(
        type(to_linen(cell)), variable_broadcast="params", split_rngs={"params": False}
    )(cell)
    carry = cell.initial_carry(params, (BATCH,))
    assert_close(scanned.apply({"params": {"weights": params}}, carry, XS)[1], expected)


@pytest.mark.slow
def test_one_cell_in_both_directions_shares_its_params():
    cell = rnn.GRU(*SIZES)
    params = cell.init(jax.random.key(0), jnp.float64)
    shared = to_linen(cell)
    layers = [rnn.interop.linen.RNN(shared) for _ in range(2)]
    _, variables = linen.Bidirectional(*layers).init_with_output(jax.random.key(0), XS)
    assert len(jax.tree.leaves(variables)) == len(params)


@pytest.mark.slow
@pytest.mark.parametrize(
    "make", [linen.LSTMCell, linen.GRUCell, linen.MGUCell], ids=lambda make: make.__name__
)
def test_linen_draws_the_same_variables_for_either_rnn(make):
    key = jax.random.key(0)
    xs = XS.astype("float32")
    theirs = linen.RNN(make(HIDDEN), time_major=True).init(key, xs)
    ours = rnn.interop.linen.RNN(make(HIDDEN), time_major=True).init(key, xs)
    assert_close(ours, theirs)
    cell, _ = from_linen(make(HIDDEN), {"params": theirs["params"]["cell"]})
    fresh = cell.init(key, jnp.float64)
    assert jax.tree.map(jnp.shape, fresh) == jax.tree.map(jnp.shape, theirs["params"]["cell"])
    assert {p.dtype for p in jax.tree.leaves(fresh)} == {np.dtype("float64")}


class Dropping(linen.GRUCell):
    @linen.compact
    def __call__(self, carry, inputs):
        return super().__call__(carry, linen.Dropout(0.5, deterministic=False)(inputs))


def test_a_cell_of_linen_that_is_more_than_a_cell_is_refused():
    x, carry, key = jnp.zeros((1, INPUTS)), jnp.zeros((1, HIDDEN)), jax.random.key(0)
    module = Dropping(HIDDEN)
    variables = module.init({"params": key, "dropout": key}, carry, x)
    with pytest.raises(rnn.StructureError, match="a step of Dropping draws random numbers"):
        from_linen(module, variables)
    module = linen.GRUCell(HIDDEN, carry_init=linen.initializers.normal())
    variables = module.init(key, carry, x)
    with pytest.raises(rnn.StructureError, match="its initial carry draws random numbers"):
        from_linen(module, variables)
    with pytest.raises(rnn.StructureError, match="more than params, the collection 'batch_stats'"):
        from_linen(module, {**variables, "batch_stats": {"mean": jnp.zeros(3)}})
    image = linen.ConvLSTMCell(2, (2,))
    with pytest.raises(rnn.ArgumentError, match="reads 2 axes a step"):
        from_linen(image, {"params": {"w": jnp.zeros(3)}})
    learned = rnn.learned_carry(rnn.GRU(*SIZES))
    with pytest.raises(rnn.StructureError, match="is made of its params"):
        to_linen(learned).initialize_carry(key, (BATCH, INPUTS))
