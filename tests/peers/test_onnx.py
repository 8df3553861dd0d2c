"""What rnn_jax.interop.onnx writes, run by onnxruntime; and models that are read."""

import dataclasses
import io
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rnn_jax as rnn
from rnn_jax.language.config import Config
from rnn_jax.language.model import language_model
from tests.cases import assert_close
from tests.peers import parity

onnx = pytest.importorskip("onnx", reason="onnx is absent: `make test-peers` installs it")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is absent: `make test-peers`")

CELLS = {
    "tanh": lambda *sizes: rnn.Elman(*sizes),
    "relu": lambda *sizes: rnn.Elman(*sizes, activation=jax.nn.relu),
    "sigmoid": lambda *sizes: rnn.Elman(*sizes, activation=jax.nn.sigmoid),
    "lstm": rnn.LSTM,
    "gru": rnn.GRU,
    "reset-before": rnn.ResetBeforeGRU,
}


ACTIVATIONS = {
    None: None,
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "softplus": jax.nn.softplus,
    "elu": jax.nn.elu,
    "softsign": jax.nn.soft_sign,
    "softmax": jax.nn.softmax,
    "log-softmax": jax.nn.log_softmax,
    "gelu": jax.nn.gelu,
}
NATIVE = ("RNN", "LSTM", "GRU")
TOKENS = 7


def moved(layer):
    params = jax.eval_shape(lambda: layer.init(jax.random.key(0)))
    return narrow(parity.moved(params))


def narrow(tree):
    return jax.tree.map(lambda p: p.astype(jnp.float32), tree)


class Session:
    """A model in onnxruntime: its outputs by their names, for inputs by theirs."""

    def __init__(self, model):
        onnx.checker.check_model(model, full_check=True)
        options = runtime.SessionOptions()
        options.log_severity_level = 3  # it warns of every input that may be left out
        self.session = runtime.InferenceSession(model.SerializeToString(), options)
        self.names = [output.name for output in self.session.get_outputs()]

    def __call__(self, xs, lengths, **carry):
        feed = {"xs": xs, "lengths": np.asarray(lengths, np.int32), **carry}
        return dict(zip(self.names, self.session.run(None, feed), strict=True))


def by_name(layer, carry, prefix):
    """A carry of ours under the names that the model has for its arrays."""
    found = {}
    stacked = isinstance(layer, rnn.LayerStack)
    for index, one in enumerate(carry if stacked else [carry]):
        both = one if isinstance(one, rnn.BidirectionalCarry) else (one,)
        for field in getattr(both[0], "_fields", ()):
            arrays = [np.asarray(getattr(direction, field)) for direction in both]
            found[f"{prefix}_{field}_{index}"] = np.stack(arrays)
    return found


def some_inputs(layer, steps, batch):
    if layer.input.kind is jnp.integer:
        return np.random.default_rng(0).integers(0, TOKENS, (steps, batch))
    return parity.draw(steps, batch, *layer.input.shape).astype(np.float32)


def spoiled(xs, lengths):
    """What no step reads is what nobody can read."""
    valid = parity.happens(lengths, len(xs))
    if xs.ndim == 2:
        return np.where(valid, xs, TOKENS + 1)
    return parity.spoiled(xs, valid).astype(np.float32)


@st.composite
def stacks(draw, cell):
    """Recurrent layers, with layers without memory below and above."""
    hidden, features = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    depth, both = draw(st.integers(1, 3)), draw(st.booleans())
    below = draw(st.sampled_from(["nothing", "embedding", "dense"]))
    layers = []
    if below == "embedding":
        scale = draw(st.sampled_from([1.0, 0.1, 10.0]))
        layers.append(rnn.Embedding(TOKENS, features, scale=scale))
    if below == "dense":
        layers.append(rnn.Dense(2, features, jax.nn.relu))
    for _ in range(depth):
        one = cell(features, hidden)
        layers.append(rnn.bidirectional(one, one) if both else one)
        features = hidden * (1 + both)
    if draw(st.booleans()):
        layers.append(rnn.Dense(features, 3, ACTIVATIONS[draw(st.sampled_from([*ACTIVATIONS]))]))
    return rnn.stack(*layers) if len(layers) > 1 else layers[0]


