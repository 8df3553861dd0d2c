"""Windows, truncated BPTT, rules of an optimiser, batches over devices, streams, exported cells."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import rnn_jax as rnn
from tests.wrong_calls.given import CELL, NOISY, NOISY_PARAMS, PARAMS, XS, made, outputs

SGD = optax.sgd(1.0)


def update(xs, loss=outputs, **options):
    trainer = rnn.truncated_bptt(CELL, loss, SGD, window=7, **options)
    return lambda: trainer.update(trainer.init(made(CELL), (2,)), xs, None)


def adapt(layer=CELL, params=PARAMS, xs=XS, targets=XS, loss=outputs, rule=SGD, **options):
    return lambda: rnn.training.dynamic_evaluation(
        layer, params, xs, targets, loss, rule, **options
    )


def mesh_of(*names):
    auto = (jax.sharding.AxisType.Auto,) * len(names)
    return jax.sharding.AbstractMesh((2,) * len(names), names, axis_types=auto)


AVERAGED = rnn.training.average_params(0.9)
HALVED = rnn.training.scale_by_halving().init(PARAMS)


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
    "training.average_params: all of the past": (
        lambda: rnn.training.average_params(1.0),
        rnn.ArgumentError,
        r"average_params: decay must be a number in \[0, 1\), got 1\.0",
    ),
    "training.average_params: no params": (
        lambda: AVERAGED.update(PARAMS, AVERAGED.init(PARAMS)),
        rnn.ArgumentError,
        r"needs the params to average; call optimizer\.update\(gradients, state, params\)",
    ),
    "training.averaged_params: an optimiser without an average": (
        lambda: rnn.training.averaged_params(SGD.init(PARAMS)),
        rnn.ArgumentError,
        r"has average_params\(decay\) in it once, and has it 0 times",
    ),
    "training.averaged_params: two averages": (
        lambda: rnn.training.averaged_params(optax.chain(AVERAGED, AVERAGED).init(PARAMS)),
        rnn.ArgumentError,
        "in it once, and has it 2 times",
    ),
    "training.averaged_params: before the first update": (
        lambda: rnn.training.averaged_params(AVERAGED.init(PARAMS)),
        rnn.ArgumentError,
        "there was no update yet",
    ),
    "training.clip_by_global_norm: to nothing": (
        lambda: rnn.training.clip_by_global_norm(0),
        rnn.ArgumentError,
        "clip_by_global_norm: max_norm must be a positive number, got 0",
    ),
    "training.halve_on_stall: another optimiser": (
        lambda: rnn.training.halve_on_stall(SGD.init(PARAMS), 1.0, 2.0),
        rnn.ArgumentError,
        r"has scale_by_halving\(\) in it",
    ),
    "training.halve_on_stall: a loss of each step": (
        lambda: rnn.training.halve_on_stall(HALVED, np.ones(7), 2.0),
        rnn.ShapeError,
        r"loss must be one number, got shape \(7,\); take the mean",
    ),
    "training.halve_on_stall: no best": (
        lambda: rnn.training.halve_on_stall(HALVED, 1.0, None),
        rnn.StructureError,
        "halve_on_stall: best must be an array of numbers, got None",
    ),
    "training.matrices: a layer for the params": (
        lambda: rnn.training.matrices({"cell": CELL}),
        rnn.StructureError,
        r"matrices: params must hold arrays, got Elman.* at params\['cell'\]",
    ),
    "training.dynamic_evaluation: a function for the layer": (
        adapt(jnp.tanh),
        rnn.StructureError,
        "dynamic_evaluation: the first argument must be a Layer",
    ),
    "training.dynamic_evaluation: a noisy layer": (
        adapt(NOISY, NOISY_PARAMS),
        rnn.ArgumentError,
        r"is random, and what is evaluated must not be; pass layer\.deterministic\(\)",
    ),
    "training.dynamic_evaluation: a rate for the optimiser": (
        adapt(rule=0.1),
        rnn.ArgumentError,
        "dynamic_evaluation: optimizer must be a transformation of optax",
    ),
    "training.dynamic_evaluation: no loss": (
        adapt(loss=None),
        rnn.ArgumentError,
        "dynamic_evaluation: loss must be a function",
    ),
    "training.dynamic_evaluation: a window of nothing": (
        adapt(window=0),
        rnn.ArgumentError,
        "dynamic_evaluation: window must be a positive integer, got 0",
    ),
    "training.dynamic_evaluation: an empty stream": (
        adapt(xs=XS[:0], targets=XS[:0]),
        rnn.ShapeError,
        r"at least one step and one sequence, got shape \(0, 2, 3\)",
    ),
    "training.dynamic_evaluation: targets of another stream": (
        adapt(targets={"next": XS[1:]}),
        rnn.ShapeError,
        r"targets\['next'\] must have the 7 steps of xs on axis 0, got shape \(6, 2, 3\)",
    ),
    "training.dynamic_evaluation: a stream in a list": (
        adapt(xs=[1.0]),
        rnn.StructureError,
        r"xs must be an array, got \[1\.0\]",
    ),
    "truncated_bptt: no parts": (
        lambda: rnn.truncated_bptt(CELL, outputs, SGD, parts=0),
        rnn.ArgumentError,
        "truncated_bptt: parts must be a positive integer, got 0",
    ),
    "truncated_bptt: a batch that does not divide": (
        update(XS, parts=4),
        rnn.ShapeError,
        r"batch of shape \(2,\), which does not divide into 4 parts; take a multiple of 4",
    ),
    "training.accumulate: parts that are no number": (
        lambda: rnn.training.accumulate(outputs, "two", (1,)),
        rnn.ArgumentError,
        "accumulate: parts must be a positive integer, got 'two'",
    ),
    "training.accumulate: a batch that does not divide": (
        lambda: rnn.training.accumulate(outputs, 3, (1, 1))(XS, XS),
        rnn.ShapeError,
        r"accumulate: argument 0 must have a batch on axis 1 that divides into 3 equal parts, one "
        "after the other, got shape",
    ),
    "training.accumulate: a result without a batch": (
        lambda: rnn.training.accumulate(jnp.sum, 2, (1,), out_axes=1)(XS),
        rnn.ShapeError,
        r"accumulate: out_axes has a batch on axis 1 of a result of shape \(\), which has no such",
    ),
    "training.accumulate: a sum over what a mask leaves": (
        lambda: rnn.training.accumulate(
            lambda xs, mask: jnp.sum(xs, where=mask) / jnp.sum(mask, dtype=xs.dtype), 2, (1, 1)
        )(XS, XS > 0),
        rnn.ArgumentError,
        r"accumulate: the mean of f over parts .* \(div\) .* count=lambda",
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
    "placement: params for the layer": (
        lambda: rnn.placement(PARAMS, mesh_of("data", "model")),
        rnn.StructureError,
        r"placement: the first argument must be a Layer, got ElmanParams\(w_xh, w_hh, b_h\)",
    ),
    "placement: devices for the mesh": (
        lambda: rnn.placement(CELL, jax.devices()),
        rnn.ArgumentError,
        r"placement: mesh must be a Mesh or AbstractMesh, as jax\.make_mesh makes it, got",
    ),
    "placement: a mesh of other axes": (
        lambda: rnn.placement(CELL, mesh_of("batch", "heads")),
        rnn.ArgumentError,
        r"an axis of mesh must be called 'data' or 'model', got \('batch', 'heads'\)",
    ),
    "placement: a mesh as JAX makes it": (
        lambda: rnn.placement(CELL, jax.make_mesh((1, 1), ("data", "model"))),
        rnn.ArgumentError,
        r"placement: all axes of mesh must be Auto, .*axis_types=\(AxisType\.Auto,\) \* 2\)",
    ),
    "placement: a hidden size that does not divide": (
        lambda: rnn.placement(rnn.LSTM(3, 5), mesh_of("data", "model")),
        rnn.ShapeError,
        r"placement: LSTM\(.*carry\.h has shape \(\*batch, 5\), and no axis .* 2 devices of",
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
