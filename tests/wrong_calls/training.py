"""Windows, truncated BPTT, batches over devices, streams, exported cells."""

import jax.numpy as jnp
import optax

import rnn_jax as rnn
from tests.wrong_calls.given import CELL, KEY, NOISY, NOISY_PARAMS, PARAMS, XS, outputs

SGD = optax.sgd(1.0)


def update(xs, loss=outputs):
    trainer = rnn.truncated_bptt(CELL, loss, SGD, window=7)
    return lambda: trainer.update(trainer.init(CELL.init(KEY), (2,)), xs, None)


ROWS = {
    "truncated_bptt: a negative window": (
        lambda: rnn.truncated_bptt(CELL, outputs, SGD, window=-35),
        rnn.ArgumentError,
        "window must be a positive integer, got -35",
    ),
    "truncated_bptt: a stride over the window": (
        lambda: rnn.truncated_bptt(CELL, outputs, SGD, window=3, stride=4),
        rnn.ArgumentError,
        r"stride \(k1\) must not exceed window \(k2\).*stride 4 and window 3",
    ),
    "truncated_bptt: a window of nothing": (
        update(XS[:0]),
        rnn.ShapeError,
        r"xs must have shape \(7, \*batch, ...\), one window, got \(0, 2, 3\)",
    ),
    "truncated_bptt: a loss that is a mean already": (
        update(XS, lambda ys, targets: jnp.mean(ys)),
        rnn.ShapeError,
        r"one number a step, \(7, \*batch\), got shape \(\); do not take its mean",
    ),
    "truncated_bptt: a loss that is none": (
        lambda: rnn.truncated_bptt(CELL, None, SGD),
        rnn.ArgumentError,
        "loss must be a function",
    ),
    "truncated_bptt: a loss for the optimiser": (
        lambda: rnn.truncated_bptt(CELL, outputs, outputs),
        rnn.RNNError,
        "optimizer must be",
    ),
    "truncated_bptt: params for the layer": (
        lambda: rnn.truncated_bptt(PARAMS, outputs, SGD),
        rnn.RNNError,
        r"must be a Layer, got ElmanParams\(w_xh, w_hh, b_h\)",
    ),
    "truncated_bptt: no params": (
        lambda: rnn.truncated_bptt(CELL, outputs, SGD).init(None, (2,)),
        rnn.StructureError,
        "expected params of the form",
    ),
    "windows: a stream shorter than one": (
        lambda: rnn.windows(XS, 35),
        rnn.ArgumentError,
        "the stream has 7 steps, fewer than one window of 35",
    ),
    "windows: a generator": (
        lambda: rnn.windows((x for x in XS), 3),
        rnn.StructureError,
        r"the stream must be an array \(T, \.\.\.\), got a generator; stack its steps",
    ),
    "split_batch: an axis for one of two arguments": (
        lambda: rnn.split_batch(outputs, in_axes=(1,))(XS, XS),
        rnn.ArgumentError,
        "in_axes has 1 entries for 2 arguments",
    ),
    "split_batch: an axis alone": (
        lambda: rnn.split_batch(outputs, in_axes=1),
        rnn.RNNError,
        "in_axes must be",
    ),
    "stream: a block of nothing": (
        lambda: rnn.stream(CELL, PARAMS, iter(XS), block=0),
        rnn.ArgumentError,
        "block must be a positive integer, got 0",
    ),
    "stream: params for the cell": (
        lambda: rnn.stream(PARAMS, CELL, iter(XS)),
        rnn.StructureError,
        r"stream: the first argument must be a Layer, got ElmanParams\(w_xh, w_hh, b_h\)",
    ),
    "stream: a number for the steps": (
        lambda: rnn.stream(CELL, PARAMS, 5),
        rnn.StructureError,
        "stream: xs must be an iterator of steps, got 5",
    ),
    "export: noise": (
        lambda: rnn.export(NOISY, NOISY_PARAMS),
        rnn.ArgumentError,
        r"layers\[1\]\.layer, Dropout.*needs a key",
    ),
}
