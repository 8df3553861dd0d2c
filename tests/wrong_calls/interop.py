"""Weights of other libraries that are none, and layers that they have not."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import rnn_jax as rnn
from rnn_jax import interop
from rnn_jax.attention import Attention, General, attentive
from tests.wrong_calls.given import (
    CELL,
    KEY,
    LSTM,
    LSTM_PARAMS,
    MODEL,
    MODEL_PARAMS,
    NOISY,
    NOISY_PARAMS,
    PARAMS,
    XS,
    made,
)

TORCH = interop.torch.write(LSTM, LSTM_PARAMS)
GRU = rnn.GRU(3, 5)
BEFORE = rnn.ResetBeforeGRU(3, 5)
JORDAN = rnn.Jordan(3, 5, 2)
ATTENTIVE = attentive(rnn.GRU(3 + 4, 5), Attention(5, 4, General()))


def write(module, layer):
    return lambda: module.write(layer, layer.init(KEY))


def torch_with(**arrays):
    return lambda: interop.torch.read({**TORCH, **arrays})


def nnx_gru_of_any_bias(b_hn):
    return interop.nnx.write(GRU, made(GRU)._replace(b_hn=b_hn))


ROWS = {
    "interop.torch.read: a number": (
        lambda: interop.torch.read(3),
        rnn.StructureError,
        r"PyTorch: read needs a module, its state_dict\(\) or the path .*, got 3",
    ),
    "interop.torch.read: nothing": (
        lambda: interop.torch.read({}),
        rnn.StructureError,
        "no array of a recurrent layer among nothing; the names are such as 'weight_ih_l0'",
    ),
    "interop.torch.read: a layer that is none": (
        torch_with(**{"fc.weight": np.ones((2, 5), np.float32)}),
        rnn.StructureError,
        "'fc.weight' is of no recurrent layer; hand over the arrays of recurrent layers alone",
    ),
    "interop.torch.read: two layers": (
        lambda: interop.torch.read({f"{k}.{n}": a for k in "ab" for n, a in TORCH.items()}),
        rnn.StructureError,
        "these are arrays of several layers, 'a.', 'b.'; hand over those of one",
    ),
    "interop.torch.read: a layer that is missing": (
        lambda: interop.torch.read({n.replace("l0", "l1"): a for n, a in TORCH.items()}),
        rnn.StructureError,
        "layer 0 is missing",
    ),
    "interop.torch.read: an array that is missing": (
        lambda: interop.torch.read({n: a for n, a in TORCH.items() if "hh" not in n}),
        rnn.ShapeError,
        "the arrays are of none of its cells.*LSTM: weight_hh is missing",
    ),
    "interop.torch.read: an array of another shape": (
        torch_with(bias_hh_l0=np.ones(19, np.float32)),
        rnn.ShapeError,
        r"LSTM: bias_hh must have shape \(4 H,\) with H = 5, D = 3, got \(19,\)",
    ),
    "interop.torch.read: an array of another rank": (
        torch_with(bias_hh_l0=np.ones((20, 1), np.float32)),
        rnn.ShapeError,
        r"LSTM: bias_hh must have shape \(4 H,\), got \(20, 1\)",
    ),
    "interop.torch.read: arrays of several dtypes": (
        torch_with(bias_hh_l0=np.ones(20, np.float64)),
        rnn.DtypeError,
        "must share one dtype, got float32 in .*, float64 in bias_hh_l0",
    ),
    "interop.torch.read: quantised weights": (
        torch_with(bias_hh_l0=np.ones(20, np.int8)),
        rnn.DtypeError,
        "bias_hh_l0 must be an array of floating numbers, got int8",
    ),
    "interop.torch.read: a nonlinearity that nobody said": (
        lambda: interop.torch.read(interop.torch.write(CELL, PARAMS)),
        rnn.ArgumentError,
        r"do not say what its nonlinearity is; say it, activation=jnp\.tanh or another",
    ),
    "interop.torch.read: a nonlinearity that PyTorch has not": (
        lambda: interop.torch.read(interop.torch.write(CELL, PARAMS), activation=jnp.sin),
        rnn.StructureError,
        "RNN has the nonlinearity tanh or relu, got",
    ),
    "interop.torch.read: a nonlinearity by its name": (
        lambda: interop.torch.read(interop.torch.write(CELL, PARAMS), activation="tanh"),
        rnn.ArgumentError,
        "activation must be a function, got 'tanh'",
    ),
    "interop.torch.write: params of another cell": (
        lambda: interop.torch.write(LSTM, PARAMS),
        rnn.StructureError,
        "expected params of the form LSTMParams",
    ),
    "interop.torch.write: no layer": (
        lambda: interop.torch.write(LSTM_PARAMS, LSTM),
        rnn.StructureError,
        "PyTorch: write: the first argument must be a Layer",
    ),
    "interop.torch.write: a cell that PyTorch has not": (
        write(interop.torch, JORDAN),
        rnn.StructureError,
        "PyTorch has no counterpart of Jordan.*those of Elman, LSTM, ProjectedLSTM, GRU",
    ),
    "interop.torch.write: the other GRU": (
        write(interop.torch, BEFORE),
        rnn.StructureError,
        "cannot be written, for its GRU resets after the matmul, as GRU does",
    ),
    "interop.torch.write: a nonlinearity that PyTorch has not": (
        write(interop.torch, rnn.Elman(3, 5, activation=jnp.sin)),
        rnn.StructureError,
        "RNN has the nonlinearity tanh or relu, got the function sin",
    ),
    "interop.torch.write: a layer that is not recurrent": (
        lambda: interop.torch.write(MODEL, MODEL_PARAMS),
        rnn.StructureError,
        r"no counterpart of layers\[0\], Embedding",
    ),
    "interop.torch.write: layers of two sizes": (
        write(interop.torch, rnn.stack(rnn.LSTM(3, 5), rnn.LSTM(5, 4))),
        rnn.StructureError,
        "PyTorch has one cell, one size and as many directions in all layers, but there are",
    ),
    "interop.torch.write: directions that are added": (
        write(interop.torch, rnn.bidirectional(LSTM, LSTM, jnp.add)),
        rnn.StructureError,
        "merge must be concatenate, got the function add",
    ),
    "interop.equinox.read: arrays under other names": (
        lambda: interop.equinox.read(TORCH),
        rnn.StructureError,
        "no array of a recurrent layer among 'weight_ih_l0'",
    ),
    "interop.equinox.write: two directions": (
        write(interop.equinox, rnn.bidirectional(LSTM, LSTM)),
        rnn.StructureError,
        "Equinox has no bidirectional layer; write its two cells",
    ),
    "interop.equinox.write: two layers": (
        write(interop.equinox, rnn.stack(LSTM, rnn.LSTM(5, 5))),
        rnn.StructureError,
        r"Equinox has no stack of layers; write them one by one, layers\[0\]",
    ),
    "interop.haiku.read: no dictionary": (
        lambda: interop.haiku.read(LSTM_PARAMS),
        rnn.StructureError,
        "Haiku: read needs a dictionary of arrays",
    ),
    "interop.haiku.read: two cores": (
        lambda: interop.haiku.read(
            {f"lstm{n}/linear": {"w": np.ones((8, 20)), "b": np.ones(20)} for n in ("", "_1")}
        ),
        rnn.StructureError,
        "arrays of several layers, 'lstm', 'lstm_1'; hand over those of one",
    ),
    "interop.haiku.write: the other GRU": (
        write(interop.haiku, GRU),
        rnn.StructureError,
        "cannot be written, for its GRU resets before the matmul, as ResetBeforeGRU does",
    ),
    "interop.haiku.write: a tanh": (
        write(interop.haiku, CELL),
        rnn.StructureError,
        "VanillaRNN has the nonlinearity relu, got the function tanh",
    ),
    "interop.keras.read: weights in a list": (
        lambda: interop.keras.read([*TORCH.values()]),
        rnn.StructureError,
        "Keras: read needs a SimpleRNN, LSTM, GRU",
    ),
    "interop.keras.write: a cell that Keras has not": (
        write(interop.keras, JORDAN),
        rnn.StructureError,
        "Keras has no counterpart of Jordan",
    ),
    "interop.linen.read: a nonlinearity that nobody said": (
        lambda: interop.linen.read(interop.linen.write(CELL, PARAMS)),
        rnn.ArgumentError,
        "the arrays of SimpleCell do not say what its nonlinearity is",
    ),
    "interop.linen.read: a cell twice": (
        lambda: interop.linen.read(
            interop.linen.write(CELL, PARAMS)["params"]
            | interop.linen.write(CELL, PARAMS)["params"]["cell"]
        ),
        rnn.StructureError,
        "two arrays that may be i/kernel of one cell",
    ),
    "interop.linen.write: a cell that mixes the other way round": (
        write(interop.linen, rnn.MGU(3, 5)),
        rnn.StructureError,
        "MGUCell mixes the other way round",
    ),
    "interop.onnx.read: a number": (
        lambda: interop.onnx.read(3),
        rnn.StructureError,
        "ONNX: read needs a model, the path of one, or arrays by name, got 3",
    ),
    "interop.onnx.read: arrays of either GRU": (
        lambda: interop.onnx.read({"W": np.ones((9, 2)), "R": np.ones((9, 3))}),
        rnn.StructureError,
        "W, R may be those of GRU, linear_before_reset=1 or GRU, which only the layer itself says",
    ),
    "interop.onnx.write: a cell that ONNX has not": (
        write(interop.onnx, rnn.MGU(3, 5)),
        rnn.StructureError,
        "ONNX has no counterpart of MGU",
    ),
    "interop.onnx.write: params of a dtype that it has not": (
        lambda: interop.onnx.write(LSTM, LSTM.init(KEY, jnp.bfloat16)),
        rnn.DtypeError,
        "take float16, float32, float64, got params of bfloat16; cast them",
    ),
    "interop.onnx.write: under jit": (
        lambda: jax.jit(lambda p: interop.onnx.write(LSTM, p) and 0)(LSTM_PARAMS),
        rnn.StructureError,
        "under jit or grad the params have none; write outside of it",
    ),
    "interop.onnx.write: dropout alone": (
        write(interop.onnx, rnn.Dropout(3, 0.5)),
        rnn.StructureError,
        "ONNX has no counterpart of Dropout",
    ),
    "interop.onnx.write: no layer": (
        lambda: interop.onnx.write(LSTM_PARAMS, LSTM),
        rnn.StructureError,
        "ONNX: write: the first argument must be a Layer",
    ),
    "interop.onnx.write: an activation that ONNX has not": (
        write(interop.onnx, rnn.Dense(3, 5, jnp.sin)),
        rnn.StructureError,
        "MatMul, Add has the nonlinearity Identity or Tanh or .*, got the function sin",
    ),
    "interop.onnx.write: directions of two kinds": (
        write(interop.onnx, rnn.bidirectional(GRU, LSTM)),
        rnn.StructureError,
        "both directions of a layer must be of one kind and size, got GRU.* and LSTM",
    ),
    "interop.onnx.write: two directions without a memory": (
        write(interop.onnx, rnn.bidirectional(rnn.Dense(3, 5), rnn.Dense(3, 5))),
        rnn.StructureError,
        r"Dense\(.*\) has no memory, so that there are no two directions of it",
    ),
    "interop.onnx.write: params of another tied model": (
        lambda: interop.onnx.write(rnn.tied(rnn.Embedding(4, 3), rnn.GRU(3, 3)), LSTM_PARAMS),
        rnn.StructureError,
        "expected params of the form TiedParams",
    ),
    "interop.nnx.read: a number": (
        lambda: interop.nnx.read(3),
        rnn.StructureError,
        "Flax nnx: read needs a recurrent layer or the pure dictionary of one, got 3",
    ),
    "interop.nnx.write: a bias inside the reset": (
        lambda: nnx_gru_of_any_bias(np.ones(5, jnp.float32)),
        rnn.StructureError,
        "b_hn must be zero, for its GRUCell adds nothing to the candidate inside the reset",
    ),
    "interop.nnx.write: such a bias under jit": (
        lambda: jax.jit(nnx_gru_of_any_bias)(np.zeros(5, jnp.float32)),
        rnn.StructureError,
        "GRUCell has no b_hn, .* under jit or grad nobody can tell",
    ),
    "interop.nnx.RNN: no cell": (
        lambda: interop.nnx.RNN(LSTM)(XS),
        rnn.StructureError,
        r"RNN: cell must be a cell of nnx, an RNNCellBase, got LSTM\(.*\); to_nnx makes one",
    ),
    "interop.nnx.RNN: one step": (
        lambda: interop.nnx.RNN(interop.nnx.to_nnx(LSTM, LSTM_PARAMS))(XS[0, 0]),
        rnn.ShapeError,
        r"inputs must have an axis of time and 1 of one step, got shape \(3,\)",
    ),
    "interop.nnx.RNN: inputs of another size": (
        lambda: interop.nnx.RNN(interop.nnx.to_nnx(LSTM, LSTM_PARAMS))(XS[..., :2]),
        rnn.ShapeError,
        r"xs must have shape \(T, \*batch, 3\)",
    ),
    "interop.nnx.RNN: a carry of Flax": (
        lambda: interop.nnx.RNN(interop.nnx.to_nnx(LSTM, LSTM_PARAMS))(
            XS, initial_carry=(XS[..., 0], XS[..., 0])
        ),
        rnn.StructureError,
        r"expected carry of the form LSTMCarry\(h, c\)",
    ),
    "interop.nnx.to_nnx: no cell": (
        lambda: interop.nnx.to_nnx(LSTM_PARAMS, LSTM),
        rnn.StructureError,
        "to_nnx: the first argument must be a Cell",
    ),
    "interop.nnx.to_nnx: a random cell": (
        lambda: interop.nnx.to_nnx(NOISY, NOISY_PARAMS),
        rnn.StructureError,
        "is random, and a step of Flax has no key",
    ),
    "interop.nnx.to_nnx: params of another cell": (
        lambda: interop.nnx.to_nnx(LSTM, PARAMS),
        rnn.StructureError,
        "expected params of the form LSTMParams",
    ),
    "interop.nnx.to_nnx: a carry drawn from nothing": (
        lambda: interop.nnx.to_nnx(LSTM, LSTM_PARAMS).initialize_carry((2, 3), None, jnp.ones),
        rnn.ArgumentError,
        r"a carry_init draws from rngs, nnx.Rngs\(0\) say, got None",
    ),
    "interop.nnx.from_nnx: a number": (
        lambda: interop.nnx.from_nnx(3),
        rnn.StructureError,
        "from_nnx: 3 is no cell, an nnx.RNNCellBase",
    ),
    "interop.nnx.from_nnx: a size where axes belong": (
        lambda: interop.nnx.from_nnx(nnx.GRUCell(3, 5, rngs=nnx.Rngs(0)), input_shape=3),
        rnn.ArgumentError,
        "GRUCell: input_shape must be integers of 0 or more, got 3",
    ),
    "interop.nnx.from_nnx: too many axes": (
        lambda: interop.nnx.from_nnx(nnx.GRUCell(3, 5, rngs=nnx.Rngs(0)), input_shape=(2, 3)),
        rnn.ArgumentError,
        r"as many axes as its num_feature_axes, 1, got \(2, 3\)",
    ),
    "interop.linen.RNN: no cell": (
        lambda: interop.linen.RNN(LSTM).init(KEY, XS),
        rnn.StructureError,
        "RNN: cell must be a cell of linen, an RNNCellBase",
    ),
    "interop.linen.to_linen: two directions": (
        lambda: interop.linen.to_linen(rnn.bidirectional(LSTM, LSTM)),
        rnn.StructureError,
        "to_linen: the first argument must be a Cell",
    ),
    "interop.linen.to_linen: a memory": (
        lambda: interop.linen.to_linen(ATTENTIVE),
        rnn.StructureError,
        r"to_linen: Attentive\(.* attends to a memory, which stands beside its params",
    ),
    "interop.linen.to_linen: a dtype that is none": (
        lambda: interop.linen.to_linen(LSTM, param_dtype="wide"),
        rnn.ArgumentError,
        "to_linen: param_dtype must be a floating dtype",
    ),
    "interop.linen.from_linen: a number": (
        lambda: interop.linen.from_linen(3, {}),
        rnn.StructureError,
        "from_linen: 3 is no cell, a linen.RNNCellBase",
    ),
    "interop.linen.from_linen: no variables": (
        lambda: interop.linen.from_linen(interop.linen.to_linen(LSTM), LSTM_PARAMS),
        rnn.StructureError,
        r"variables must be \{.params.: ...\}, as module.init returns them",
    ),
    "interop.linen.from_linen: variables of another cell": (
        lambda: interop.linen.from_linen(
            interop.linen.to_linen(LSTM), {"params": {"weights": PARAMS}}
        ),
        rnn.StructureError,
        "expected params of the form LSTMParams",
    ),
}
