"""A folder to share: what is saved is loaded to the bit, and what a stranger wrote runs nothing."""

import contextlib
import dataclasses
import importlib
import json
import os
import pickle
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnn_jax as rnn
from rnn_jax.sharing import names as module
from rnn_jax.sharing.names import Names
from rnn_jax.sharing.values import described, made
from tests.cases import every, every_case
from tests.split import OutputGated
from tests.unsplit import PeepholeLSTM

numpy_files = pytest.importorskip(
    "safetensors.numpy", reason="safetensors is absent: pip install '.[safetensors]'"
)

OWN = {"OutputGated": OutputGated, "PeepholeLSTM": PeepholeLSTM}
GRU = rnn.GRU(2, 3)
CONFIG, ARRAYS = "config.json", "model.safetensors"


def some_params(layer, dtype=jnp.float32):
    """Numbers for all params without running init, whose compilation is what costs."""
    draw = np.random.default_rng(0)
    shapes = jax.eval_shape(layer.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.asarray(draw.normal(size=leaf.shape), dtype), shapes)


def assert_same(layer, params, loaded):
    again, same = loaded
    assert again == layer
    assert hash(again) == hash(layer)
    assert jax.tree.structure(same) == jax.tree.structure(params)
    for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(same), strict=True):
        assert isinstance(b, jax.Array)
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


@pytest.fixture
def folder(tmp_path):
    """A folder with a GRU in it."""
    rnn.save(tmp_path / "gru", GRU, some_params(GRU))
    return tmp_path / "gru"


def edit(folder, **changes):
    """Other entries in `config.json`."""
    record = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(record | changes))


def refused(folder, error, message, **options):
    with pytest.raises(error, match=f"(?s){message}") as raised:
        rnn.load(folder, **options)
    assert str(raised.value).endswith(".")
    assert str(folder) in str(raised.value)


# -- There and back ------------------------------------------------------------------------------


@every("loop")
def test_every_layer_comes_back(case, tmp_path):
    params = some_params(case.cell, jnp.bfloat16)
    rnn.save(tmp_path, case.cell, params, names=OWN)
    assert_same(case.cell, params, rnn.load(tmp_path, names=OWN))


@every_case
def test_every_layer_is_a_value_of_names(case):
    assert as_written_and_read(case.cell) == case.cell


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.float64])
def test_every_dtype_comes_back(dtype, tmp_path):
    params = some_params(GRU, dtype)
    rnn.save(tmp_path, GRU, params)
    assert_same(GRU, params, rnn.load(tmp_path))


def test_a_layer_without_params_comes_back(tmp_path):
    rnn.save(tmp_path, rnn.Dropout(3, 0.5), ())
    assert_same(rnn.Dropout(3, 0.5), (), rnn.load(tmp_path))


def test_an_array_that_lies_column_after_column_comes_back(tmp_path):
    params = jax.tree.map(lambda leaf: np.asarray(leaf, order="F"), some_params(GRU))
    assert not params.w_xh.flags.c_contiguous
    rnn.save(tmp_path, GRU, params)
    np.testing.assert_array_equal(rnn.load(tmp_path)[1].w_xh, params.w_xh)


def test_arrays_are_named_by_their_paths(tmp_path):
    model = rnn.stack(rnn.Embedding(5, 2), rnn.learned_carry(rnn.Elman(2, 3)))
    rnn.save(tmp_path, model, some_params(model))
    assert sorted(numpy_files.load_file(tmp_path / ARRAYS)) == [
        "0.w",
        "1.carry.h",
        "1.layer.b_h",
        "1.layer.w_hh",
        "1.layer.w_xh",
    ]


def as_written_and_read(value):
    table = Names("test", OWN)
    return made(json.loads(json.dumps(described(value, table, "value"))), table, "value")


