"""The oracle of linear and of diagonal cells: steps as in `reference`, in NumPy's complex128."""

import numpy as np

from tests.reference import relu, sigmoid


def softplus(x):
    return np.logaddexp(x, 0)


def number(pair):
    return pair["re"] + 1j * pair["im"]


def pair(z):
    return {"re": z.real, "im": z.imag}


def lru(p, carry, x):
    eigenvalues = np.exp(-np.exp(p["nu_log"]) + 1j * np.exp(p["theta_log"]))
    h = eigenvalues * number(carry) + np.exp(p["gamma_log"]) * (x @ number(p["b"]))
    return pair(h), (h @ number(p["c"])).real + p["d"] * x


def s5(p, carry, x):
    eigenvalues = -np.exp(p["decay_log"]) + 1j * p["frequency"]
    a = np.exp(eigenvalues * np.exp(p["step_log"]))
    h = a * number(carry) + (a - 1) / eigenvalues * (x @ number(p["b"]))
    return pair(h), 2 * (h @ number(p["c"])).real + p["d"] * x


def rglru(p, carry, x):
    heads, n, _ = p["w_r"].shape
    parts = [x[..., n * k : n * (k + 1)] for k in range(heads)]
    gates = {}
    for name in "ri":
        made = [part @ w for part, w in zip(parts, p[f"w_{name}"], strict=True)]
        gates[name] = sigmoid(np.concatenate(made, -1) + p[f"b_{name}"])
    a = np.exp(-softplus(p["p"])) ** (8 * gates["r"])
    h = a * carry["h"] + np.sqrt(1 - a**2) * gates["i"] * x
    return {"h": h}, h


def min_gru(p, carry, x):
    z, n = np.split(x @ p["w_xh"] + p["b_h"], 2, -1)
    z = sigmoid(z)
    h = (1 - z) * carry["h"] + z * n
    return {"h": h}, h


def min_lstm(p, carry, x):
    i, f, n = np.split(x @ p["w_xh"] + p["b_h"], 3, -1)
    i, f = sigmoid(i), sigmoid(f)
    h = f / (f + i) * carry["h"] + i / (f + i) * n
    return {"h": h}, h


def selective_ssm(p, carry, x):
    rank, states = len(p["w_step"]), p["decay_log"].shape[1]
    made = x @ p["w_in"]
    b, c = made[..., rank : rank + states], made[..., rank + states :]
    step = softplus(made[..., :rank] @ p["w_step"] + p["b_step"])
    h, y = np.empty_like(carry["h"]), p["d"] * x
    for n in range(states):
        a = np.exp(-step * np.exp(p["decay_log"][:, n]))
        h[..., n] = a * carry["h"][..., n] + step * b[..., n : n + 1] * x
        y = y + c[..., n : n + 1] * h[..., n]
    return {"h": h}, y


def diagonal_gru(p, carry, x):
    h, n = carry["h"], carry["h"].shape[-1]
    r, z, new = (slice(n * k, n * (k + 1)) for k in range(3))
    a, u = x @ p["w_xh"] + p["b_h"], p["w_h"]
    reset, keep = sigmoid(a[..., r] + u[r] * h), sigmoid(a[..., z] + u[z] * h)
    h = keep * h + (1 - keep) * np.tanh(a[..., new] + u[new] * (reset * h))
    return {"h": h}, h


def diagonal_lstm(p, carry, x):
    a = x @ p["w_xh"] + p["b_h"] + p["w_h"] * np.concatenate([carry["h"]] * 3, -1)
    f, g, o = np.split(a, 3, -1)
    c = sigmoid(f) * carry["c"] + (1 - sigmoid(f)) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return {"h": h, "c": c}, h


def indrnn(p, carry, x):
    h = relu(x @ p["w_xh"] + p["w_h"] * carry["h"] + p["b_h"])
    return {"h": h}, h
