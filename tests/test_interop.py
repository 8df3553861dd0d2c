"""Weights of other libraries, by their arrays alone: no other library is needed here.

`tests/peers` runs the libraries themselves.
"""

import itertools
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnn_jax as rnn
from rnn_jax.interop import reading
from rnn_jax.interop.description import compare, describe
from rnn_jax.interop.names import named
from rnn_jax.interop.own import ELMAN, SIZES
from rnn_jax.interop.sizes import misfit
from tests import interop_reference as theirs
from tests import reference
from tests.cases import assert_close, plain
from tests.pages import ROOT, code_blocks

MODULES = [
    m for m in vars(rnn.interop).values() if isinstance(m, ModuleType) and hasattr(m, "LIBRARY")
]
ROWS = [(module, layout) for module in MODULES for layout in module.LIBRARY.layouts]
every_row = pytest.mark.parametrize(
    ("module", "layout"), ROWS, ids=[f"{m.LIBRARY.name}-{row.peer}" for m, row in ROWS]
)
sizes = st.fixed_dictionaries({symbol: st.integers(1, 5) for symbol in SIZES}).map(
    lambda found: {"1": 1, **found}
)


def drawn(layout, sizes, seed=0, dtype=np.float64):
    """Arrays of theirs."""
    rng = np.random.default_rng(seed)
    return {
        array.name: rng.normal(
            size=[sum(n * sizes[s] for s, n in axis.items()) for axis in array.shape(layout.own)]
        ).astype(dtype)
        for array in layout.arrays
    }


def tanh_or_its_own(layout):
    """What `read` must be told of an Elman network."""
    if layout.own is not ELMAN or (layout.activations or {}).keys() == {"relu"}:
        return {}
    return {"activation": jnp.tanh}


def source(module, layout, arrays):
    return named(module.LIBRARY, [[arrays]], [[layout.module]])


# Cells that only the library's own object tells apart.
ALIKE = {
    ("Keras", "GRU"): {"bias"},
    ("Keras", "GRU, reset_after=False"): {"bias"},
    ("ONNX", "GRU"): set(),
    ("ONNX", "GRU, linear_before_reset=1"): set(),
}


def read_as(module, layout, arrays):
    """By the public function; or, where arrays may be those of two cells, by the name of one."""
    full, said = source(module, layout, arrays), tanh_or_its_own(layout)
    apart_by = ALIKE.get((module.LIBRARY.name, layout.peer))
    if apart_by is None or apart_by & arrays.keys():
        return module.read(full, **said)
    with pytest.raises(rnn.StructureError, match=r"may be those of GRU.* or GRU"):
        module.read(full, **said)
    return reading.read(module.LIBRARY, full, None, layout.peer)


def inputs(cell, seed, *batch):
    """What it reads: numbers, or tokens that it knows."""
    rng = np.random.default_rng(seed)
    if cell.input.kind is jnp.integer:
        return rng.integers(0, cell.vocabulary_size, batch)
    return rng.normal(size=(*batch, *cell.input.shape))


def ours(cell, params, xs):
    """What our equations make of params that were read, in NumPy."""
    steps = {
        rnn.Elman: reference.elman(
            np.tanh if getattr(cell, "activation", 0) is jnp.tanh else reference.relu
        ),
        rnn.LSTM: reference.lstm,
        rnn.ProjectedLSTM: reference.projected_lstm,
        rnn.GRU: reference.gru,
        rnn.ResetBeforeGRU: reference.reset_before_gru,
        rnn.Embedding: reference.embedding(),
        rnn.Dense: reference.dense,
    }
    carry = cell.initial_carry(params, xs.shape[1 : xs.ndim - len(cell.input.shape)])
    return reference.loop(steps[type(cell)])(plain(params), plain(carry), xs)[1]