finite = st.floats(allow_nan=False, allow_infinity=False)
rates = st.floats(0, 1, exclude_max=True)
methods = st.recursive(
    st.sampled_from(
        [
            rnn.Scan(),
            rnn.BPTT(),
            rnn.BPTT(store=0),
            rnn.Automatic(),
            rnn.Associative(),
            rnn.Fused(),
            rnn.Newton(),
            rnn.Newton(jacobian=rnn.DiagonalJacobian()),
        ]
    ),
    lambda inner: st.builds(rnn.Checkpointed, inner, st.integers(1, 99)),
    max_leaves=2,
)
inits = st.one_of(
    st.builds(rnn.Normal, st.floats(1e-300, 1e300)),
    st.just(rnn.Uniform(-0.1, 1 / 3)),
    st.builds(rnn.Chain, finite, finite),
    st.sampled_from([rnn.initializers.zeros, rnn.initializers.orthogonal]),
)
activations = st.sampled_from([jnp.tanh, jnp.sin, jax.nn.relu, jax.nn.gelu, jax.nn.silu])
cells = st.one_of(
    st.builds(rnn.Elman, st.just(2), st.just(2), activations, inits, inits),
    st.builds(rnn.LSTM, st.just(2), st.just(2), memory_bias=st.builds(rnn.ForgetBias, finite)),
    st.just(rnn.GRU(2, 2, memory_bias=rnn.Chrono(9))),
)
# Made by their classes, which check less than their functions and trace nothing.
layers = st.recursive(
    cells,
    lambda inner: st.one_of(
        st.builds(rnn.LayerStack, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(rnn.Bidirectional, inner, inner, st.sampled_from([rnn.concatenate, jnp.add])),
        st.builds(rnn.ResidualLayer, inner),
        st.builds(rnn.WithMethodLayer, inner, methods),
        st.builds(rnn.Zoneout, cells, rates | st.builds(rnn.LSTMCarry, rates, rates)),
        st.builds(rnn.Variational, cells, rates, rates),
        st.builds(rnn.VariationalDropout, st.integers(1, 9), rates),
    ),
    max_leaves=6,
)


@settings(max_examples=50)
@given(layers)
def test_layers_of_layers_are_values_of_names(layer):
    again = as_written_and_read(layer)
    assert again == layer
    assert repr(again) == repr(layer)  # 1 and 1.0 are equal, and are not the same


# -- Names ---------------------------------------------------------------------------------------


def test_a_name_is_where_python_finds_it():
    """Or else a folder would not be found again when the table is made another way."""
    for name, value in module._table().items():
        place, _, attribute = name.rpartition(".")
        assert getattr(importlib.import_module(place), attribute) is value


def test_every_public_layer_and_method_has_a_name():
    known = set(module._table().values())
    public = [getattr(rnn, name) for name in rnn.__all__]
    values = [kind for kind in public if dataclasses.is_dataclass(kind)]
    assert rnn.LSTM in values
    assert rnn.Newton in values
    assert {kind for kind in values if kind is not rnn.SizedCell} <= known


def test_an_alias_has_one_name():
    table = Names("test", None)
    assert jax.nn.tanh is jnp.tanh
    assert table.of(jax.nn.tanh) == "jax.numpy.tanh"
    assert table.of(jax.nn.swish) == table.of(jax.nn.silu) == "jax.nn.silu"


GADGETS = [
    "os.system",
    "builtins.eval",
    "subprocess.run",
    "evil.run",
    "jax.numpy.load",
    "jax.numpy.save",
    "jax.numpy.fromfile",
    "jax.numpy.fromfunction",
    "jax.numpy.set_printoptions",
    "jax.numpy.os.system",
    "rnn_jax.keep_memory",
    "rnn_jax.load",
    "rnn_jax.save",
    "rnn_jax.words.read_vectors",
    "rnn_jax.interop.torch.read",
    "rnn_jax.sys",
    "rnn_jax.__main__.main",
    "rnn_jax.LSTM.__init__",
    "rnn_jax.sharing.folder.load",
    "rnn_jax.SizedCell",
    "",
    "__class__",
]


@pytest.mark.parametrize("name", [*GADGETS, None, 3, ["os.system"]])
def test_a_name_that_is_not_in_the_table_runs_nothing(name, folder, monkeypatch):
    """Not as a layer, not as a function, not as a class that is called with arguments."""
    ran = []
    monkeypatch.setattr(os, "system", ran.append)
    (folder / "evil.py").write_text("import pathlib; pathlib.Path('ran').touch(); run = print")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(folder)
    elman = {"class": "rnn_jax.Elman", "input_size": 2, "hidden_size": 3}
    for layer in (
        {"class": name, "command": "touch ran"},
        {"class": name},
        {"name": name},
        {**elman, "activation": {"name": name}},
        {**elman, "input_init": {"class": name, "args": ["touch ran"]}},
    ):
        edit(folder, layer=layer)
        refused(folder, rnn.ArgumentError, "speaks of .* and nothing else is looked up")
    assert not ran
    assert not Path("ran").exists()
    assert "evil" not in sys.modules


class Evil:
    """What runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.parametrize("file", [CONFIG, ARRAYS])
@pytest.mark.parametrize("protocol", [0, 5])
def test_a_pickle_is_refused_and_not_run(file, protocol, folder, monkeypatch):
    monkeypatch.chdir(folder)
    evil = pickle.dumps(Evil(), protocol)
    pickle.loads(evil)
    assert Path("ran").exists(), "the test is none: it does no harm"
    Path("ran").unlink()
    (folder / file).write_bytes(evil)
    refused(folder, rnn.ArgumentError, f"{file}' is damaged")
    assert not Path("ran").exists()


def test_what_has_no_name_is_handed_over_with_one(tmp_path):
    @dataclasses.dataclass(frozen=True)
    class Own(rnn.Elman):
        sharpness: float = 1.0

    def squash(a):
        return a / (1 + jnp.abs(a))

    layer, names = Own(2, 3, squash, sharpness=2.0), {"Own": Own, "squash": squash}
    params = some_params(layer)
    with pytest.raises(rnn.StructureError, match=r"save: layer, .* no public name.*names="):
        rnn.save(tmp_path, layer, params)
    with pytest.raises(rnn.StructureError, match=r"layer.activation, the function squash, has no"):
        rnn.save(tmp_path, layer, params, names={"Own": Own})
    assert not list(tmp_path.iterdir()), "half of a folder"
    rnn.save(tmp_path, layer, params, names=names)
    assert_same(layer, params, rnn.load(tmp_path, names=names))
    refused(tmp_path, rnn.ArgumentError, "speaks of 'Own', .*names={'Own': ...}")
    refused(tmp_path, rnn.ArgumentError, r"layer.activation speaks of 'squash'", names={"Own": Own})


def test_a_layer_that_is_more_than_its_settings_is_refused(tmp_path):
    class Hidden(rnn.Elman):
        def __eq__(self, other):
            return self is other

        __hash__ = object.__hash__

    layer = Hidden(2, 3)
    with pytest.raises(rnn.StructureError, match="not made again by its settings alone"):
        rnn.save(tmp_path, layer, some_params(layer), names={"Hidden": Hidden})


# -- Damage --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    """A folder for many tries, which leave it as it was."""
    folder = tmp_path_factory.mktemp("dense")
    layer = rnn.Dense(2, 3, jnp.tanh)
    rnn.save(folder, layer, some_params(layer))
    return folder


@contextlib.contextmanager
def holding(path, content):
    """With other bytes in a file."""
    whole = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(whole)


@settings(max_examples=30)
@given(data=st.data())
def test_a_bit_that_flips_is_found(data, dense):
    broken = bytearray((dense / ARRAYS).read_bytes())
    bit = data.draw(st.integers(0, 8 * len(broken) - 1))
    broken[bit // 8] ^= 1 << bit % 8
    with holding(dense / ARRAYS, broken), pytest.raises(rnn.RNNError):
        rnn.load(dense)


@pytest.mark.parametrize("file", [CONFIG, ARRAYS])
def test_a_file_that_is_cut_is_found(file, folder):
    whole = (folder / file).read_bytes()
    for length in {0, 1, 7, 8, 9, len(whole) // 2, len(whole) - 3}:
        (folder / file).write_bytes(whole[:length])
        refused(folder, rnn.ArgumentError, f"{file}' is damaged")


scraps = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)


def places(description, path=()):
    """The way to each value inside."""
    yield path
    inside = description.items() if isinstance(description, dict) else ()
    for key, value in inside:
        yield from places(value, (*path, key))


def replaced(description, path, value):
    if not path:
        return value
    return description | {path[0]: replaced(description[path[0]], path[1:], value)}


@pytest.mark.slow  # the tests below have the cases that were thought of
@settings(max_examples=400)
@given(data=st.data())
def test_whatever_stands_in_the_config_gets_a_sentence(data, dense):
    """An error of ours, or a layer; never another error."""
    record = json.loads((dense / CONFIG).read_text())
    path = data.draw(st.sampled_from(list(places(record))))
    known = st.sampled_from(sorted(module._table()))
    value = data.draw(
        scraps | st.builds(lambda n: {"name": n}, known) | st.builds(lambda n: {"class": n}, known)
    )
    content = json.dumps(replaced(record, path, value)).encode()
    with holding(dense / CONFIG, content):
        try:
            assert isinstance(rnn.load(dense)[0], rnn.Layer)
            said = "."
        except rnn.RNNError as error:
            said = str(error)
    assert said.endswith(".")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "newer rnn_jax, in version 2 of the format, .* up to 1; update rnn_jax"),
        ({"version": 0}, "is damaged: its version is 0"),
        ({"version": "1"}, "is damaged: its version is '1'"),
        ({"format": "run"}, "not of a folder that rnn_jax.save wrote; a run becomes one by"),
        ({"sha256": "0"}, "is damaged, or not the file that config.json was written with"),
        ({"layer": {"class": "rnn_jax.GRU"}}, "these settings make no rnn_jax.GRU: .*input_size"),
        (
            {"layer": {"class": "rnn_jax.GRU", "input_size": 2, "hidden_size": -3}},
            "make no rnn_jax.GRU: GRU: hidden_size must be a positive integer, got -3",
        ),
        ({"layer": {"name": "jax.numpy.tanh", "more": 1}}, "must be a value by its class"),
        ({"layer": {"class": "jax.numpy.tanh"}}, "'jax.numpy.tanh' is no class of values"),
    ],
)
def test_a_config_of_another_kind_is_told(changes, message, folder):
    edit(folder, **changes)
    refused(folder, rnn.ArgumentError, message)


def test_settings_that_make_no_params_are_told(folder):
    edit(folder, layer={"class": "rnn_jax.GRU", "input_size": 2, "hidden_size": 10**30})
    refused(folder, rnn.StructureError, f"{CONFIG}': layer: these settings of GRU.* make no params")


@pytest.mark.parametrize(
    "layer", [None, 3, [], {"name": "jax.numpy.tanh"}, {"class": "rnn_jax.Scan"}]
)
def test_what_is_no_layer_is_told(layer, folder):
    edit(folder, layer=layer)
    refused(folder, rnn.StructureError, "layer must be a Layer")


def test_numbers_that_are_none_and_nests_without_end_are_told(folder):
    for text in ("NaN", "[" * 100_000, '{"a": 1e999, "b": -Infinity}'):
        (folder / CONFIG).write_text(text)
        refused(folder, rnn.ArgumentError, "is damaged")
    deep = '{"class": "rnn_jax.ResidualLayer", "layer": ' * 500 + "null" + "}" * 500
    whole = '{"format": "rnn_jax", "version": 1, "layer": ' + deep + "}"
    (folder / CONFIG).write_text(whole)
    refused(folder, rnn.ArgumentError, "make no rnn_jax.ResidualLayer|nested too deeply")


def test_arrays_of_another_layer_are_told(folder):
    arrays = numpy_files.load_file(folder / ARRAYS)

    def told(error, message, **changes):
        mixed = {name: array for name, array in (arrays | changes).items() if array is not None}
        numpy_files.save_file(mixed, folder / ARRAYS)
        refused(folder, error, message)

    told(rnn.StructureError, r"no array 'w_hh', which GRU\(.*\) needs", w_hh=None)
    told(rnn.StructureError, "an array 'w_ho', and GRU.* has none", w_ho=arrays["w_hh"])
    told(rnn.ShapeError, r"'b_hn' must have shape \(3,\).*got \(4,\)", b_hn=np.ones(4, "f4"))
    told(rnn.DtypeError, "'b_hn' must be floating, got int32", b_hn=np.ones(3, np.int32))
    told(rnn.DtypeError, "one dtype, got float16 in 'b_hn', float32", b_hn=np.ones(3, "f2"))
    told(rnn.ArgumentError, "is damaged, or not the file", b_hn=arrays["b_hn"] + 1)
    (folder / ARRAYS).unlink()
    refused(folder, rnn.ArgumentError, "model.safetensors' is not there")


def test_numbers_that_jax_would_narrow_are_told(tmp_path):
    rnn.save(tmp_path, GRU, some_params(GRU, jnp.float64))
    with jax.enable_x64(False):
        refused(tmp_path, rnn.DtypeError, "is float64, .*jax_enable_x64")


def test_a_dtype_that_a_file_cannot_hold_is_told(tmp_path):
    params = some_params(GRU, jnp.float8_e4m3fn)
    with pytest.raises(rnn.DtypeError, match=r"is float8_e4m3fn, and a safetensors file holds"):
        rnn.save(tmp_path, GRU, params)


def test_without_safetensors_a_sentence_says_how_to_have_it(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for call in (lambda: rnn.load(folder), lambda: rnn.save(folder, GRU, some_params(GRU))):
        with pytest.raises(rnn.ArgumentError, match="pip install safetensors"):
            call()


# -- The folder ----------------------------------------------------------------------------------


def test_a_folder_may_be_saved_to_again(folder):
    (folder / "README.md").write_text("my own words")
    params = some_params(rnn.LSTM(2, 3))
    rnn.save(folder, rnn.LSTM(2, 3), params)
    assert_same(rnn.LSTM(2, 3), params, rnn.load(folder))
    assert (folder / "README.md").read_text() == "my own words"
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", CONFIG, ARRAYS]


def test_what_is_not_of_save_is_not_overwritten(tmp_path):
    (tmp_path / CONFIG).write_text('{"level": "char"}')
    with pytest.raises(rnn.ArgumentError, match=r"would be overwritten: save to another folder"):
        rnn.save(tmp_path, GRU, some_params(GRU))
    assert (tmp_path / CONFIG).read_text() == '{"level": "char"}'
    (tmp_path / "file").touch()
    with pytest.raises(rnn.ArgumentError, match=r"cannot write .*file': File exists"):
        rnn.save(tmp_path / "file", GRU, some_params(GRU))


def test_the_card_says_what_is_in_it(tmp_path):
    model = rnn.stack(rnn.Embedding(5, 2), rnn.Elman(2, 3))
    rnn.save(tmp_path, model, some_params(model))
    front, body = (tmp_path / "README.md").read_text().split("---\n")[1:]
    assert front == "library_name: rnn_jax\ntags:\n- jax\n- rnn\n- recurrent-neural-network\n"
    assert f": {5 * 2 + 2 * 3 + 3 * 3 + 3} parameters." in body
    assert "`xs` are integers `(T, *batch)`" in body
    assert "`ys` are `(T, *batch, 3)`" in body
    assert "| `1.w_xh` | `(2, 3)` | float32 |" in body
