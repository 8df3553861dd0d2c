"""Cells of rnn_jax in Flax, and cells of Flax in rnn_jax.

A home is a way in which Flax runs a cell of ours: its own `RNN`, of nnx and of linen, and the two
that call `unroll`. All must have the numbers of `unroll`. What Flax's own tests hold of its cells
and of its `RNN` is held of the adapters.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx
from flax.training.train_state import TrainState

import rnn_jax as rnn
from rnn_jax.interop.linen import from_linen, to_linen
from rnn_jax.interop.nnx import from_nnx, to_nnx
from tests.cases import CASES, assert_close
from tests.peers import parity
from tests.peers.parity import BATCH, HIDDEN, INPUTS, LENGTHS, STEPS

XS = parity.draw(STEPS, BATCH, INPUTS)
SIZES = INPUTS, HIDDEN


@pytest.fixture(autouse=True)
def promoting():
    """What Flax needs while it makes modules and runs them."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def in_nnx(kind):
    def run(cell, params, xs, options, settings):
        return kind(to_nnx(cell, params), **settings)(xs, **options)

    return run


def in_linen(kind):
    def run(cell, params, xs, options, settings):
        return kind(to_linen(cell), **settings).apply(
            {"params": {"cell": {"weights": params}}}, xs, **options
        )

    return run


HOMES = {
    "nnx": in_nnx(nnx.RNN),
    "linen": in_linen(linen.RNN),
    "nnx by unroll": in_nnx(rnn.interop.nnx.RNN),
    "linen by unroll": in_linen(rnn.interop.linen.RNN),
}
every_home = pytest.mark.parametrize("home", HOMES)
OUR_CELLS = {
    case.name: case
    for case in CASES
    if isinstance(case.cell, rnn.Cell) and case.cell.input.kind is jnp.floating
}
QUICK = ("elman", "nnx"), ("learned-carry", "linen by unroll")


