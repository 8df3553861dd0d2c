"""Tokens out of a model."""

import math

import jax
import jax.numpy as jnp

import rnn_jax as rnn
from tests.wrong_calls.given import BOTH_WAYS, CELL, KEY, MODEL, PARAMS, TOKENS, XS

SPEAKER = rnn.stack(MODEL, rnn.Dense(5, 9))
SPEAKER_PARAMS = SPEAKER.init(KEY)
NOISY = rnn.stack(SPEAKER, rnn.Dropout(9, 0.5))


def sample(cell=SPEAKER, params=SPEAKER_PARAMS, prompt=TOKENS, length=3, temperature=1.0, key=KEY):
    return lambda: rnn.decoding.sample(cell, params, prompt, length, temperature, key)


ROWS = {
    "decoding.sample: a cell that reads numbers": (
        sample(CELL, PARAMS, XS),
        rnn.ShapeError,
        r"must read one token a step.*Elman.*reads floating of shape \(3,\).*begins with an Embed",
    ),
    "decoding.sample: a layer without a single step": (
        sample(BOTH_WAYS),
        rnn.StructureError,
        "sample: the first argument must be a Cell",
    ),
    "decoding.sample: a noisy model": (
        sample(NOISY, NOISY.init(KEY)),
        rnn.ArgumentError,
        r"is random by itself; sample from cell\.deterministic\(\)",
    ),
    "decoding.sample: params of another model": (
        sample(params=PARAMS),
        rnn.StructureError,
        "expected params of the form",
    ),
    "decoding.sample: a prompt of text": (
        sample(prompt="abc"),
        rnn.StructureError,
        "prompt must be an array, got 'abc'",
    ),
    "decoding.sample: an empty prompt": (
        sample(prompt=TOKENS[:0]),
        rnn.ShapeError,
        r"prompt must have at least one step.*got shape \(0, 2\)",
    ),
    "decoding.sample: a prompt of probabilities": (
        sample(prompt=jnp.ones((7, 2))),
        rnn.DtypeError,
        "prompt must be integer, got float",
    ),
    "decoding.sample: no length": (
        sample(length=0),
        rnn.ArgumentError,
        "sample: length must be a positive integer, got 0",
    ),
    "decoding.sample: below zero": (
        sample(temperature=-1.0),
        rnn.ArgumentError,
        "sample: temperature must be a number of 0 or more, got -1.0",
    ),
    "decoding.sample: without an end": (
        sample(temperature=math.inf),
        rnn.ArgumentError,
        "sample: temperature must be a number of 0 or more, got inf",
    ),
    "decoding.sample: a temperature for each sequence, traced": (
        lambda: jax.jit(lambda t: sample(temperature=t)())(jnp.ones(2)),
        rnn.ShapeError,
        r"temperature must be a scalar, got shape \(2,\)",
    ),
    "decoding.sample: a seed": (
        sample(key=0),
        rnn.StructureError,
        "sample: key must be one key",
    ),
}
