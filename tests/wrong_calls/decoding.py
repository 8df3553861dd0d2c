"""Tokens out of a model, and labels out of one that is trained by CTC."""

import math

import jax
import numpy as np

import rnn_jax as rnn
from tests.wrong_calls.given import BOTH_WAYS, CELL, KEY, MODEL, PARAMS, TOKENS, XS, TokenCell, made

SPEAKER = rnn.stack(MODEL, rnn.Dense(5, 9))
SPEAKER_PARAMS = made(SPEAKER)
NOISY = rnn.stack(SPEAKER, rnn.Dropout(9, 0.5))
decoding = rnn.decoding


class OneNumber(TokenCell):
    """A cell that emits a number, not one a token."""

    def readout(self, params, hs, xs):
        return hs[..., 0]


def sample(*filters, cell=SPEAKER, params=SPEAKER_PARAMS, prompt=TOKENS, length=3, key=KEY, **more):
    return lambda: decoding.sample(cell, params, prompt, length, key, *filters, **more)


def beam(cell=SPEAKER, params=SPEAKER_PARAMS, prompt=TOKENS, length=3, width=4, end=8, **more):
    return lambda: decoding.beam(cell, params, prompt, length, width, end, **more)


def ctc_beam(logits=XS, width=4, **more):
    return lambda: decoding.ctc_beam(logits, width, **more)