@parity.some_shapes
@given(data=st.data())
@pytest.mark.parametrize("name", CELLS)
def test_any_stack_has_the_numbers_in_onnxruntime(name, data):
    """Layers, directions, lengths, carries that are given or not; and read again, the same."""
    layer = data.draw(stacks(CELLS[name]))
    steps, batch = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    lengths = [data.draw(st.integers(0, steps)) for _ in range(batch)]
    params = moved(layer)
    model = rnn.interop.onnx.write(layer, params)
    xs = some_inputs(layer, steps, batch)
    carry = narrow(parity.moved(layer.initial_carry(params, (batch,)), seed=1))
    session = Session(model)
    for given_carry in (None, carry):
        after, ys = rnn.unroll(layer, params, xs, given_carry, lengths=np.array(lengths))
        initial = {} if given_carry is None else by_name(layer, carry, "initial")
        found = session(spoiled(xs, lengths), lengths, **initial)
        assert_close(found, {"ys": ys, **by_name(layer, after, "final")}, 1e-5)

    again, same = rnn.interop.onnx.read(model)
    assert again == layer
    assert_close(same, params, 0)
    recurrent = [node for node in model.graph.node if node.op_type in NATIVE]
    assert len(recurrent) == sum(
        not isinstance(one, rnn.Dense | rnn.Embedding) for one in getattr(layer, "layers", [layer])
    )


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_of_a_dense_layer(name):
    layer = rnn.Dense(3, 4, ACTIVATIONS[name])
    params, xs = moved(layer), parity.draw(5, 3, 3).astype(np.float32)
    model = rnn.interop.onnx.write(layer, params)
    _, ys = rnn.unroll(layer, params, xs)
    assert_close(Session(model)(xs, [5] * 3)["ys"], ys, 1e-5)
    assert rnn.interop.onnx.read(model)[0] == layer


def served(session, xs, lengths, cuts):
    """A sequence in pieces: what is final of one piece is initial of the next."""
    carry, pieces = {}, []
    for begin, end in itertools.pairwise(cuts):
        of_piece = np.clip(np.asarray(lengths) - begin, 0, end - begin)
        found = session(xs[begin:end], of_piece, **carry)
        pieces.append(found.pop("ys"))
        carry = {name.replace("final", "initial"): array for name, array in found.items()}
    return np.concatenate(pieces), found


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru"])
def test_a_stream_is_served_in_pieces(name):
    """One step at a time, or several, or all; also where a sequence ends before a piece begins."""
    cell = CELLS[name]
    layer = rnn.stack(rnn.Embedding(TOKENS, 3), cell(3, 4), cell(4, 5), rnn.Dense(5, TOKENS))
    params, xs, lengths = moved(layer), some_inputs(layer, 7, 3), [7, 2, 0]
    session = Session(rnn.interop.onnx.write(layer, params))
    after, ys = rnn.unroll(layer, params, xs, lengths=np.array(lengths))
    for cuts in (range(8), [0, 3, 4, 7], [0, 7], [0, 0, 7, 7]):
        found, carry = served(session, xs, lengths, cuts)
        assert_close(found, ys, 1e-5)
        assert_close(carry, by_name(layer, after, "final"), 1e-5)


def test_a_carry_of_one_is_that_of_all():
    layer = rnn.bidirectional(rnn.LSTM(2, 3), rnn.LSTM(2, 3))
    params, xs = moved(layer), parity.draw(4, 3, 2).astype(np.float32)
    session = Session(rnn.interop.onnx.write(layer, params))
    h, c = (parity.draw(2, 1, 3, seed=seed).astype(np.float32) for seed in (1, 2))
    found = session(xs, [4, 2, 3], initial_h_0=h, initial_c_0=c)
    carry = {"initial_h_0": np.repeat(h, 3, 1), "initial_c_0": np.repeat(c, 3, 1)}
    assert_close(found, session(xs, [4, 2, 3], **carry), 0)
    assert found.keys() == {"ys", "final_h_0", "final_c_0"}
    required = [given.name for given in session.session.get_inputs()]
    assert required == ["xs", "lengths"]


def test_directions_may_differ_in_their_activation():
    layer = rnn.bidirectional(rnn.Elman(2, 3), rnn.Elman(2, 3, activation=jax.nn.relu))
    params, xs = moved(layer), parity.draw(4, 3, 2).astype(np.float32)
    model = rnn.interop.onnx.write(layer, params)
    assert_close(Session(model)(xs, [4] * 3)["ys"], rnn.unroll(layer, params, xs)[1], 1e-5)
    assert rnn.interop.onnx.read(model)[0] == layer