@every_row
@settings(max_examples=8)
@given(sizes=sizes, seed=st.integers(0, 99))
def test_what_is_read_has_their_numbers(module, layout, sizes, seed):
    arrays = drawn(layout, sizes, seed)
    cell, params = read_as(module, layout, arrays)
    xs = inputs(cell, seed + 1, 4, 2)
    states = (sizes["P"] if "proj" in layout.peer else sizes["H"], sizes["H"])
    step = theirs.STEPS[module.LIBRARY.name, layout.peer]
    expected = theirs.run(step, arrays, states[: 1 + ("LSTM" in layout.peer)], xs)
    assert_close(ours(cell, params, xs), expected, 1e-12)


NUMBERS = [-0.0, np.nan, np.inf, -np.inf, 5e-324, 1 / 3]


def ordinary(layer, seed, dtype):
    """Params in which each number is another, and some are none of the usual."""
    rng = np.random.default_rng(seed)

    def other(leaf):
        odd = rng.choice(NUMBERS, leaf.shape)
        return np.where(rng.random(leaf.shape) < 0.2, odd, rng.normal(size=leaf.shape)).astype(
            dtype
        )

    return jax.tree.map(other, jax.eval_shape(lambda: layer.init(jax.random.key(0))))


def bits(tree):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


def unplaced(layout, params):
    """The params with zeros where their arrays have no place."""
    held = {piece.field for array in layout.arrays for row in array.rows for piece in row}
    return params._replace(
        **{f: np.zeros_like(getattr(params, f)) for f in params._fields if f not in held}
    )


def written_by(module):
    """The cells of ours that a library has, with the row that is written."""
    first = {}
    for layout in module.LIBRARY.layouts:
        first.setdefault(layout.own.cell, layout)
    return first.values()


WRITTEN = [(module, row) for module in MODULES for row in written_by(module)]


def symbols_of(layout):
    return {symbol for field in layout.own.fields for symbol in field.shape}


def cell_of(layout, sizes, inputs):
    own = {SIZES[s]: inputs if s == "D" else sizes[s] for s in symbols_of(layout)}
    activation = layout.activations and next(iter(layout.activations.values()))
    if layout.own is ELMAN:
        own["activation"] = activation or jnp.tanh
    return layout.own.cell(**own)


def layers(module, layout, sizes, depth, both):
    """A cell, a bidirectional layer, a stack of either: as much of it as they have."""
    naming, symbols = module.LIBRARY.naming, symbols_of(layout)
    inputs, found = sizes["D"], []
    for _ in range(depth if naming.layers is not None and "D" in symbols else 1):
        cell = cell_of(layout, sizes, inputs)
        two = both and naming.both is not None and "H" in symbols
        found.append(rnn.bidirectional(cell, cell) if two else cell)
        emitted = next(symbol for symbol in "PHF" if symbol in symbols)
        inputs = sizes[emitted] * (1 + two)
    return found[0] if len(found) == 1 else rnn.stack(*found)


@pytest.mark.parametrize(
    ("module", "layout"), WRITTEN, ids=[f"{m.LIBRARY.name}-{row.peer}" for m, row in WRITTEN]
)
@settings(max_examples=6)
@given(
    sizes=sizes,
    depth=st.integers(1, 3),
    both=st.booleans(),
    seed=st.integers(0, 99),
    dtype=st.sampled_from([np.float64, np.float32, jnp.bfloat16]),
)
def test_what_is_written_and_read_again_is_the_same_to_the_bit(
    module, layout, sizes, depth, both, seed, dtype
):
    if any(p.offset for array in layout.arrays for row in array.rows for p in row):
        return
    layer = layers(module, layout, sizes, depth, both)
    params = ordinary(layer, seed, dtype)
    params = jax.tree.map(
        lambda p: unplaced(layout, p), params, is_leaf=lambda p: isinstance(p, layout.own.params)
    )
    said = tanh_or_its_own(layout)
    if module is rnn.interop.onnx:
        pytest.importorskip("onnx", reason="onnx is absent: `make test-peers` installs it")
        params, said = jax.tree.map(lambda p: p.astype(np.float32), params), {}
    again, same = module.read(module.write(layer, params), **said)
    assert again == layer
    assert jax.tree.structure(same) == jax.tree.structure(params)
    assert bits(same) == bits(params)


