"""Attention as NumPy loops in float64, written from the papers' equations.

Params are those of `reference`, with a memory of S places beside them, the same for all sequences:
`{"values": (S, M), "keys": (S, A), "valid": (S,)}`.
"""

import numpy as np


def additive(p, query, keys, previous):
    return [np.tanh(query @ p["w_query"] + key) @ p["v"] for key in keys]


def dot(p, query, keys, previous):
    return [query @ key for key in keys]


def location(p, query, keys, previous):
    width, count = p["filters"].shape
    scores = []
    for s, key in enumerate(keys):
        found = np.zeros((*query.shape[:-1], count))
        for j in range(width):
            place = s + j - width // 2
            if 0 <= place < len(keys):
                found = found + previous[..., place, None] * p["filters"][j]
        inside = query @ p["w_query"] + key + found @ p["w_location"] + p["b"]
        scores.append(np.tanh(inside) @ p["v"])
    return scores


def attend(score, p, query, previous=None):
    """The context and the weights `(..., S)`."""
    memory = p["memory"]
    values, valid = memory["values"], memory["valid"] > 0.5
    keys = values if memory["keys"] is None else memory["keys"]
    parts = [
        np.exp(s) if there else np.zeros(np.shape(s))
        for s, there in zip(score(p["score"], query, keys, previous), valid, strict=True)
    ]
    weights = np.stack(parts, -1)
    total = weights.sum(-1, keepdims=True)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    context = np.zeros((*query.shape[:-1], values.shape[-1]))
    for s, value in enumerate(values):
        context = context + weights[..., s, None] * value
    return context, weights


def attention(score):
    return lambda p, carry, x: (carry, attend(score, p, x)[0])


def readout(score):
    def step(p, carry, h):
        context, _ = attend(score, p["attention"], h)
        return carry, np.tanh(np.concatenate([context, h], -1) @ p["w"])

    return step


def attentive(score, cell):
    """Around the step of a cell whose carry has an h."""

    def step(p, carry, x):
        query, previous = carry["layer"]["h"], carry["weights"]
        context, weights = attend(score, p["attention"], query, previous)
        after, h = cell(p["layer"], carry["layer"], np.concatenate([x, context], -1))
        weights = weights if len(previous) else ()
        return {"layer": after, "weights": weights}, np.concatenate([h, context], -1)

    return step


def fed_back(*steps):
    """Around a stack of layers, each given as its step."""

    def step(p, carry, x):
        x, after = np.concatenate([x, carry["y"]], -1), []
        for layer, params, c in zip(steps, p, carry["layer"], strict=True):
            c, x = layer(params, c, x)
            after.append(c)
        return {"layer": tuple(after), "y": x}, x

    return step