LANGUAGE = {
    "one layer": {},
    "two layers": {"cell": "gru", "layers": 2, "dropout_state": 0.2},
    "tied": {"tied": True, "cell": "lstm"},
    "tied, two layers and a dense one": {"tied": True, "layers": 2, "embedding": 3},
}


@pytest.mark.parametrize("name", LANGUAGE)
def test_the_language_model_of_a_run(name):
    """Embedding, cells, and the scores of all tokens, by the embedding's own table where tied."""
    config = Config(**{"hidden": 5, "embedding": 5, **LANGUAGE[name]})
    layer = language_model(config, TOKENS)
    params, xs, lengths = moved(layer), some_inputs(layer, 4, 3), [4, 0, 2]
    model = rnn.interop.onnx.write(layer, params)
    _, ys = rnn.unroll(layer.deterministic(), params, xs, lengths=np.array(lengths))
    assert_close(Session(model)(spoiled(xs, lengths), lengths)["ys"], ys, 1e-5)
    again, same = rnn.interop.onnx.read(model)
    quiet = {"dropout_inputs": 0.0, "dropout_outputs": 0.0, "dropout_state": 0.0}
    expected = language_model(dataclasses.replace(config, **quiet), TOKENS)
    assert repr(again) == repr(expected)  # which leaves out how params are drawn
    assert jax.tree.structure(same) == jax.tree.structure(moved(expected))
    assert_close(jax.tree.leaves(same), jax.tree.leaves(params), 0)
    tables = [t for t in model.graph.initializer if sorted(t.dims) == [config.embedding, TOKENS]]
    assert len(tables) == (1 if config.tied else 2)


def test_a_token_that_is_none_is_an_error_of_the_runtime():
    """Where ours is NaN; ONNX itself would count -1 from the end of the table."""
    layer = rnn.Embedding(TOKENS, 2)
    session = Session(rnn.interop.onnx.write(layer, moved(layer)))
    for token in (-1, TOKENS):
        with pytest.raises(Exception, match="out of data bounds"):
            session(np.array([[0], [token]]), [2])
        session(np.array([[0], [token]]), [1])


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.float64])
def test_other_dtypes_are_written_and_read(dtype):
    """What a runtime makes of them is its own matter; ONNX itself has these."""
    layer = rnn.stack(rnn.Embedding(TOKENS, 2, scale=0.1), rnn.GRU(2, 3), rnn.Dense(3, 4))
    params = jax.tree.map(lambda p: p.astype(dtype), moved(layer))
    model = rnn.interop.onnx.write(layer, params)
    onnx.checker.check_model(model, full_check=True)
    again, same = rnn.interop.onnx.read(model)
    assert again == layer
    assert_close(same, params, 0)


def test_a_model_of_carries_alone_is_read():
    """As of a classifier of whole sequences, whose own layer is not here."""
    model = model_of(node(outputs=["", "ys"]), **weights(4))
    assert rnn.interop.onnx.read(model)[0] == rnn.LSTM(2, 3)


def test_sizes_are_open_and_files_are_read(tmp_path):
    cell = rnn.GRU(2, 3)
    params = moved(cell)
    onnx.save(rnn.interop.onnx.write(cell, params), tmp_path / "gru.onnx")
    session = Session(onnx.load(tmp_path / "gru.onnx"))
    for steps, batch in ((1, 1), (7, 2), (0, 3)):
        xs = np.ones((steps, batch, 2), np.float32)
        assert_close(session(xs, [steps] * batch)["ys"], rnn.unroll(cell, params, xs)[1], 1e-5)
    again, same = rnn.interop.onnx.read(tmp_path / "gru.onnx")
    assert again == cell
    assert_close(same, params, 0)
    (tmp_path / "none.onnx").write_text("none")
    for path in ("none.onnx", "absent.onnx"):
        with pytest.raises(rnn.ArgumentError, match="cannot be read"):
            rnn.interop.onnx.read(tmp_path / path)


