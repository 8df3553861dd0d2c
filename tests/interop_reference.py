"""The cells of other libraries as NumPy loops, written from their sources, by their own arrays.

Nothing here comes from the tables of rnn_jax.interop. A step maps `(arrays, state, x)` to the next
state, a tuple of arrays of which the first is emitted.
"""

import numpy as np

from tests.reference import relu, sigmoid


def torch_rnn(activation):
    def step(w, state, x):
        at_input = x @ w["weight_ih"].T + w["bias_ih"]
        return (activation(at_input + state[0] @ w["weight_hh"].T + w["bias_hh"]),)

    return step


def torch_lstm(w, state, x):
    h, c = state
    a = x @ w["weight_ih"].T + w["bias_ih"] + h @ w["weight_hh"].T + w["bias_hh"]
    i, f, g, o = np.split(a, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return (h @ w["weight_hr"].T if "weight_hr" in w else h), c


def torch_gru(w, state, x):
    (h,) = state
    i_r, i_z, i_n = np.split(x @ w["weight_ih"].T + w["bias_ih"], 3, -1)
    h_r, h_z, h_n = np.split(h @ w["weight_hh"].T + w["bias_hh"], 3, -1)
    z = sigmoid(i_z + h_z)
    n = np.tanh(i_n + sigmoid(i_r + h_r) * h_n)
    return ((1 - z) * n + z * h,)


def equinox_lstm(w, state, x):
    h, c = state
    i, f, g, o = np.split(x @ w["weight_ih"].T + h @ w["weight_hh"].T + w["bias"], 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def equinox_gru(w, state, x):
    (h,) = state
    i_r, i_z, i_n = np.split(x @ w["weight_ih"].T + w["bias"], 3, -1)
    h_r, h_z, h_n = np.split(h @ w["weight_hh"].T, 3, -1)
    n = np.tanh(i_n + sigmoid(i_r + h_r) * (h_n + w["bias_n"]))
    return (n + sigmoid(i_z + h_z) * (h - n),)


def keras_simple(w, state, x):
    return (np.tanh(x @ w["kernel"] + w["bias"] + state[0] @ w["recurrent_kernel"]),)


def keras_lstm(w, state, x):
    h, c = state
    i, f, g, o = np.split(x @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"], 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def keras_gru(w, state, x):
    (h,) = state
    x_z, x_r, x_h = np.split(x @ w["kernel"] + w["bias"][0], 3, -1)
    h_z, h_r, h_h = np.split(h @ w["recurrent_kernel"] + w["bias"][1], 3, -1)
    z = sigmoid(x_z + h_z)
    return (z * h + (1 - z) * np.tanh(x_h + sigmoid(x_r + h_r) * h_h),)


def keras_gru_before(w, state, x):
    (h,) = state
    x_z, x_r, x_h = np.split(x @ w["kernel"] + w["bias"], 3, -1)
    u_z, u_r, u_h = np.split(w["recurrent_kernel"], 3, -1)
    z, r = sigmoid(x_z + h @ u_z), sigmoid(x_r + h @ u_r)
    return (z * h + (1 - z) * np.tanh(x_h + (r * h) @ u_h),)


def haiku_vanilla(w, state, x):
    (h,) = state
    return (relu(x @ w["linear/w"] + w["linear/b"] + h @ w["linear_1/w"] + w["linear_1/b"]),)


def haiku_lstm(w, state, x):
    h, c = state
    i, g, f, o = np.split(np.concatenate([x, h], -1) @ w["linear/w"] + w["linear/b"], 4, -1)
    c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def haiku_gru(w, state, x):
    (h,) = state
    n = h.shape[-1]
    gates = x @ w["w_i"]
    z, r = np.split(
        sigmoid(gates[..., : 2 * n] + h @ w["w_h"][:, : 2 * n] + w["b"][: 2 * n]), 2, -1
    )
    a = np.tanh(gates[..., 2 * n :] + (r * h) @ w["w_h"][:, 2 * n :] + w["b"][2 * n :])
    return ((1 - z) * h + z * a,)


def linen_lstm(w, state, x):
    h, c = state
    i, f, g, o = (
        x @ w[f"i{gate}/kernel"] + h @ w[f"h{gate}/kernel"] + w[f"h{gate}/bias"] for gate in "ifgo"
    )
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def linen_gru(w, state, x):
    (h,) = state
    i_r, i_z, i_n = (x @ w[f"i{gate}/kernel"] + w[f"i{gate}/bias"] for gate in "rzn")
    r, z = sigmoid(i_r + h @ w["hr/kernel"]), sigmoid(i_z + h @ w["hz/kernel"])
    n = np.tanh(i_n + r * (h @ w["hn/kernel"] + w["hn/bias"]))
    return ((1 - z) * n + z * h,)


def linen_simple(w, state, x):
    return (np.tanh(x @ w["i/kernel"] + w["i/bias"] + state[0] @ w["h/kernel"]),)


def nnx_lstm(w, state, x):
    w = {name.replace("if_", "if"): array for name, array in w.items()}
    return linen_lstm(w, state, x)


def nnx_optimized_lstm(w, state, x):
    h, c = state
    a = x @ w["dense_i/kernel"] + h @ w["dense_h/kernel"] + w["dense_h/bias"]
    i, f, g, o = np.split(a, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def nnx_gru(w, state, x):
    (h,) = state
    i_r, i_z, i_n = np.split(x @ w["dense_i/kernel"] + w["dense_i/bias"], 3, -1)
    h_r, h_z, h_n = np.split(h @ w["dense_h/kernel"], 3, -1)
    z = sigmoid(i_z + h_z)
    return ((1 - z) * np.tanh(i_n + sigmoid(i_r + h_r) * h_n) + z * h,)


def nnx_simple(w, state, x):
    return (np.tanh(x @ w["dense_i/kernel"] + w["dense_i/bias"] + state[0] @ w["dense_h/kernel"]),)


def onnx_rnn(w, state, x):
    at_input, at_state = np.split(w["B"], 2)
    return (np.tanh(x @ w["W"].T + state[0] @ w["R"].T + at_input + at_state),)


def onnx_lstm(w, state, x):
    h, c = state
    at_input, at_state = np.split(w["B"], 2)
    i, o, f, c_new = np.split(x @ w["W"].T + h @ w["R"].T + at_input + at_state, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(c_new)
    return sigmoid(o) * np.tanh(c), c


def onnx_gru(linear_before_reset):
    def step(w, state, x):
        (h,) = state
        (w_z, w_r, w_h), (r_z, r_r, r_h) = np.split(w["W"], 3), np.split(w["R"], 3)
        wb_z, wb_r, wb_h, rb_z, rb_r, rb_h = np.split(w["B"], 6)
        z = sigmoid(x @ w_z.T + h @ r_z.T + rb_z + wb_z)
        r = sigmoid(x @ w_r.T + h @ r_r.T + rb_r + wb_r)
        if linear_before_reset:
            new = np.tanh(x @ w_h.T + r * (h @ r_h.T + rb_h) + wb_h)
        else:
            new = np.tanh(x @ w_h.T + (r * h) @ r_h.T + rb_h + wb_h)
        return ((1 - z) * new + z * h,)

    return step


def onnx_gather(w, state, x):
    return (w["table"][x],)


def onnx_matmul(w, state, x):
    return (x @ w["weight"] + w["bias"],)


STEPS = {
    ("PyTorch", "RNN"): torch_rnn(np.tanh),
    ("PyTorch", "LSTM"): torch_lstm,
    ("PyTorch", "LSTM, proj_size"): torch_lstm,
    ("PyTorch", "GRU"): torch_gru,
    ("ONNX", "RNN"): onnx_rnn,
    ("ONNX", "LSTM"): onnx_lstm,
    ("ONNX", "GRU"): onnx_gru(0),
    ("ONNX", "GRU, linear_before_reset=1"): onnx_gru(1),
    ("ONNX", "Gather"): onnx_gather,
    ("ONNX", "MatMul, Add"): onnx_matmul,
    ("Equinox", "LSTMCell"): equinox_lstm,
    ("Equinox", "GRUCell"): equinox_gru,
    ("Keras", "SimpleRNN"): keras_simple,
    ("Keras", "LSTM"): keras_lstm,
    ("Keras", "GRU"): keras_gru,
    ("Keras", "GRU, reset_after=False"): keras_gru_before,
    ("Haiku", "VanillaRNN"): haiku_vanilla,
    ("Haiku", "LSTM"): haiku_lstm,
    ("Haiku", "GRU"): haiku_gru,
    ("Flax linen", "LSTMCell or OptimizedLSTMCell"): linen_lstm,
    ("Flax linen", "GRUCell"): linen_gru,
    ("Flax linen", "SimpleCell"): linen_simple,
    ("Flax nnx", "OptimizedLSTMCell"): nnx_optimized_lstm,
    ("Flax nnx", "LSTMCell"): nnx_lstm,
    ("Flax nnx", "GRUCell"): nnx_gru,
    ("Flax nnx", "SimpleCell"): nnx_simple,
}


def run(step, arrays, states, xs):
    """What each step emits, from these widths of the states, which begin as zeros."""
    state = tuple(np.zeros((*xs.shape[1:-1], width)) for width in states)
    ys = []
    for x in xs:
        state = step(arrays, state, x)
        ys.append(state[0])
    return ys


def torch_layers(step, arrays, states, xs):
    """Several layers and directions, by the names in a state_dict."""
    layer = 0
    while f"weight_ih_l{layer}" in arrays:
        outs = []
        for direction, order in (("", 1), ("_reverse", -1)):
            end = f"_l{layer}{direction}"
            own = {n.removesuffix(end): w for n, w in arrays.items() if n.endswith(end)}
            if own:
                outs.append(run(step, own, states, xs[::order])[::order])
        xs = np.concatenate([np.stack(out) for out in outs], -1)
        layer += 1
    return xs