def test_the_forget_bias_of_haiku_is_rounded_as_haiku_rounds_it():
    cell = rnn.LSTM(3, 5)
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32),
        jax.eval_shape(lambda: cell.init(jax.random.key(0))),
    )
    _, again = rnn.interop.haiku.read(rnn.interop.haiku.write(cell, params))
    f = slice(5, 10)
    np.testing.assert_array_equal(np.delete(again.b_h, f), np.delete(params.b_h, f))
    assert bits(again[:2]) == bits(params[:2])
    np.testing.assert_allclose(again.b_h[f], params.b_h[f], rtol=0, atol=2.0**-23)
    # That of a fresh cell, 1, is theirs of 0.
    fresh = rnn.interop.haiku.write(cell, params._replace(b_h=np.ones(20, np.float32)))
    assert (fresh["lstm/linear"]["b"].reshape(4, 5)[2] == 0).all()


@settings(max_examples=12)
@given(
    kind=st.sampled_from(["RNN", "LSTM", "LSTM, proj_size", "GRU"]),
    sizes=sizes,
    depth=st.integers(1, 3),
    both=st.booleans(),
    seed=st.integers(0, 99),
)
def test_layers_and_directions_of_a_state_dict(kind, sizes, depth, both, seed):
    (layout,) = (row for row in rnn.interop.torch.LIBRARY.layouts if row.peer == kind)
    emitted = sizes["P"] if "proj" in kind else sizes["H"]
    arrays, inputs = {}, sizes["D"]
    for k, end in itertools.product(range(depth), ["", "_reverse"][: 1 + both]):
        inputs = sizes["D"] if k == 0 else emitted * (1 + both)
        own = drawn(layout, {**sizes, "D": inputs}, seed + 7 * k + len(end))
        arrays |= {f"{name}_l{k}{end}": array for name, array in own.items()}
    layer, params = rnn.interop.torch.read(arrays, **tanh_or_its_own(layout))

    def run(layer, params, xs):
        if isinstance(layer, rnn.LayerStack):
            for one, own in zip(layer.layers, params, strict=True):
                xs = run(one, own, xs)
            return xs
        if isinstance(layer, rnn.Bidirectional):
            ahead = run(layer.forward, params.forward, xs)
            behind = run(layer.backward, params.backward, xs[::-1])[::-1]
            return np.concatenate([ahead, behind], -1)
        return np.stack(ours(layer, params, xs))

    xs = np.random.default_rng(seed).normal(size=(4, 2, sizes["D"]))
    states = (emitted, sizes["H"])[: 1 + ("LSTM" in kind)]
    expected = theirs.torch_layers(theirs.STEPS["PyTorch", kind], arrays, states, xs)
    assert_close(run(layer, params, xs), expected, 1e-12)


@every_row
def test_arrays_that_may_be_left_out_are_zeros(module, layout):
    optional = {array.name for array in layout.arrays if array.optional}
    if not optional:
        return
    arrays = drawn(layout, {symbol: size for size, symbol in enumerate(["1", *SIZES], start=1)})
    zeros = {n: np.zeros_like(a) if n in optional else a for n, a in arrays.items()}
    expected = read_as(module, layout, zeros)
    found = read_as(module, layout, {n: a for n, a in arrays.items() if n not in optional})
    assert found[0] == expected[0]
    assert bits(found[1]) == bits(expected[1])