@pytest.mark.parametrize(
    ("name", "home"),
    [
        pytest.param(*pair, marks=[] if pair in QUICK else pytest.mark.slow)
        for pair in itertools.product(OUR_CELLS, HOMES)
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
        return carry, jnp.where(valid[..., None], ys, 0.0)

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


def both_in_nnx(kind):
    def run(cells, params, merge):
        layers = [kind(to_nnx(*pair)) for pair in zip(cells, params, strict=True)]
        module = nnx.Bidirectional(*layers, time_major=True, return_carry=True, **merge)
        return module(XS, seq_lengths=jnp.array(LENGTHS[0]))

    return run


def both_in_linen(kind):
    def run(cells, params, merge):
        layers = [kind(to_linen(cell)) for cell in cells]
        module = linen.Bidirectional(*layers, time_major=True, return_carry=True, **merge)
        names = ("forward_rnn", "backward_rnn")
        weights = {n: {"cell": {"weights": p}} for n, p in zip(names, params, strict=True)}
        return module.apply({"params": weights}, XS, seq_lengths=jnp.array(LENGTHS[0]))

    return run


@pytest.mark.slow
@pytest.mark.parametrize("merge", [{}, {"merge_fn": jnp.add}], ids=["concatenated", "added"])
@pytest.mark.parametrize(
    "run",
    [
        both_in_nnx(nnx.RNN),
        both_in_nnx(rnn.interop.nnx.RNN),
        both_in_linen(linen.RNN),
        both_in_linen(rnn.interop.linen.RNN),
    ],
    ids=HOMES,
)
def test_two_directions_of_flax_are_bidirectional(run, merge):
    cells = rnn.LSTM(*SIZES), rnn.Elman(*SIZES)
    params = [parity.moved(cell.init(jax.random.key(0))) for cell in cells]
    carry, ys = run(cells, params, merge)
    layer = rnn.bidirectional(*cells, *merge.values())
    after, hs = rnn.unroll(
        layer, rnn.BidirectionalParams(*params), XS, lengths=np.array(LENGTHS[0])
    )
    assert_close(tuple(carry), tuple(after))
    assert_close(jnp.where(parity.happens(LENGTHS[0])[..., None], ys, 0.0), hs)


class Own(nnx.Module):
    """A cell as a user of Flax writes it, which keeps the rngs that it was made with."""

    def __init__(self, inputs, hidden, *, rngs, dtype=None, param_dtype=jnp.float32):
        self.hidden, self.rngs = hidden, rngs
        self.dense = nnx.Linear(
            inputs + hidden, hidden, dtype=dtype, param_dtype=param_dtype, rngs=rngs
        )
        self.dropout = nnx.Dropout(0.5, deterministic=True, rngs=rngs)

    def __call__(self, carry, inputs):
        h = jnp.sin(self.dropout(self.dense(jnp.concatenate([inputs, carry], -1))))
        return h, 2 * h

    def initialize_carry(self, input_shape, rngs=None):
        return jnp.ones((*input_shape[:-1], self.hidden))

    @property
    def num_feature_axes(self):
        return 1


class Theirs(NamedTuple):
    """A cell of Flax: its own run of a sequence, and what it is here."""

    weights: Any
    run: Callable[..., Any]
    """`(weights, xs, lengths) -> (carry, ys)`."""
    cell: rnn.Cell
    params: Callable[[Any], Any]
    """The params of `cell` from the weights."""
    inputs: tuple[int, ...] = (INPUTS,)


def nnx_cell(kind):
    def build():
        wide = {"dtype": jnp.float64, "param_dtype": jnp.float64}
        module = kind(*SIZES, **wide, rngs=nnx.Rngs(0))
        graph, state, rest = nnx.split(module, nnx.Param, ...)
        weights = parity.moved(nnx.to_pure_dict(state))

        def merged(weights):
            # To run a module, and to replace, is to write into it.
            own, others = jax.tree.map(lambda x: x, (state, rest))
            nnx.replace_by_pure_dict(own, weights)
            return nnx.merge(graph, own, others)

        def run(weights, xs, lengths):
            layer = nnx.RNN(merged(weights), time_major=True, return_carry=True)
            return layer(xs, seq_lengths=lengths)

        shape = (INPUTS,) if kind is Own else None
        cell, _ = from_nnx(module, input_shape=shape)
        return Theirs(weights, run, cell, lambda w: from_nnx(merged(w), input_shape=shape)[1])

    return build


def linen_cell(module, inputs=(INPUTS,)):
    def build():
        x = jnp.zeros((1, *inputs))
        carry = module.initialize_carry(jax.random.key(0), x.shape)
        weights = parity.moved(module.init(jax.random.key(0), carry, x)["params"])
        layer = linen.RNN(module, time_major=True, return_carry=True)

        def run(weights, xs, lengths):
            # Its initial carry is float32 unless the module has a dtype.
            carry = module.initialize_carry(jax.random.key(0), (BATCH, *inputs))
            carry = jax.tree.map(lambda c: c.astype(jnp.float64), carry)
            weights = {"params": {"cell": weights}}
            return layer.apply(weights, xs, initial_carry=carry, seq_lengths=lengths)

        shape = inputs if len(inputs) > 1 else None
        cell, _ = from_linen(module, {"params": weights}, input_shape=shape)
        return Theirs(weights, run, cell, lambda w: w, inputs)

    return build


THEIRS = {
    "nnx SimpleCell": nnx_cell(nnx.SimpleCell),
    "nnx LSTMCell": nnx_cell(nnx.LSTMCell),
    "nnx OptimizedLSTMCell": nnx_cell(nnx.OptimizedLSTMCell),
    "nnx GRUCell": nnx_cell(nnx.GRUCell),
    "nnx, of the user": nnx_cell(Own),
    "linen SimpleCell": linen_cell(linen.SimpleCell(HIDDEN)),
    "linen SimpleCell, residual": linen_cell(linen.SimpleCell(HIDDEN, residual=True)),
    "linen LSTMCell": linen_cell(linen.LSTMCell(HIDDEN)),
    "linen OptimizedLSTMCell": linen_cell(linen.OptimizedLSTMCell(HIDDEN)),
    "linen GRUCell": linen_cell(linen.GRUCell(HIDDEN)),
    "linen MGUCell": linen_cell(linen.MGUCell(HIDDEN)),
    "linen ConvLSTMCell": linen_cell(linen.ConvLSTMCell(2, (2,)), (4, INPUTS)),
}


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
def test_to_flax_and_back_is_the_same_cell(name):
    cell, params = OUR_CELLS[name].cell, OUR_CELLS[name].params()
    for again, same in (
        from_nnx(to_nnx(cell, params)),
        from_nnx(nnx.merge(*nnx.split(to_nnx(cell, params)))),
        from_linen(to_linen(cell), {"params": {"weights": params}}),
    ):
        assert again == cell
        assert jax.tree.structure(same) == jax.tree.structure(params)
        assert jax.tree.all(jax.tree.map(np.array_equal, same, params))


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


# What Flax's own tests of recurrent layers hold, of the adapters.


@pytest.mark.slow
@pytest.mark.parametrize("name", OUR_CELLS)
def test_a_cell_steps_by_itself(name):
    """Carry by carry, as in a loop or a `lax.scan` of one's own: the numbers of `unroll`."""
    case = OUR_CELLS[name]
    cell, params, xs = case.cell, case.params(), case.xs(STEPS, BATCH)
    module, unbound, weights = to_nnx(cell, params), to_linen(cell), {"params": {"weights": params}}
    carry = module.initialize_carry(xs.shape[1:], nnx.Rngs(0))
    assert_close(carry, cell.initial_carry(params, (BATCH,)))
    if name != "learned-carry":
        assert_close(unbound.initialize_carry(jax.random.key(0), xs.shape[1:]), carry)
    assert_close(unbound.bind(weights).initialize_carry(jax.random.key(0), xs.shape[1:]), carry)
    after, hs = rnn.unroll(cell, params, xs)
    assert_close(jax.lax.scan(module, carry, xs), (after, hs))
    steps = jax.lax.scan(lambda c, x: unbound.apply(weights, c, x), carry, xs)
    assert_close(steps, (after, hs))


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
    shared = to_nnx(cell, params)
    module = nnx.Bidirectional(*[rnn.interop.nnx.RNN(shared) for _ in range(2)], time_major=True)
    assert len(jax.tree.leaves(nnx.state(module, nnx.Param))) == len(params)
    layer = rnn.bidirectional(cell, cell)
    assert_close(module(XS), rnn.unroll(layer, rnn.BidirectionalParams(params, params), XS)[1])
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


class Dropping(linen.GRUCell):
    @linen.compact
    def __call__(self, carry, inputs):
        return super().__call__(carry, linen.Dropout(0.5, deterministic=False)(inputs))


def test_a_cell_of_flax_that_is_more_than_a_cell_is_refused():
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
