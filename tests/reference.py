"""The oracle: the recurrences as NumPy loops in float64, written from the papers' equations.

Nothing here comes from the library. A step maps `(params, carry, x)` to `(carry, y)`; params and
carry are plain dictionaries of float64 arrays. A run maps `(params, carry, xs, marks)` to the last
carry and the outputs of all steps: a for loop. With marks it runs one sequence, without batch axes.
"""

from typing import Any, NamedTuple

import numpy as np


class Marks(NamedTuple):
    valid: np.ndarray
    reset: np.ndarray
    initial: Any

    def of(self, index):
        """For entry `index` of a layer whose initial carry is a tuple or a dictionary."""
        return self._replace(initial=self.initial[index])

    def reversed(self):
        """The mark at t keeps t - 1 and t apart; run backward, it comes before t - 1."""
        reset = np.append(False, self.reset[::-1])[: len(self.reset)]
        return self._replace(valid=self.valid[::-1], reset=reset)


def loop(step):
    """The run of a step."""

    def run(params, carry, xs, marks=None):
        ys = [None] * len(xs)
        for t, x in enumerate(xs):
            if marks is not None and marks.reset[t]:
                carry = marks.initial
            if marks is None or marks.valid[t]:
                carry, ys[t] = step(params, carry, x)
        return carry, padded(ys, lambda: step(params, carry, np.zeros_like(xs[0]))[1])

    return run


def padded(ys, like):
    """Zeros where there is no output."""
    return [np.zeros_like(like()) if y is None else y for y in ys]


def reverse(run):
    """The run from the last step to the first."""

    def reversed_run(params, carry, xs, marks=None):
        carry, ys = run(params, carry, xs[::-1], marks and marks.reversed())
        return carry, ys[::-1]

    return reversed_run


def bidirectional(forward, backward, merge):
    def run(params, carry, xs, marks=None):
        after, outputs = {}, []
        for name, one in (("forward", forward), ("backward", reverse(backward))):
            after[name], ys = one(params[name], carry[name], xs, marks and marks.of(name))
            outputs.append(ys)
        merged = [merge(f, b) for f, b in zip(*outputs, strict=True)]
        if marks is not None:
            merged = [y * v for y, v in zip(merged, marks.valid, strict=True)]
        return after, merged

    return run


def stack(*layers):
    def run(params, carry, xs, marks=None):
        after = []
        for i, layer in enumerate(layers):
            c, xs = layer(params[i], carry[i], xs, marks and marks.of(i))
            after.append(c)
        return tuple(after), xs

    return run


def tied(embedding, body):
    layers = stack(embedding, body)

    def run(params, carry, xs, marks=None):
        carry, hs = layers(params["layer"], carry, xs, marks)
        valid = np.ones(len(xs), bool) if marks is None else marks.valid
        w, b = params["layer"][0]["w"], params["b"]
        return carry, [(h @ w.T + b) * v for h, v in zip(hs, valid, strict=True)]

    return run


def residual(layer):
    def run(params, carry, xs, marks=None):
        carry, ys = layer(params, carry, xs, marks)
        valid = np.ones(len(xs), bool) if marks is None else marks.valid
        return carry, [x + y if v else y for x, y, v in zip(xs, ys, valid, strict=True)]

    return run


def around(layer):
    """What has the params of a layer, and others that no step reads."""

    def run(params, carry, xs, marks=None):
        return layer(params["layer"], carry, xs, marks)

    return run


def heads(step, number):
    def side_by_side(params, carry, x):
        each = [
            step(
                {k: w[i] for k, w in params.items()}, {k: c[..., i, :] for k, c in carry.items()}, x
            )
            for i in range(number)
        ]
        after = {k: np.stack([c[k] for c, _ in each], -2) for k in carry}
        return after, np.concatenate([y for _, y in each], -1)

    return side_by_side


def leaky(step, rates, emitted):
    def leaking(params, carry, x):
        after, _ = step(params, carry, x)
        carry = {k: rates[k] * carry[k] + (1 - rates[k]) * after[k] for k in carry}
        return carry, carry[emitted]

    return leaking


def time_scales(step, emitted):
    def leaking(params, carry, x):
        rates = {name: sigmoid(k) for name, k in params["keep"].items()}
        return leaky(step, rates, emitted)(params["layer"], carry, x)

    return leaking


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0.0)


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


def output_gated(params, carry, x):
    a, o = np.split(x @ params["w_xh"] + carry["h"] @ params["w_hh"], 2, -1)
    h = np.tanh(a)
    return {"h": h}, sigmoid(o) * h


def reset_before_gru(p, carry, x):
    h, n = carry["h"], carry["h"].shape[-1]
    w, u, b = p["w_xh"], p["w_hh"], p["b_h"]
    r = sigmoid(x @ w[:, :n] + h @ u[:, :n] + b[:n])
    z = sigmoid(x @ w[:, n : 2 * n] + h @ u[:, n:] + b[n : 2 * n])
    candidate = np.tanh(x @ w[:, 2 * n :] + (r * h) @ p["w_hn"] + b[2 * n :])
    h = (1 - z) * candidate + z * h
    return {"h": h}, h


def embedding(scale=1.0):
    return lambda p, carry, x: (carry, scale * p["w"][x])


def dense(p, carry, x):
    return carry, x @ p["w"] + p["b"]


def layer_mix(p, carry, x):
    weights = np.exp(p["s"]) / np.exp(p["s"]).sum()
    mixed = sum(weight * x[..., layer, :] for layer, weight in enumerate(weights))
    return carry, p["gamma"] * mixed