def model_of(*nodes, outputs=("ys",), **constants):
    """A model of these operators on xs `(T, batch, 2)`, with these constants."""
    helper = onnx.helper
    tensors = [onnx.numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()]
    xs = helper.make_tensor_value_info("xs", onnx.TensorProto.FLOAT, ["T", "batch", 2])
    ends = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in outputs]
    graph = helper.make_graph(list(nodes), "some", [xs], ends, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def weights(gates, inputs=2, hidden=3):
    shapes = {
        "W": (gates * hidden, inputs),
        "R": (gates * hidden, hidden),
        "B": (2 * gates * hidden,),
    }
    return {name: parity.draw(1, *shape).astype(np.float32) for name, shape in shapes.items()}


def node(kind="LSTM", inputs=("xs", "W", "R", "B"), outputs=("ys",), **settings):
    return onnx.helper.make_node(kind, [*inputs], [*outputs], **{"hidden_size": 3, **settings})


def then(kind, *inputs, makes="ys", **settings):
    """An operator behind others."""
    return onnx.helper.make_node(kind, [*inputs], [makes], **settings)


ONES = np.ones((1, 12, 2), np.float32)
BACKWARD = r"unroll\(\.\.\., reverse=True"
REFUSED = {
    "a direction": (model_of(node(direction="reverse"), **weights(4)), BACKWARD),
    "a clip": (model_of(node(clip=1.0), **weights(4)), "other clip than none"),
    "coupled gates": (model_of(node(input_forget=1), **weights(4)), "other input_forget than none"),
    "batch first": (model_of(node(layout=1), **weights(4)), "other layout than none"),
    "an activation": (
        model_of(node(activations=["HardSigmoid", "Tanh", "Tanh"]), **weights(4)),
        "other activations than",
    ),
    "a nonlinearity": (
        model_of(node("RNN", activations=["Affine"]), **weights(1)),
        "other activations than Tanh or Relu",
    ),
    "peepholes": (
        model_of(
            node(inputs=("xs", "W", "R", "B", "", "", "", "P")),
            P=np.ones((1, 9), np.float32),
            **weights(4),
        ),
        "peepholes of LSTM, 'P', would be lost",
    ),
    "an initial state": (
        model_of(
            node(inputs=("xs", "W", "R", "B", "", "h")),
            h=np.ones((1, 1, 3), np.float32),
            **weights(4),
        ),
        "the initial h of LSTM, 'h', would be lost",
    ),
    "an operator": (
        model_of(node(outputs=["zs"]), then("Softmax", "zs"), **weights(4)),
        "the operator Softmax is none of RNN, LSTM, GRU, Gather, MatMul, nor stands behind one",
    ),
    "one direction where there are two": (
        model_of(node("RNN", direction="bidirectional"), **weights(1)),
        r"W of RNN must have 2 on its first axis, for direction=bidirectional, got shape \(1, 3, 2",
    ),
    "a mask of its own": (
        model_of(
            node(outputs=["zs"]),
            then("Greater", "xs", "none", makes="some"),
            then("Where", "some", "zs", "none"),
            none=np.float32(0),
            **weights(4),
        ),
        "the operator Where is none of RNN",
    ),
    "weights that are computed": (
        model_of(then("Abs", "V", makes="U"), node(inputs=("xs", "U", "R")), V=ONES, **weights(4)),
        "W of LSTM is no constant of the model",
    ),
    "no layer": (model_of(then("Identity", "xs")), "no operator RNN, LSTM, GRU, Gather or MatMul"),
    "layers that are not on one another": (
        model_of(
            node(outputs=["zs"]),
            then("Reshape", "zs", "shape", makes="between"),
            node(inputs=("between", "W", "R", "B")),
            shape=np.array([0, -1, 3]),
            **weights(4),
        ),
        "LSTM must read what LSTM before it emits, with every step at its place",
    ),
    "time and batch that change places": (
        model_of(
            node(outputs=["zs"]),
            then("Squeeze", "zs", "axis", makes="flat"),
            then("Transpose", "flat", makes="between", perm=[1, 0, 2]),
            node(inputs=("between", "W", "R", "B")),
            axis=np.array([1]),
            **weights(4),
        ),
        "LSTM must read what LSTM before it emits, with every step at its place",
    ),
    "a layer on the last carry": (
        model_of(
            node(outputs=["", "h"]), then("MatMul", "h", "V"), V=np.ones((3, 2)), **weights(4)
        ),
        "MatMul reads the final carry 'h' of LSTM; a layer reads every step",
    ),
    "two sequences": (
        model_of(
            node(outputs=["zs"]),
            then("MatMul", "zs", "V"),
            outputs=("zs", "ys"),
            V=np.ones((3, 2)),
            **weights(4),
        ),
        "a layer emits one sequence, but the model returns zs and ys",
    ),
    "a table that is computed": (
        model_of(then("Gather", "xs", "which"), which=np.array([1])),
        "Gather must look up rows of a table, a constant of two axes, got 'xs'",
    ),
    "tokens that are computed": (
        model_of(
            then("Abs", "xs", makes="tokens"), then("Gather", "V", "tokens"), V=np.ones((3, 2))
        ),
        "Gather must read tokens, an input of the model, got 'tokens'",
    ),
    "a scale that is computed": (
        model_of(
            then("Gather", "V", "xs", makes="rows"), then("Mul", "rows", "rows"), V=np.ones((3, 2))
        ),
        "the Mul behind a Gather must be by one constant number",
    ),
    "a bias that is computed": (
        model_of(then("MatMul", "xs", "V", makes="zs"), then("Add", "zs", "zs"), V=np.ones((2, 2))),
        "bias of Add is no constant",
    ),
    "another Gelu": (
        model_of(then("MatMul", "xs", "V", makes="zs"), then("Gelu", "zs"), V=np.ones((2, 2))),
        "Gelu is read as Gelu approximate=tanh, got {}",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_onnx_has_and_we_have_not_is_refused(what):
    model, message = REFUSED[what]
    with pytest.raises((rnn.StructureError, rnn.ShapeError), match=message):
        rnn.interop.onnx.read(model)


def test_a_model_of_another_exporter_is_read():
    """Squeezed between its layers, with a zero initial state."""
    lower = {f"{n}0": a for n, a in weights(3).items()}
    upper = {f"{n}1": a for n, a in weights(3, inputs=3).items()}
    model = model_of(
        node("GRU", ("xs", "W0", "R0", "B0", "", "h"), ["zs"], linear_before_reset=1),
        onnx.helper.make_node("Squeeze", ["zs", "axis"], ["between"]),
        node("GRU", ("between", "W1", "R1", "B1"), ["ys"]),
        axis=np.array([1]),
        h=np.zeros((1, 2, 3), np.float32),
        **lower,
        **upper,
    )
    layer, params = rnn.interop.onnx.read(model)
    assert layer == rnn.stack(rnn.GRU(2, 3), rnn.ResetBeforeGRU(3, 3))
    xs = parity.draw(4, 2, 2).astype(np.float32)
    expected = runtime.InferenceSession(model.SerializeToString()).run(None, {"xs": xs})[0]
    assert_close(rnn.unroll(layer, params, xs)[1], expected[:, 0], 1e-5)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_what_torch_exports_is_read(kind, both, batch_first):
    """Embedding, two layers, Linear and tanh, with the final states beside the outputs."""
    torch = pytest.importorskip("torch", reason="torch is absent: `make test-peers` installs it")

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(TOKENS, 4)
            settings = {"batch_first": batch_first, "bidirectional": both}
            self.rnn = getattr(torch.nn, kind)(4, 5, 2, **settings)
            self.linear = torch.nn.Linear(5 * (1 + both), 3)

        def forward(self, tokens):
            ys, carry = self.rnn(self.embedding(tokens))
            return torch.tanh(self.linear(ys)), carry

    module, file = Model(), io.BytesIO()
    tokens = np.random.default_rng(0).integers(0, TOKENS, (6, 2))
    as_theirs = torch.from_numpy(tokens.T.copy() if batch_first else tokens)
    axes = {"tokens": {0: "a", 1: "b"}}
    options = {"input_names": ["tokens"], "dynamic_axes": axes, "dynamo": False}
    torch.onnx.export(module, (as_theirs,), file, **options)
    layer, params = rnn.interop.onnx.read(onnx.load_from_string(file.getvalue()))
    _, ys = rnn.unroll(layer, params, tokens)
    expected = module(as_theirs)[0].detach().numpy()
    assert_close(ys.swapaxes(0, 1) if batch_first else ys, expected, 1e-5)
