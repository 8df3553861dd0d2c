"""The oracle: the recurrences as NumPy loops in float64, written from the papers' equations.

Nothing here comes from the library. A reference maps `(params, carry, x)` to `(carry, y)` for one
step; params and carry are plain dictionaries of float64 arrays, `unroll` is a for loop.
"""

import numpy as np


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0.0)


def unroll(step, params, carry, xs):
    """Run `step` over axis 0 of xs; the final carry and the list of outputs."""
    ys = []
    for x in xs:
        carry, y = step(params, carry, x)
        ys.append(y)
    return carry, ys


def elman(activation):
    def step(p, carry, x):
        h = activation(x @ p["w_xh"] + carry["h"] @ p["w_hh"] + p["b_h"])
        return {"h": h}, h

    return step


def jordan(p, carry, x):
    h = np.tanh(x @ p["w_xh"] + carry["y"] @ p["w_yh"] + p["b_h"])
    y = np.tanh(h @ p["w_hy"] + p["b_y"])
    return {"y": y}, y


def lstm(p, carry, x):
    n = carry["h"].shape[-1]
    a = x @ p["w_xh"] + carry["h"] @ p["w_hh"] + p["b_h"]
    i, f = sigmoid(a[..., :n]), sigmoid(a[..., n : 2 * n])
    g, o = np.tanh(a[..., 2 * n : 3 * n]), sigmoid(a[..., 3 * n :])
    c = f * carry["c"] + i * g
    h = o * np.tanh(c)
    return {"h": h, "c": c}, h


def gru(p, carry, x):
    h, n = carry["h"], carry["h"].shape[-1]
    w, u, b = p["w_xh"], p["w_hh"], p["b_h"]
    r = sigmoid(x @ w[:, :n] + h @ u[:, :n] + b[:n])
    z = sigmoid(x @ w[:, n : 2 * n] + h @ u[:, n : 2 * n] + b[n : 2 * n])
    candidate = np.tanh(x @ w[:, 2 * n :] + b[2 * n :] + r * (h @ u[:, 2 * n :] + p["b_hn"]))
    h = (1 - z) * candidate + z * h
    return {"h": h}, h


def mgu(p, carry, x):
    h, n = carry["h"], carry["h"].shape[-1]
    w, u, b = p["w_xh"], p["w_hh"], p["b_h"]
    f = sigmoid(x @ w[:, :n] + h @ u[:, :n] + b[:n])
    candidate = np.tanh(x @ w[:, n:] + b[n:] + f * (h @ u[:, n:] + p["b_hn"]))
    h = (1 - f) * h + f * candidate
    return {"h": h}, h


EPSILON = 0.5  # of the layer norms: not the default, and no vector is nearly constant beside it


def normalize(a):
    return (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + EPSILON)


def layer_norm_elman(p, carry, x):
    h = np.tanh(p["gain"] * normalize(x @ p["w_xh"] + carry["h"] @ p["w_hh"]) + p["b_h"])
    return {"h": h}, h


def layer_norm_lstm(p, carry, x):
    n = carry["h"].shape[-1]
    of_x, of_h = normalize(x @ p["w_xh"]), normalize(carry["h"] @ p["w_hh"])
    a = p["gain_x"] * of_x + p["gain_h"] * of_h + p["b_h"]
    i, f = sigmoid(a[..., :n]), sigmoid(a[..., n : 2 * n])
    g, o = np.tanh(a[..., 2 * n : 3 * n]), sigmoid(a[..., 3 * n :])
    c = f * carry["c"] + i * g
    h = o * np.tanh(p["gain_c"] * normalize(c) + p["b_c"])
    return {"h": h, "c": c}, h


def layer_norm_gru(p, carry, x):
    h, n = carry["h"], carry["h"].shape[-1]
    gates, new = slice(None, 2 * n), slice(2 * n, None)
    w, u, b, of_x, of_h = p["w_xh"], p["w_hh"], p["b_h"], p["gain_x"], p["gain_h"]
    rz = sigmoid(
        of_x[gates] * normalize(x @ w[:, gates])
        + of_h[gates] * normalize(h @ u[:, gates])
        + b[gates]
    )
    r, z = rz[..., :n], rz[..., n:]
    inside = of_h[new] * normalize(h @ u[:, new]) + p["b_hn"]
    candidate = np.tanh(of_x[new] * normalize(x @ w[:, new]) + b[new] + r * inside)
    h = (1 - z) * candidate + z * h
    return {"h": h}, h


def projected_lstm(p, carry, x):
    n = carry["m"].shape[-1]
    a = x @ p["w_xh"] + carry["m"] @ p["w_hr"] @ p["w_hh"] + p["b_h"]
    i, f = sigmoid(a[..., :n]), sigmoid(a[..., n : 2 * n])
    g, o = np.tanh(a[..., 2 * n : 3 * n]), sigmoid(a[..., 3 * n :])
    c = f * carry["c"] + i * g
    m = o * np.tanh(c)
    return {"m": m, "c": c}, m @ p["w_hr"]


def peephole_lstm(p, carry, x):
    n = carry["h"].shape[-1]
    a = x @ p["w_xh"] + carry["h"] @ p["w_hh"] + p["b_h"]
    i = sigmoid(a[..., :n] + p["p_i"] * carry["c"])
    f = sigmoid(a[..., n : 2 * n] + p["p_f"] * carry["c"])
    c = f * carry["c"] + i * np.tanh(a[..., 2 * n : 3 * n])
    h = sigmoid(a[..., 3 * n :] + p["p_o"] * c) * np.tanh(c)
    return {"h": h, "c": c}, h


def reset_before_gru(p, carry, x):
    h = carry["h"]
    r = sigmoid(x @ p["w_xr"] + h @ p["w_hr"])
    z = sigmoid(x @ p["w_xz"] + h @ p["w_hz"])
    candidate = np.tanh(x @ p["w_xn"] + (r * h) @ p["w_hn"])
    h = (1 - z) * candidate + z * h
    return {"h": h}, h


def embedding(p, carry, x):
    return carry, p["w"][x]


def dense(p, carry, x):
    return carry, x @ p["w"] + p["b"]


def stack(*steps):
    def step(params, carry, x):
        after = []
        for layer, p, c in zip(steps, params, carry, strict=True):
            c, x = layer(p, c, x)
            after.append(c)
        return tuple(after), x

    return step