@every_row
@settings(max_examples=8)
@given(sizes=sizes, data=st.data())
def test_an_array_of_another_shape_is_named(module, layout, sizes, data):
    """In any axis, whichever array says the sizes first."""
    arrays = drawn(layout, sizes)
    name = data.draw(st.sampled_from(sorted(arrays)))
    axis = data.draw(st.integers(0, arrays[name].ndim - 1))
    odd = {**arrays, name: np.repeat(arrays[name], 2, axis)}
    found, complaint = misfit(layout, odd)
    if complaint is None:  # it is of other sizes: then it fits those
        assert found != sizes
        assert drawn(layout, found)[name].shape == odd[name].shape
    else:
        assert complaint.startswith(tuple(arrays))


def test_what_is_read_can_be_differentiated(key):
    """The gradients by both biases of PyTorch are one: their sum is all that they are."""
    cell = rnn.LSTM(2, 3)
    arrays = rnn.interop.torch.write(cell, cell.init(key, jnp.float64))

    def loss(arrays):
        layer, params = rnn.interop.torch.read(arrays)
        return jnp.sum(rnn.unroll(layer, params, jnp.ones((4, 2)))[1] ** 2)

    grads = jax.jit(jax.grad(loss))(jax.tree.map(jnp.asarray, arrays))
    assert grads.keys() == arrays.keys()
    assert (grads["bias_ih_l0"] == grads["bias_hh_l0"]).all()
    assert (grads["weight_hh_l0"] != 0).all()


def test_what_is_read_is_no_view_of_theirs(key):
    cell = rnn.GRU(2, 3)
    arrays = rnn.interop.torch.write(cell, cell.init(key))
    before = arrays["weight_ih_l0"].copy()
    _, params = rnn.interop.torch.read(arrays)
    for array in arrays.values():
        array += 1
    np.testing.assert_array_equal(params.w_xh, before.T)


def test_the_names_around_a_layer_do_not_matter(key):
    cell = rnn.LSTM(2, 3)
    params = cell.init(key)
    torch = {f"encoder.rnn.{n}": a for n, a in rnn.interop.torch.write(cell, params).items()}
    haiku = {f"net/~/{n}": a for n, a in rnn.interop.haiku.write(cell, params).items()}
    linen = rnn.interop.linen.write(cell, params)["params"]
    linen = {"params": {"encoder": {"rnn": linen}}}
    for module, arrays in (
        (rnn.interop.torch, torch),
        (rnn.interop.haiku, haiku),
        (rnn.interop.linen, linen),
        (rnn.interop.linen, linen["params"]["encoder"]["rnn"]["cell"]),
    ):
        layer, same = module.read(arrays)
        assert layer == cell
        assert bits(same) == bits(params)


def test_settings_that_arrays_do_not_hold_do_not_hinder(key):
    """As how it was once initialised."""
    cell = rnn.LSTM(2, 3, memory_bias=rnn.Chrono(50))
    layer, _ = rnn.interop.torch.read(rnn.interop.torch.write(cell, cell.init(key)))
    assert layer == rnn.LSTM(2, 3)


def test_the_page_has_the_tables():
    page = (ROOT / "docs" / "interop.md").read_text(encoding="utf-8")
    for module in MODULES:
        table = describe(module.LIBRARY)
        assert table in page, f"docs/interop.md needs this:\n\n{table}"


COMING_FROM = {
    page.stem: page.read_text("utf-8") for page in (ROOT / "docs" / "coming_from").glob("*.md")
}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.LIBRARY.name)
def test_the_page_for_those_who_come_from_a_library_has_its_table(module):
    """In ONNX nobody writes a network."""
    if module is rnn.interop.onnx:
        return
    (page,) = (text for text in COMING_FROM.values() if f"|  | {module.LIBRARY.name} |" in text)
    table = compare(module.LIBRARY)
    assert table in page, f"docs/coming_from needs this:\n\n{table}"


def test_all_who_come_find_the_same_lines_here():
    """From the heading Here to the next one."""
    here = {text.split("\n## Here\n")[1].split("\n## ")[0] for text in COMING_FROM.values()}
    assert len(here) == 1
    ((_, source),) = code_blocks(here.pop(), "python")
    assert "rnn.unroll(cell, params, xs, lengths=lengths)" in source
