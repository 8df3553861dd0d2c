"""What rnn_jax.interop.onnx writes, run by onnxruntime; and models that are read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rnn_jax as rnn
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


def moved(layer):
    params = jax.eval_shape(lambda: layer.init(jax.random.key(0)))
    return jax.tree.map(lambda p: p.astype(jnp.float32), parity.moved(params))


def run(model, xs, lengths):
    session = runtime.InferenceSession(model.SerializeToString())
    return session.run(None, {"xs": xs, "lengths": np.asarray(lengths, np.int32)})[0]


@parity.some_shapes
@given(data=st.data())
@pytest.mark.parametrize("name", CELLS)
def test_any_shape_has_the_numbers_in_onnxruntime(name, data):
    """Layers, directions and lengths; and read again, the same params."""
    inputs, hidden, steps, batch = (data.draw(st.integers(1, 4)) for _ in range(4))
    depth, both = data.draw(st.integers(1, 3)), data.draw(st.booleans())
    layers, features = [], inputs
    for _ in range(depth):
        cell = CELLS[name](features, hidden)
        layers.append(rnn.bidirectional(cell, cell) if both else cell)
        features = hidden * (1 + both)
    layer = rnn.stack(*layers) if depth > 1 else layers[0]
    params = moved(layer)
    model = rnn.interop.onnx.write(layer, params)
    xs = parity.draw(steps, batch, inputs).astype(np.float32)
    lengths = [data.draw(st.integers(1, steps)) for _ in range(batch)]
    _, ys = rnn.unroll(layer, params, xs, lengths=np.array(lengths))
    assert_close(run(model, xs, lengths), ys, 1e-5)

    again, same = rnn.interop.onnx.read(model)
    assert again == layer
    assert_close(same, params, 0)


def test_sizes_are_open_and_files_are_read(tmp_path):
    cell = rnn.GRU(2, 3)
    params = moved(cell)
    onnx.save(rnn.interop.onnx.write(cell, params), tmp_path / "gru.onnx")
    for steps, batch in ((1, 1), (7, 2)):
        xs = np.ones((steps, batch, 2), np.float32)
        found = run(onnx.load(tmp_path / "gru.onnx"), xs, [steps] * batch)
        assert_close(found, rnn.unroll(cell, params, xs)[1], 1e-5)
    again, same = rnn.interop.onnx.read(tmp_path / "gru.onnx")
    assert again == cell
    assert_close(same, params, 0)
    (tmp_path / "none.onnx").write_text("none")
    for path in ("none.onnx", "absent.onnx"):
        with pytest.raises(rnn.ArgumentError, match="cannot be read"):
            rnn.interop.onnx.read(tmp_path / path)


def model_of(*nodes, **constants):
    """A model of these operators on xs `(T, batch, 2)`, with these constants."""
    helper = onnx.helper
    tensors = [onnx.numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()]
    xs = helper.make_tensor_value_info("xs", onnx.TensorProto.FLOAT, ["T", "batch", 2])
    ys = helper.make_tensor_value_info("ys", onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph(list(nodes), "some", [xs], [ys], tensors)
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
        model_of(node(), onnx.helper.make_node("Softmax", ["ys"], ["zs"]), **weights(4)),
        "the operator Softmax is none of RNN, LSTM and GRU",
    ),
    "weights that are computed": (
        model_of(
            onnx.helper.make_node("Identity", ["V"], ["W"]), node(), V=np.ones(3), R=np.ones(3)
        ),
        "W of LSTM is no constant of the model",
    ),
    "no layer": (model_of(onnx.helper.make_node("Identity", ["xs"], ["ys"])), "no operator RNN"),
    "layers that are not on one another": (
        model_of(node(outputs=["zs"]), node(), **weights(4)),
        "must read what the recurrent operator before it emits",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_onnx_has_and_we_have_not_is_refused(what):
    model, message = REFUSED[what]
    with pytest.raises(rnn.StructureError, match=message):
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


def test_two_kinds_in_one_layer_are_refused():
    layer = rnn.bidirectional(rnn.GRU(2, 3), rnn.LSTM(2, 3))
    with pytest.raises(rnn.StructureError, match=r"both directions .* must be of one kind"):
        rnn.interop.onnx.write(layer, moved(layer))
