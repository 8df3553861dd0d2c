"""Cells, layers without memory, methods: their settings, `init` and `initial_carry`."""

import math

import jax
import jax.numpy as jnp
import numpy as np

import rnn_jax as rnn
from tests.wrong_calls.given import CELL, KEY, KEYS, LSTM, MODEL, PARAMS, XS, Foreign


def activated(activation):
    return lambda: rnn.Elman(3, 5, activation=activation)


def initialised(draw, kind=rnn.Elman, **options):
    return lambda: kind(3, 5, **{**options, "input_init": draw}).init(KEY)


ROWS = {
    "LSTM: a negative size": (
        lambda: rnn.LSTM(3, -5),
        rnn.ArgumentError,
        r"hidden_size must be a positive integer, got -5",
    ),
    "GRU: a size in letters": (
        lambda: rnn.GRU("3", 5),
        rnn.ArgumentError,
        "GRU: input_size must be a positive integer, got '3'",
    ),
    "ResetBeforeGRU: no units": (
        lambda: rnn.ResetBeforeGRU(3, 0),
        rnn.ArgumentError,
        "ResetBeforeGRU: hidden_size must be a positive integer, got 0",
    ),
    "MGU: sizes in a tuple": (
        lambda: rnn.MGU((3, 5), 5),
        rnn.ArgumentError,
        r"MGU: input_size must be a positive integer, got \(3, 5\)",
    ),
    "IRNN: a truth for a size": (
        lambda: rnn.IRNN(3, True),
        rnn.ArgumentError,
        "hidden_size must be a positive integer, got True",
    ),
    "Jordan: a size of one and a half": (
        lambda: rnn.Jordan(3, 4, 1.5),
        rnn.ArgumentError,
        r"output_size must be a positive integer, got 1\.5",
    ),
    "Jordan: an output activation of NumPy": (
        lambda: rnn.Jordan(3, 4, 2, output_activation=np.tanh),
        rnn.ArgumentError,
        r"Jordan: output_activation, .*computes outside JAX.*take jnp\.tanh",
    ),
    "ProjectedLSTM: a projection to nothing": (
        lambda: rnn.ProjectedLSTM(3, 4, 0),
        rnn.ArgumentError,
        "projection_size must be a positive integer, got 0",
    ),
    "LRU: a ring inside out": (
        lambda: rnn.LRU(3, 4, r_min=0.9, r_max=0.5),
        rnn.ArgumentError,
        r"LRU: r_min must be below r_max, got 0\.9 and 0\.5",
    ),
    "LRU: a radius outside the unit circle": (
        lambda: rnn.LRU(3, 4, r_max=1.1),
        rnn.ArgumentError,
        r"LRU: r_max must be a number in \[0, 1\], got 1\.1",
    ),
    "LRU: a phase in degrees": (
        lambda: rnn.LRU(3, 4, max_phase=90),
        rnn.ArgumentError,
        r"LRU: max_phase must be a number in \(0, 2 pi\], got 90",
    ),
    "S5: no units": (
        lambda: rnn.S5(3, 0),
        rnn.ArgumentError,
        "S5: hidden_size must be a positive integer, got 0",
    ),
    "RGLRU: heads that do not divide": (
        lambda: rnn.RGLRU(6, heads=4),
        rnn.ArgumentError,
        "RGLRU: heads must divide features into equal parts, got 6 features and 4 heads",
    ),
    "RGLRU: no features": (
        lambda: rnn.RGLRU(0),
        rnn.ArgumentError,
        "RGLRU: features must be a positive integer, got 0",
    ),
    "MinGRU: a memory bias that is a number": (
        lambda: rnn.MinGRU(3, 4, memory_bias=1.0),
        rnn.ArgumentError,
        r"MinGRU: memory_bias must be a draw .*got 1\.0",
    ),
    "MinLSTM: a negative size": (
        lambda: rnn.MinLSTM(3, -4),
        rnn.ArgumentError,
        "MinLSTM: hidden_size must be a positive integer, got -4",
    ),
    "SelectiveSSM: no states": (
        lambda: rnn.SelectiveSSM(6, 0),
        rnn.ArgumentError,
        "SelectiveSSM: state_size must be a positive integer, got 0",
    ),
    "SelectiveSSM: a rank in letters": (
        lambda: rnn.SelectiveSSM(6, step_rank="auto"),
        rnn.ArgumentError,
        "SelectiveSSM: step_rank must be a positive integer, got 'auto'",
    ),
    "DiagonalGRU: an initialiser of matrices": (
        lambda: rnn.DiagonalGRU(
            3, 4, recurrent_init=lambda k, shape, dtype: np.ones((4, 4), dtype)
        ).init(KEY),
        rnn.ArgumentError,
        r"DiagonalGRU\(.*recurrent_init\(.*float32 of shape \(4,\), got float32 of shape \(4, 4\)",
    ),
    "DiagonalLSTM: an initialiser by its name": (
        lambda: rnn.DiagonalLSTM(3, 4, recurrent_init="ones"),
        rnn.ArgumentError,
        "DiagonalLSTM: recurrent_init must be a function, got 'ones'",
    ),
    "IndRNN: an activation of NumPy": (
        lambda: rnn.IndRNN(3, 4, activation=np.tanh),
        rnn.ArgumentError,
        r"IndRNN: activation, .*computes outside JAX.*take jnp\.tanh",
    ),
    "Uniform: bounds the wrong way": (
        lambda: rnn.Uniform(1.0, 0.0),
        rnn.ArgumentError,
        r"Uniform: low must be below high, got 1\.0 and 0\.0",
    ),
    "Uniform: no bound": (
        lambda: rnn.Uniform(0.0, float("inf")),
        rnn.ArgumentError,
        "Uniform: high must be a finite number, got inf",
    ),
    "Chain: no weight": (
        lambda: rnn.Chain(float("nan")),
        rnn.ArgumentError,
        "Chain: forward must be a finite number, got nan",
    ),
    "LayerNormGRU: a normalisation by zero": (
        lambda: rnn.LayerNormGRU(3, 4, epsilon=0.0),
        rnn.ArgumentError,
        r"epsilon must be a positive number such as 1e-5, got 0\.0: the variance of a constant",
    ),
    "LayerNormElman: a normalisation by nothing finite": (
        lambda: rnn.LayerNormElman(3, 4, epsilon=float("nan")),
        rnn.ArgumentError,
        "epsilon must be a positive number such as 1e-5, got nan",
    ),
    "LayerNormLSTM: a normalisation in letters": (
        lambda: rnn.LayerNormLSTM(3, 4, epsilon="1e-5"),
        rnn.ArgumentError,
        "epsilon must be a positive number such as 1e-5, got '1e-5'",
    ),
    "Elman: an activation by its name": (
        activated("tanh"),
        rnn.ArgumentError,
        "Elman: activation must be a function, got 'tanh'",
    ),
    "Elman: an activation of NumPy": (
        activated(np.tanh),
        rnn.ArgumentError,
        r"activation, <ufunc 'tanh'>, computes outside JAX.*take jnp\.tanh",
    ),
    "Elman: an activation of one number": (
        activated(math.tanh),
        rnn.ArgumentError,
        r"activation, .*computes outside JAX.*take jnp\.tanh",
    ),
    "Elman: NumPy within an activation": (
        activated(lambda a: np.asarray(a) * 2),
        rnn.ArgumentError,
        r"activation, .*asks for the numbers of an array that JAX traces.*jax\.numpy",
    ),
    "Elman: an activation of all units": (
        activated(jnp.sum),
        rnn.ArgumentError,
        r"must be pointwise.*float32 of shape \(1, 5\) it makes float32 of shape \(\)",
    ),
    "Elman: an activation that doubles the units": (
        activated(lambda a: jnp.concatenate([a, -a], -1)),
        rnn.ArgumentError,
        r"must be pointwise.*it makes float32 of shape \(1, 10\)",
    ),
    "Elman: an activation that only compares": (
        activated(lambda a: a > 0),
        rnn.ArgumentError,
        r"must be pointwise.*it makes bool of shape \(1, 5\)",
    ),
    "Elman: an activation that returns a pair": (
        activated(lambda a: (a, a)),
        rnn.ArgumentError,
        "must be pointwise.*it makes a tuple",
    ),
    "Elman: an activation of two arguments": (
        activated(lambda a, b: a + b),
        rnn.ArgumentError,
        "activation, .*must take one array",
    ),
    "LSTM: an initialiser by its name": (
        lambda: rnn.LSTM(3, 5, recurrent_init="orthogonal"),
        rnn.ArgumentError,
        "LSTM: recurrent_init must be a function, got 'orthogonal'",
    ),
    "LSTM: an array for an initialiser": (
        lambda: rnn.LSTM(3, 5, input_init=np.ones((3, 5))),
        rnn.ArgumentError,
        r"LSTM: input_init must be a function, got float.* of shape \(3, 5\)",
    ),
    "Elman: an initialiser of another shape": (
        initialised(lambda key, shape, dtype: np.ones(shape[::-1], dtype)),
        rnn.ArgumentError,
        r"Elman\(.*input_init\(key, shape, dtype\) must return.*float32 of shape \(3, 5\), got "
        r"float32 of shape \(5, 3\)",
    ),
    "GRU: an initialiser of another dtype": (
        initialised(lambda key, shape, dtype: np.ones(shape, jnp.bfloat16), rnn.GRU),
        rnn.ArgumentError,
        r"GRU\(.*input_init\(key, shape, dtype\) must return.*got bfloat16 of shape \(3, 5\)",
    ),
    "MGU: an initialiser that makes initialisers": (
        initialised(lambda *arguments: jax.nn.initializers.normal(), rnn.MGU),
        rnn.ArgumentError,
        r"input_init\(key, shape, dtype\) must return an array.*got the function init",
    ),
    "Dense: a bias of one number": (
        lambda: rnn.Dense(3, 5, bias_init=lambda k, shape, dtype: np.ones(1, dtype)).init(KEY),
        rnn.ArgumentError,
        r"Dense\(.*bias_init\(.*float32 of shape \(5,\), got float32 of shape \(1,\)",
    ),
    "Dense: an activation of one number": (
        lambda: rnn.Dense(3, 5, activation=jnp.sum),
        rnn.ArgumentError,
        "Dense: activation",
    ),
    "LayerMix: no layers": (
        lambda: rnn.LayerMix(0, 3),
        rnn.ArgumentError,
        "LayerMix: layers must be a positive integer, got 0",
    ),
    "LayerMix: another number of layers": (
        lambda: rnn.unroll(rnn.LayerMix(3, 2), rnn.LayerMix(3, 2).init(KEY), np.ones((7, 2, 2))),
        rnn.ShapeError,
        r"LayerMix.*\(T, \*batch, 3, 2\)|LayerMix",
    ),
    "Dense: no features": (
        lambda: rnn.Dense(3, 0),
        rnn.ArgumentError,
        "Dense: features must be a positive integer, got 0",
    ),
    "Normal: a deviation of nothing": (
        lambda: rnn.Normal(0),
        rnn.ArgumentError,
        "Normal: deviation must be a positive number, got 0",
    ),
    "Embedding: vectors as columns": (
        lambda: rnn.Embedding(
            3, 5, weight_init=lambda k, shape, dtype: np.ones(shape[::-1], dtype)
        ).init(KEY),
        rnn.ArgumentError,
        r"Embedding\(.*weight_init\(.*got float32 of shape \(5, 3\)",
    ),
    "Embedding: no scale": (
        lambda: rnn.Embedding(5, 2, scale=float("nan")),
        rnn.ArgumentError,
        "Embedding: scale must be a finite number, got nan",
    ),
    "LSTM: a memory bias that is a number": (
        lambda: rnn.LSTM(3, 4, memory_bias=1.0),
        rnn.ArgumentError,
        r"memory_bias must be a draw .*ForgetBias\(1\.0\) or Chrono\(longest=784\), got 1\.0",
    ),
    "LSTM: the class of a memory bias": (
        lambda: rnn.LSTM(3, 4, memory_bias=rnn.ForgetBias),
        rnn.ArgumentError,
        r"memory_bias must be .*got the class ForgetBias; write ForgetBias\(\.\.\.\)",
    ),
    "GRU: a memory bias of one array": (
        lambda: rnn.GRU(3, 4, memory_bias=lambda key, size, dtype: np.ones(size, dtype)).init(KEY),
        rnn.ArgumentError,
        r"GRU\(.*memory_bias must return a pair.*got float32 of shape \(4,\)",
    ),
    "ForgetBias: no number": (
        lambda: rnn.ForgetBias("1"),
        rnn.ArgumentError,
        "ForgetBias: value must be a finite number, got '1'",
    ),
    "Chrono: a memory of two steps": (
        lambda: rnn.Chrono(longest=2),
        rnn.ArgumentError,
        "Chrono: longest must be an integer of at least 3.*between 2 steps and longest, got 2",
    ),
    "Chrono: a memory of half a step": (
        lambda: rnn.Chrono(longest=99.5),
        rnn.ArgumentError,
        r"Chrono: longest must be an integer of at least 3.*got 99\.5",
    ),
    "Dropout: a rate of one": (
        lambda: rnn.Dropout(5, 1.0),
        rnn.ArgumentError,
        r"rate must be a number in \[0, 1\), got 1.0",
    ),
    "Dropout: run by hand": (
        lambda: rnn.Dropout(5, 0.5).project((), XS[0]),
        rnn.ArgumentError,
        r"Dropout\(features=5, rate=0.5\) is random and needs a key",
    ),
    "VariationalDropout: a rate that is no number": (
        lambda: rnn.VariationalDropout(5, float("nan")),
        rnn.ArgumentError,
        r"VariationalDropout: rate must be a number in \[0, 1\), got nan",
    ),
    "BPTT: a chunk of nothing": (
        lambda: rnn.BPTT(chunk=0),
        rnn.ArgumentError,
        "chunk must be a positive integer, got 0",
    ),
    "BPTT: a loop without steps": (
        lambda: rnn.BPTT(unroll=0),
        rnn.ArgumentError,
        "unroll must be a positive integer, got 0",
    ),
    "BPTT: a store of less than nothing": (
        lambda: rnn.BPTT(store=-1),
        rnn.ArgumentError,
        "store must be an integer of 0 or more, got -1",
    ),
    "Checkpointed: stretches of no known length": (
        lambda: rnn.Checkpointed(rnn.BPTT(), every="square"),
        rnn.ArgumentError,
        r'every must be a positive integer, "sqrt" or "log", got .square.',
    ),
    "map_cotangent: a function that loses a part": (
        lambda: rnn.map_cotangent(rnn.LSTM(3, 4), lambda ct: ct.h),
        rnn.ArgumentError,
        r"map_cotangent: f must return a cotangent of the form, shapes and dtypes that it is given",
    ),
    "map_cotangent: around a layer without a step": (
        lambda: rnn.map_cotangent(
            rnn.bidirectional(rnn.Elman(3, 4), rnn.Elman(3, 4)), lambda ct: ct
        ),
        rnn.ArgumentError,
        "map_cotangent: the cell is .*not a rnn_jax.Cell",
    ),
    "MapCotangent: no function": (
        lambda: rnn.MapCotangent(rnn.LSTM(3, 4), 1.0),
        rnn.ArgumentError,
        "MapCotangent: f must be a function",
    ),
    "surrogate: no derivative": (
        lambda: rnn.surrogate(jnp.sign, 1.0),
        rnn.ArgumentError,
        "surrogate: derivative must be a function",
    ),
    "with_method: no layer": (
        lambda: rnn.with_method("lstm", rnn.Scan()),
        rnn.ArgumentError,
        "with_method: the layer is 'lstm', which is not a rnn_jax.Layer",
    ),
    "with_method: a class of methods": (
        lambda: rnn.with_method(CELL, rnn.Scan),
        rnn.ArgumentError,
        r"method must be a way through time.*write Scan\(",
    ),
    "Associative: no chunks": (
        lambda: rnn.Associative(chunks=0),
        rnn.ArgumentError,
        "chunks must be a positive integer, got 0",
    ),
    "Associative: a cell that is not linear": (
        lambda: rnn.unroll(CELL, PARAMS, XS, method=rnn.Associative()),
        rnn.StructureError,
        r"Associative: the step of .* is not linear in its carry.*use BPTT",
    ),
    "Newton: a Jacobian by its name": (
        lambda: rnn.Newton("diagonal"),
        rnn.StructureError,
        "Newton: jacobian must be a FullJacobian or a DiagonalJacobian, got 'diagonal'",
    ),
    "Newton: no iterations": (
        lambda: rnn.Newton(iterations=0),
        rnn.ArgumentError,
        "Newton: iterations must be a positive integer, got 0",
    ),
    "Newton: no tolerance": (
        lambda: rnn.Newton(tolerance=0.0),
        rnn.ArgumentError,
        "Newton: tolerance must be a positive number, got 0",
    ),
    "Newton: a narrow carry": (
        lambda: rnn.unroll(
            CELL, *jax.tree.map(lambda x: x.astype(jnp.bfloat16), (PARAMS, XS)), method=rnn.Newton()
        ),
        rnn.DtypeError,
        r"Newton: the carry of Elman\(.* has bfloat16 at \.h, and float32 or wider .*wide_carry",
    ),
    "FullJacobian: no chunks": (
        lambda: rnn.FullJacobian(chunks=0),
        rnn.ArgumentError,
        "FullJacobian: chunks must be a positive integer, got 0",
    ),
    "DiagonalJacobian: half a chunk": (
        lambda: rnn.DiagonalJacobian(chunks=0.5),
        rnn.ArgumentError,
        "DiagonalJacobian: chunks must be a positive integer, got 0.5",
    ),
    "DiagonalJacobian: a cell that does not split": (
        lambda: rnn.unroll(
            rnn.LayerNormGRU(3, 5),
            rnn.LayerNormGRU(3, 5).init(KEY),
            XS,
            method=rnn.Newton(rnn.DiagonalJacobian()),
        ),
        rnn.StructureError,
        r"DiagonalJacobian: `recur` is not affine in the carry .* LayerNormGRU\(.*FullJacobian\(\)",
    ),
    "Fused: a machine by its name": (
        lambda: rnn.Fused("tpu"),
        rnn.StructureError,
        "Fused: machine must be a GPU or a Hopper or a TPU, got 'tpu'",
    ),
    "Fused: interpreted by a number": (
        lambda: rnn.Fused(interpret=1),
        rnn.ArgumentError,
        "Fused: interpret must be True or False, got 1",
    ),
    "Fused: on a CPU": (
        lambda: rnn.unroll(CELL, PARAMS, XS, method=rnn.Fused()),
        rnn.ArgumentError,
        r"Fused: there is no kernel for the platform .* here, cpu; use BPTT\(\).*interpret=True",
    ),
    "GPU: rows that are no power of 2": (
        lambda: rnn.GPU(rows=24),
        rnn.ArgumentError,
        "GPU: rows must be a power of 2 from 16 on, got 24",
    ),
    "Hopper: no memory": (
        lambda: rnn.Hopper(memory=0),
        rnn.ArgumentError,
        "Hopper: memory must be a positive integer, got 0",
    ),
    "TPU: no memory": (
        lambda: rnn.TPU(memory=0),
        rnn.ArgumentError,
        "TPU: memory must be a positive integer, got 0",
    ),
    "Checkpointed: around nothing": (
        lambda: rnn.Checkpointed("sqrt"),
        rnn.ArgumentError,
        r"method must be a way through time, as a value, such as Scan.*got 'sqrt'",
    ),
    "Scan: an unroll by nothing": (
        lambda: rnn.Scan(unroll=0),
        rnn.ArgumentError,
        "unroll must be",
    ),
    "Elman: init by a seed": (
        lambda: CELL.init(0),
        rnn.StructureError,
        r"Elman\.init: key must be one key, made by jax.random.key\(seed\), got 0",
    ),
    "LSTM: init without a key": (
        lambda: LSTM.init(None),
        rnn.StructureError,
        r"LSTM\.init: key must be one key.*got None",
    ),
    "Stack: init by several keys": (
        lambda: MODEL.init(KEYS),
        rnn.StructureError,
        r"Stack\.init: key must be one key.*take one of them, keys\[0\]",
    ),
    "Elman: integer params": (
        lambda: CELL.init(KEY, jnp.int32),
        rnn.ArgumentError,
        r"Elman\.init: dtype must be a floating dtype, such as jnp\.float32, got the class int32",
    ),
    "LSTM: a dtype that is none": (
        lambda: LSTM.init(KEY, "floaty"),
        rnn.ArgumentError,
        r"LSTM\.init: dtype must be a floating dtype.*got 'floaty'",
    ),
    "Elman: a batch axis without its tuple": (
        lambda: CELL.initial_carry(PARAMS, 2),
        rnn.ArgumentError,
        r"Elman\.initial_carry: batch_shape must be a tuple of batch axes, such as \(2,\); got 2",
    ),
    "Elman: a batch of half a sequence": (
        lambda: CELL.initial_carry(PARAMS, (1.5,)),
        rnn.ArgumentError,
        r"batch_shape must be a tuple of batch axes, such as \(2,\), or \(\).*got \(1\.5,\)",
    ),
    "LSTM: the carry of no params": (
        lambda: LSTM.initial_carry(None),
        rnn.StructureError,
        r"initial_carry needs params of the form LSTMParams\(w_xh, w_hh, b_h\), got NoneType",
    ),
    "Elman: a function that has no hash": (
        activated(type("Own", (Foreign,), {"__call__": abs, "__eq__": id})(1.0)),
        rnn.ArgumentError,
        "activation must be hashable, for layers are compared by their settings",
    ),
}
