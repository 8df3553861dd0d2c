"""`unroll` and `step`: inputs, params, carries, marks, keys, methods."""

import jax
import jax.numpy as jnp
import numpy as np

import rnn_jax as rnn
from tests.wrong_calls.given import (
    BOTH_WAYS,
    CARRY,
    CELL,
    KEY,
    KEYS,
    LSTM,
    LSTM_PARAMS,
    MASKED,
    MODEL,
    MODEL_PARAMS,
    NOISY,
    NOISY_PARAMS,
    PARAMS,
    TOKENS,
    XS,
    Dead,
    WithArray,
    made,
)


class Renamed:
    """What a module that was loaded anew leaves behind: another class of the same name."""

    from collections import namedtuple

    ElmanParams = namedtuple("ElmanParams", PARAMS._fields)


def unrolled(*arguments, **options):
    return lambda: rnn.unroll(*arguments, **options)


def of_cell(**options):
    return unrolled(CELL, PARAMS, XS, **options)


ROWS = {
    "unroll: input size": (
        unrolled(CELL, PARAMS, XS[..., :2]),
        rnn.ShapeError,
        r"Elman\(.*xs must have shape \(T, \*batch, 3\), got \(7, 2, 2\).*axis 0",
    ),
    "unroll: no time axis": (
        unrolled(CELL, PARAMS, XS[0, 0]),
        rnn.ShapeError,
        r"xs must have shape \(T, \*batch, 3\), got \(3,\)",
    ),
    "unroll: not an array": (
        unrolled(CELL, PARAMS, [[1.0]]),
        rnn.StructureError,
        r"xs must be an array, got \[\[1\.0\]\].*asarray",
    ),
    "unroll: shapes without numbers": (
        unrolled(CELL, PARAMS, jax.ShapeDtypeStruct((7, 2, 3), jnp.float32)),
        rnn.StructureError,
        "xs must be an array, got ShapeDtypeStruct",
    ),
    "unroll: masked inputs": (
        unrolled(CELL, PARAMS, MASKED),
        rnn.StructureError,
        r"xs is a masked array with masked entries.*\.filled\(0\).*lengths= or mask=",
    ),
    "unroll: a tensor that does not give itself": (
        unrolled(CELL, PARAMS, Dead(XS)),
        rnn.StructureError,
        r"xs, a Dead, cannot be read as an array: call detach\(\) first",
    ),
    "unroll: tokens for numbers": (
        unrolled(CELL, PARAMS, XS.astype(jnp.int32)),
        rnn.DtypeError,
        r"xs must be floating, got int32",
    ),
    "unroll: numbers for tokens": (
        unrolled(MODEL, MODEL_PARAMS, TOKENS.astype(jnp.float32)),
        rnn.DtypeError,
        r"xs must be integer, got float32",
    ),
    "unroll: input of another dtype": (
        unrolled(CELL, PARAMS, XS.astype(jnp.bfloat16)),
        rnn.DtypeError,
        r"xs is bfloat16 but params are float32.*xs.astype\('float32'\).*optax.tree.cast",
    ),
    "unroll: params of another cell": (
        unrolled(CELL, LSTM_PARAMS, XS),
        rnn.StructureError,
        r"Elman\(.*ElmanParams\(w_xh, w_hh, b_h\), got LSTMParams\(w_xh, w_hh, b_h\)",
    ),
    "unroll: params of another size": (
        unrolled(CELL, rnn.Elman(3, 6).init(KEY), XS),
        rnn.ShapeError,
        r"params\.w_xh must have shape \(3, 5\), got \(3, 6\).*init\(key\)",
    ),
    "unroll: params of two dtypes": (
        unrolled(CELL, PARAMS._replace(b_h=PARAMS.b_h.astype(jnp.bfloat16)), XS),
        rnn.DtypeError,
        r"one dtype, got float32 at params\.w_xh, bfloat16 at params\.b_h",
    ),
    "unroll: integer params": (
        unrolled(CELL, jax.tree.map(lambda p: p.astype(int), PARAMS), XS),
        rnn.DtypeError,
        r"params must be floating, got int",
    ),
    "unroll: params with a number for an array": (
        unrolled(CELL, PARAMS._replace(b_h=0.0), XS),
        rnn.StructureError,
        r"params\.b_h must be an array, got 0\.0",
    ),
    "unroll: params in a list": (
        unrolled(LSTM, [*LSTM_PARAMS], XS),
        rnn.StructureError,
        r"expected params of the form LSTMParams\(w_xh, w_hh, b_h\), got \[array, array, array\]",
    ),
    "unroll: params of layers in a list": (
        unrolled(MODEL, [*MODEL_PARAMS], TOKENS),
        rnn.StructureError,
        r"form \(EmbeddingParams\(w\), GRUParams\(.*\)\), got \[EmbeddingParams\(w\), GRUParams\(",
    ),
    "unroll: a list deep within": (
        unrolled(rnn.learned_carry(CELL), rnn.LearnedCarryParams([*PARAMS], CARRY), XS),
        rnn.StructureError,
        r"at params\.layer expected ElmanParams\(w_xh, w_hh, b_h\), got \[array, array, array\];",
    ),
    "unroll: a dictionary of a second layer": (
        unrolled(MODEL, (MODEL_PARAMS[0], MODEL_PARAMS[1]._asdict()), TOKENS),
        rnn.StructureError,
        r"at params\[1\] expected GRUParams\(w_xh, w_hh, b_h, b_hn\), got \{w_xh: array",
    ),
    "unroll: params without a bias": (
        unrolled(CELL, PARAMS._replace(b_h=None), XS),
        rnn.StructureError,
        r"at params\.b_h expected array, got NoneType",
    ),
    "unroll: a class of the same name": (
        unrolled(CELL, Renamed.ElmanParams(*PARAMS), XS),
        rnn.StructureError,
        r"form ElmanParams\(w_xh, w_hh, b_h\), got another class of that name, "
        r"tests\.wrong_calls\.running\.ElmanParams",
    ),
    "unroll: params inside a stack": (
        unrolled(MODEL, MODEL_PARAMS[:1], TOKENS),
        rnn.StructureError,
        r"\(EmbeddingParams\(w\), GRUParams\(.*\)\), got \(EmbeddingParams\(w\),\)",
    ),
    "unroll: carry of another cell": (
        unrolled(CELL, PARAMS, XS, LSTM.initial_carry(LSTM_PARAMS, (2,))),
        rnn.StructureError,
        r"ElmanCarry\(h\), got LSTMCarry\(h, c\).*initial_carry\(params, batch_shape=\(2,\)\)",
    ),
    "unroll: carry of another batch": (
        unrolled(CELL, PARAMS, XS, CELL.initial_carry(PARAMS, (4,))),
        rnn.ShapeError,
        r"carry\.h must have shape \(2, 5\), got \(4, 5\)",
    ),
    "unroll: carry of another dtype": (
        unrolled(CELL, PARAMS, XS, rnn.ElmanCarry(np.zeros((2, 5), jnp.bfloat16))),
        rnn.DtypeError,
        r"carry\.h must be float32, got bfloat16",
    ),
    "unroll: no cell": (
        unrolled(PARAMS, CELL, XS),
        rnn.StructureError,
        r"unroll: the first argument must be a Layer, got ElmanParams",
    ),
    "unroll: the class of a cell": (
        unrolled(rnn.Elman, PARAMS, XS),
        rnn.StructureError,
        "the first argument must be a Layer, got the class Elman",
    ),
    "unroll: a length over T": (
        of_cell(lengths=jnp.array([7, 8])),
        rnn.ArgumentError,
        r"Elman\(.*lengths\[1\] is 8, but xs has 7 steps; a length is from 0 to 7",
    ),
    "unroll: a negative length": (
        unrolled(CELL, PARAMS, XS[:, 0], lengths=-1),
        rnn.ArgumentError,
        r"Elman\(.*lengths is -1, but xs has 7 steps",
    ),
    "unroll: lengths of another batch": (
        of_cell(lengths=jnp.array([7, 7, 7])),
        rnn.ShapeError,
        r"lengths must have shape \(\*batch\) = \(2,\), got \(3,\)",
    ),
    "unroll: lengths of a half": (
        of_cell(lengths=jnp.array([0.5, 1.0])),
        rnn.DtypeError,
        r"lengths must be integer, got float64; lengths.astype",
    ),
    "unroll: lengths in letters": (
        of_cell(lengths="77"),
        rnn.StructureError,
        "lengths must be an array of numbers, got '77'",
    ),
    "unroll: ragged lengths": (
        of_cell(lengths=[[1], [2, 3]]),
        rnn.StructureError,
        r"lengths must be an array of numbers, and \[\[1\], \[2, 3\]\] makes none",
    ),
    "unroll: lengths from a generator": (
        of_cell(lengths=(n for n in (3, 4))),
        rnn.StructureError,
        "lengths must be an array of numbers, got a generator",
    ),
    "unroll: lengths of which one is missing": (
        of_cell(lengths=np.ma.masked_array([3, 4], [True, False])),
        rnn.StructureError,
        "lengths is a masked array with masked entries",
    ),
    "unroll: a mask with batch first": (
        of_cell(mask=np.ones((2, 7), bool)),
        rnn.ShapeError,
        r"mask must have shape \(T, \*batch\) = \(7, 2\), got \(2, 7\)",
    ),
    "unroll: a mask of ones": (
        of_cell(mask=np.ones((7, 2), jnp.float32)),
        rnn.DtypeError,
        r"mask must be bool, got float32; mask.astype",
    ),
    "unroll: a reset for the whole batch": (
        of_cell(reset=np.ones(7, bool)),
        rnn.ShapeError,
        r"reset must have shape \(T, \*batch\) = \(7, 2\), got \(7,\)",
    ),
    "unroll: a reset of integers": (
        of_cell(reset=np.ones((7, 2), jnp.int32)),
        rnn.DtypeError,
        "reset must be bool, got int32",
    ),
    "unroll: dropout without a key": (
        unrolled(NOISY, NOISY_PARAMS, XS),
        rnn.ArgumentError,
        r"Stack\(.*layers\[1\]\.layer, Dropout\(features=5, rate=0.5\), is random and needs a key.*"
        r"deterministic\(\)",
    ),
    "unroll: several keys": (
        of_cell(key=KEYS),
        rnn.StructureError,
        r"key must be one key.*got key<fry> of shape \(3,\); take one of them, keys\[0\]",
    ),
    "unroll: a seed for a key": (
        of_cell(key=0),
        rnn.StructureError,
        r"key must be one key, made by jax.random.key\(seed\), got 0",
    ),
    "unroll: a generator for a key": (
        of_cell(key=np.random.default_rng(0)),
        rnn.StructureError,
        "key must be one key.*got a Generator",
    ),
    "unroll: a raw key of another implementation": (
        of_cell(key=np.zeros(4, jnp.uint32)),
        rnn.StructureError,
        r"key must be one key.*got uint32 of shape \(4,\)",
    ),
    "unroll: a method by its name": (
        of_cell(method="scan"),
        rnn.ArgumentError,
        r"method must be a way through time, as a value, such as Scan\(\) or BPTT\(\), got 'scan'",
    ),
    "unroll: a method by its class": (
        of_cell(method=rnn.Scan),
        rnn.ArgumentError,
        r"method must be .*got the class Scan; write Scan\(\.\.\.\)",
    ),
    "unroll: no method": (of_cell(method=None), rnn.ArgumentError, "method must be .*got None"),
    "unroll: reverse in words": (
        of_cell(reverse="yes"),
        rnn.ArgumentError,
        "reverse must be True or False, got 'yes'",
    ),
    "unroll: a step and a half": (
        of_cell(t=1.5),
        rnn.ArgumentError,
        "t, the number of the step, must be an integer of 0 or more, got 1.5",
    ),
    "unroll: a truth for a number": (
        of_cell(t=True),
        rnn.ArgumentError,
        "t, the number of the step, must be an integer of 0 or more, got True",
    ),
    "unroll: several first steps": (
        of_cell(t=np.arange(3)),
        rnn.ArgumentError,
        r"t, the number of the step, must be an integer.*got int.* of shape \(3,\)",
    ),
    "step: another size": (
        lambda: rnn.step(CELL, PARAMS, XS[0, :, :2]),
        rnn.ShapeError,
        r"x must have shape \(\*batch, 3\), got \(2, 2\)",
    ),
    "step: noise without a key": (
        lambda: rnn.step(NOISY, NOISY_PARAMS, XS[0]),
        rnn.ArgumentError,
        r"layers\[1\]\.layer, Dropout.*needs a key",
    ),
    "step: into the future": (
        lambda: rnn.step(BOTH_WAYS, made(BOTH_WAYS), XS[0]),
        rnn.StructureError,
        r"step: .* LayerStack\(.*Bidirectional\(.*has no single step.*unroll runs it",
    ),
    "step: the number of half a step": (
        lambda: rnn.step(CELL, PARAMS, XS[0], t=0.5),
        rnn.ArgumentError,
        "t, the number of the step, must be an integer of 0 or more, got 0.5",
    ),
    "step: the carry before the input": (
        lambda: rnn.step(CELL, PARAMS, CARRY, XS[0]),
        rnn.StructureError,
        r"x must be an array, got ElmanCarry\(h\); a carry.* is the argument after x",
    ),
    "step: no carry before the input": (
        lambda: rnn.step(CELL, PARAMS, None, XS[0]),
        rnn.StructureError,
        "x must be an array, got None; a carry, or None for a new one, is the argument after x",
    ),
    "step: an array for a carry": (
        lambda: rnn.step(CELL, PARAMS, XS[0], XS[0]),
        rnn.StructureError,
        r"expected carry of the form ElmanCarry\(h\), got array; make one by cell.initial_carry",
    ),
    "unroll: a cell with an array among its settings": (
        unrolled(WithArray(3, 5), PARAMS, XS),
        rnn.StructureError,
        "unroll: the settings of WithArray must be hashable.*An array belongs among the params",
    ),
    "unroll: the carry before the inputs": (
        unrolled(MODEL, MODEL_PARAMS, MODEL.initial_carry(MODEL_PARAMS, (2,)), TOKENS),
        rnn.StructureError,
        r"xs must be an array, got .*; a carry, .* is the argument after xs: \(\.\.\., xs, carry\)",
    ),
}