ROWS = {
    "decoding.sample: a cell that reads numbers": (
        sample(cell=CELL, params=PARAMS, prompt=XS),
        rnn.ShapeError,
        r"must read one token a step.*Elman.*reads floating of shape \(3,\).*begins with an Embed",
    ),
    "decoding.sample: a layer without a single step": (
        sample(cell=BOTH_WAYS),
        rnn.StructureError,
        "sample: the first argument must be a Cell",
    ),
    "decoding.sample: a noisy model": (
        sample(cell=NOISY, params=made(NOISY)),
        rnn.ArgumentError,
        r"is random by itself; decode by cell\.deterministic\(\)",
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
        sample(prompt=np.ones((7, 2))),
        rnn.DtypeError,
        "prompt must be integer, got float",
    ),
    "decoding.sample: no length": (
        sample(length=0),
        rnn.ArgumentError,
        "sample: length must be a positive integer, got 0",
    ),
    "decoding.sample: a seed": (
        sample(key=0),
        rnn.StructureError,
        "sample: key must be one key",
    ),
    "decoding.sample: a temperature for a filter": (
        sample(0.7),
        rnn.ArgumentError,
        r"sample: filters\[0\] must be a function of logits, such as Temperature\(0\.8\).*got 0\.7",
    ),
    "decoding.sample: a class for a filter": (
        sample(decoding.TopK(3), decoding.TopP),
        rnn.ArgumentError,
        r"sample: filters\[1\] must be a function.*got the class TopP",
    ),
    "decoding.sample: a filter that draws by itself": (
        sample(lambda logits: logits.argmax(-1)),
        rnn.ShapeError,
        r"a filter makes logits of the shape of those it reads, \(2, 9\).*of shape \(2,\)",
    ),
    "decoding.sample: an end beyond the vocabulary": (
        sample(end=9),
        rnn.ArgumentError,
        "sample: end must be a token, from 0 to 8, got 9",
    ),
    "decoding.sample: an empty prompt among others": (
        sample(lengths=[7, 0]),
        rnn.ArgumentError,
        r"sample: lengths\[1\] is 0, but prompt has 7 steps; a length is from 1 to 7",
    ),
    "decoding.sample: a carry of another batch": (
        sample(carry=SPEAKER.initial_carry(SPEAKER_PARAMS, (3,))),
        rnn.ShapeError,
        r"carry.*must have shape \(2, 5\), got \(3, 5\)",
    ),
    "decoding.sample: a cell that emits one number": (
        sample(cell=OneNumber(3, 5), params=PARAMS),
        rnn.ShapeError,
        r"must emit logits \(\*batch, V\).*of tokens of shape \(2,\).*makes \(2,\)",
    ),
    "decoding.Temperature: below zero": (
        lambda: decoding.Temperature(-1.0),
        rnn.ArgumentError,
        "Temperature: temperature must be a number of 0 or more, got -1.0",
    ),
    "decoding.Temperature: without an end": (
        lambda: decoding.Temperature(math.inf),
        rnn.ArgumentError,
        "Temperature: temperature must be a number of 0 or more, got inf",
    ),
    "decoding.Temperature: one for each sequence, traced": (
        lambda: jax.jit(lambda t: decoding.Temperature(t)(XS))(np.ones(2)),
        rnn.ShapeError,
        r"temperature must be a scalar, got shape \(2,\)",
    ),
    "decoding.TopK: a share": (
        lambda: decoding.TopK(0.9),
        rnn.ArgumentError,
        "TopK: k must be a positive integer, got 0.9",
    ),
    "decoding.TopP: in percent": (
        lambda: decoding.TopP(90),
        rnn.ArgumentError,
        r"TopP: p must be a number in \[0, 1\], got 90",
    ),
    "decoding.MinP: below zero": (
        lambda: decoding.MinP(-0.1),
        rnn.ArgumentError,
        r"MinP: p must be a number in \[0, 1\], got -0.1",
    ),
    "decoding.beam: a noisy model": (
        beam(NOISY, made(NOISY)),
        rnn.ArgumentError,
        r"beam: .*is random by itself; decode by cell\.deterministic\(\)",
    ),
    "decoding.beam: no width": (
        beam(width=0),
        rnn.ArgumentError,
        "beam: width must be a positive integer, got 0",
    ),
    "decoding.beam: no length": (
        beam(length=0),
        rnn.ArgumentError,
        "beam: length must be a positive integer, got 0",
    ),
    "decoding.beam: no end": (
        beam(end=None),
        rnn.ArgumentError,
        "beam: end must be an integer of 0 or more, got None",
    ),
    "decoding.beam: an end beyond the vocabulary": (
        beam(end=9),
        rnn.ArgumentError,
        "beam: end must be a token, from 0 to 8, got 9",
    ),
    "decoding.beam: more of the best than there are": (
        beam(n_best=5),
        rnn.ArgumentError,
        "beam: n_best must be at most width, 4, got 5",
    ),
    "decoding.beam: a penalty without an end": (
        beam(length_penalty=math.nan),
        rnn.ArgumentError,
        "beam: length_penalty must be a finite number, got nan",
    ),
    "decoding.beam: a length over T": (
        beam(lengths=[7, 8]),
        rnn.ArgumentError,
        r"beam: lengths\[1\] is 8, but prompt has 7 steps",
    ),
    "decoding.ctc_greedy: tokens": (
        lambda: decoding.ctc_greedy(TOKENS),
        rnn.DtypeError,
        "ctc_greedy: logits must be floating, got int32",
    ),
    "decoding.ctc_greedy: no step": (
        lambda: decoding.ctc_greedy(XS[:0]),
        rnn.ShapeError,
        r"logits must have shape \(T, \*batch, V\) and at least one step, got \(0, 2, 3\)",
    ),
    "decoding.ctc_greedy: a blank that is no class": (
        lambda: decoding.ctc_greedy(XS, blank=3),
        rnn.ArgumentError,
        "ctc_greedy: blank must be a class, from 0 to 2, got 3",
    ),
    "decoding.ctc_greedy: the last class, as in Python": (
        lambda: decoding.ctc_greedy(XS, blank=-1),
        rnn.ArgumentError,
        "ctc_greedy: blank must be an integer of 0 or more, got -1",
    ),
    "decoding.ctc_greedy: one length for all": (
        lambda: decoding.ctc_greedy(XS, 7),
        rnn.ShapeError,
        r"ctc_greedy: lengths must have shape \(\*batch\) = \(2,\), got \(\)",
    ),
    "decoding.ctc_beam: no width": (
        ctc_beam(width=0),
        rnn.ArgumentError,
        "ctc_beam: width must be a positive integer, got 0",
    ),
    "decoding.ctc_beam: more of the best than there are": (
        ctc_beam(n_best=5),
        rnn.ArgumentError,
        "ctc_beam: n_best must be at most width, 4, got 5",
    ),
    "decoding.ctc_beam: lengths of a half": (
        ctc_beam(lengths=[0.5, 1.0]),
        rnn.DtypeError,
        "ctc_beam: lengths must be integer, got float..; lengths.astype converts it",
    ),
}
