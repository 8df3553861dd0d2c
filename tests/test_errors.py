"""A mistake gets a sentence: the place, what was expected, what came, what to do."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rnn_jax as rnn
from tests.cases import every_case

KEY = jax.random.key(0)
CELL = rnn.Elman(3, 5)
PARAMS = CELL.init(KEY)
LSTM = rnn.LSTM(3, 5)
XS = jnp.ones((7, 2, 3), jnp.float32)
MODEL = rnn.stack(rnn.Embedding(9, 4), rnn.GRU(4, 5))
TOKENS = jnp.zeros((7, 2), jnp.int32)

NOISY = rnn.stack(CELL, rnn.residual(rnn.Dropout(5, 0.5)))
BOTH_WAYS = rnn.stack(CELL, rnn.bidirectional(rnn.GRU(5, 2), rnn.GRU(5, 2)))


class TokenCell(rnn.Elman):
    """A cell that reads tokens by itself."""

    @property
    def input(self):
        return rnn.Input((), jnp.integer)

    def project(self, params, xs):
        return params.w_xh[xs] + params.b_h


TOKEN_CELL = TokenCell(3, 5)

MISTAKES = {
    "input size": (
        lambda: rnn.unroll(CELL, PARAMS, XS[..., :2]),
        rnn.ShapeError,
        r"Elman\(.*xs must have shape \(T, \*batch, 3\), got \(7, 2, 2\).*axis 0",
    ),
    "no time axis": (
        lambda: rnn.unroll(CELL, PARAMS, XS[0, 0]),
        rnn.ShapeError,
        r"xs must have shape \(T, \*batch, 3\), got \(3,\)",
    ),
    "step of another size": (
        lambda: rnn.step(CELL, PARAMS, None, XS[0, :, :2]),
        rnn.ShapeError,
        r"x must have shape \(\*batch, 3\), got \(2, 2\)",
    ),
    "not an array": (
        lambda: rnn.unroll(CELL, PARAMS, [[1.0]]),
        rnn.StructureError,
        r"xs must be an array, got list.*asarray",
    ),
    "tokens for numbers": (
        lambda: rnn.unroll(CELL, PARAMS, XS.astype(jnp.int32)),
        rnn.DtypeError,
        r"xs must be floating, got int32",
    ),
    "numbers for tokens": (
        lambda: rnn.unroll(MODEL, MODEL.init(KEY), TOKENS.astype(jnp.float32)),
        rnn.DtypeError,
        r"xs must be integer, got float32",
    ),
    "input of another dtype": (
        lambda: rnn.unroll(CELL, PARAMS, XS.astype(jnp.bfloat16)),
        rnn.DtypeError,
        r"xs is bfloat16 but params are float32.*xs.astype\('float32'\).*optax.tree.cast",
    ),
    "params of another cell": (
        lambda: rnn.unroll(CELL, LSTM.init(KEY), XS),
        rnn.StructureError,
        r"Elman\(.*ElmanParams\(w_xh, w_hh, b_h\), got LSTMParams\(w_xh, w_hh, b_h\)",
    ),
    "params of another size": (
        lambda: rnn.unroll(CELL, rnn.Elman(3, 6).init(KEY), XS),
        rnn.ShapeError,
        r"params\.w_xh must have shape \(3, 5\), got \(3, 6\).*init\(key\)",
    ),
    "params of two dtypes": (
        lambda: rnn.unroll(CELL, PARAMS._replace(b_h=PARAMS.b_h.astype(jnp.bfloat16)), XS),
        rnn.DtypeError,
        r"one dtype, got float32 at params\.w_xh, bfloat16 at params\.b_h",
    ),
    "integer params": (
        lambda: rnn.unroll(CELL, jax.tree.map(lambda p: p.astype(int), PARAMS), XS),
        rnn.DtypeError,
        r"params must be floating, got int",
    ),
    "params with a number for an array": (
        lambda: rnn.unroll(CELL, PARAMS._replace(b_h=0.0), XS),
        rnn.StructureError,
        r"params\.b_h must be an array, got 0\.0",
    ),
    "params inside a stack": (
        lambda: rnn.unroll(MODEL, rnn.stack(*MODEL.layers[:1]).init(KEY), TOKENS),
        rnn.StructureError,
        r"\(EmbeddingParams\(w\), GRUParams\(.*\)\), got \(EmbeddingParams\(w\),\)",
    ),
    "carry of another cell": (
        lambda: rnn.unroll(CELL, PARAMS, XS, LSTM.initial_carry(LSTM.init(KEY), (2,))),
        rnn.StructureError,
        r"ElmanCarry\(h\), got LSTMCarry\(h, c\).*initial_carry\(params, batch_shape=\(2,\)\)",
    ),
    "carry of another batch": (
        lambda: rnn.unroll(CELL, PARAMS, XS, CELL.initial_carry(PARAMS, (4,))),
        rnn.ShapeError,
        r"carry\.h must have shape \(2, 5\), got \(4, 5\)",
    ),
    "carry of another dtype": (
        lambda: rnn.unroll(CELL, PARAMS, XS, rnn.ElmanCarry(jnp.zeros((2, 5), jnp.bfloat16))),
        rnn.DtypeError,
        r"carry\.h must be float32, got bfloat16",
    ),
    "no cell": (
        lambda: rnn.unroll(PARAMS, CELL, XS),
        rnn.StructureError,
        r"unroll: the first argument must be a Layer, got ElmanParams",
    ),
    "negative size": (
        lambda: rnn.LSTM(3, -5),
        rnn.ArgumentError,
        r"hidden_size must be a positive integer, got -5",
    ),
    "size of one and a half": (
        lambda: rnn.Jordan(3, 4, 1.5),
        rnn.ArgumentError,
        r"output_size must be a positive integer, got 1\.5",
    ),
    "projection to nothing": (
        lambda: rnn.ProjectedLSTM(3, 4, 0),
        rnn.ArgumentError,
        "projection_size must be a positive integer, got 0",
    ),
    "normalisation by zero": (
        lambda: rnn.LayerNormGRU(3, 4, epsilon=0.0),
        rnn.ArgumentError,
        r"epsilon must be a positive number such as 1e-5, got 0\.0: the variance of a constant",
    ),
    "normalisation by nothing finite": (
        lambda: rnn.LayerNormElman(3, 4, epsilon=float("nan")),
        rnn.ArgumentError,
        "epsilon must be a positive number such as 1e-5, got nan",
    ),
    "memory bias that is a number": (
        lambda: rnn.LSTM(3, 4, memory_bias=1.0),
        rnn.ArgumentError,
        r"memory_bias must draw .*as ForgetBias\(1\.0\) and Chrono\(longest=784\) do, got 1\.0",
    ),
    "forget bias that is no number": (
        lambda: rnn.ForgetBias("1"),
        rnn.ArgumentError,
        "ForgetBias: value must be a finite number, got '1'",
    ),
    "memory of two steps": (
        lambda: rnn.Chrono(longest=2),
        rnn.ArgumentError,
        "Chrono: longest must be an integer of at least 3.*between 2 steps and longest, got 2",
    ),
    "memory of half a step": (
        lambda: rnn.Chrono(longest=99.5),
        rnn.ArgumentError,
        r"Chrono: longest must be an integer of at least 3.*got 99\.5",
    ),
    "empty stack": (lambda: rnn.stack(), rnn.ArgumentError, "at least one layer"),
    "stack that does not fit": (
        lambda: rnn.stack(rnn.Elman(3, 5), rnn.GRU(4, 5)),
        rnn.ArgumentError,
        r"layer 1, GRU\(input_size=4.*reads \(4,\).*layer 0, Elman.*emits \(5,\)",
    ),
    "stack of something else": (
        lambda: rnn.stack(CELL, jnp.tanh),
        rnn.ArgumentError,
        r"layer 1 is .*tanh.*not a rnn_jax.Layer",
    ),
    "embedding of vectors": (
        lambda: rnn.stack(rnn.Elman(3, 5), rnn.Embedding(5, 2)),
        rnn.ArgumentError,
        r"layer 1, Embedding.*reads \(\) of integer.*emits \(5,\) of float32",
    ),
    "an embedding of no scale": (
        lambda: rnn.Embedding(5, 2, scale=float("nan")),
        rnn.ArgumentError,
        "Embedding: scale must be a finite number, got nan",
    ),
    "time scales upside down": (
        lambda: rnn.time_scales(CELL, 9, 3.0),
        rnn.ArgumentError,
        r"0 < shortest <= longest must hold.*got shortest=9 and longest=3\.0",
    ),
    "time scales of a cell that does not split": (
        lambda: rnn.time_scales(MODEL, 1, 3),
        rnn.ArgumentError,
        r"time_scales: the cell is Stack\(.*not a rnn_jax.SplitCell",
    ),
    "chunk of nothing": (
        lambda: rnn.BPTT(chunk=0),
        rnn.ArgumentError,
        "chunk must be a positive integer, got 0",
    ),
    "store of less than nothing": (
        lambda: rnn.BPTT(store=-1),
        rnn.ArgumentError,
        "store must be an integer of 0 or more, got -1",
    ),
    "a checkpoint that is no way to keep": (
        lambda: rnn.BPTT(checkpoint="square"),
        rnn.ArgumentError,
        r'checkpoint must be None, a positive integer, "sqrt" or "log", got .square.',
    ),
    "unroll by nothing": (lambda: rnn.Scan(unroll=0), rnn.ArgumentError, "unroll must be"),
    "negative window": (
        lambda: rnn.truncated_bptt(CELL, None, optax.sgd(1.0), window=-35),
        rnn.ArgumentError,
        "window must be a positive integer, got -35",
    ),
    "stride over window": (
        lambda: rnn.truncated_bptt(CELL, None, optax.sgd(1.0), window=3, stride=4),
        rnn.ArgumentError,
        r"stride \(k1\) must not exceed window \(k2\).*stride 4 and window 3",
    ),
    "stream shorter than a window": (
        lambda: rnn.windows(XS, 35),
        rnn.ArgumentError,
        "the stream has 7 steps, fewer than one window of 35",
    ),
    "window of nothing": (
        lambda: update(CELL)(XS[:0]),
        rnn.ShapeError,
        r"xs must have shape \(7, \*batch, ...\), one window, got \(0, 2, 3\)",
    ),
    "a gradient by lag of nothing": (
        lambda: rnn.analysis.gradient_by_lag(CELL, PARAMS, XS[:0], None, lambda ys, _: ys.sum(-1)),
        rnn.ShapeError,
        "gradient_by_lag: xs has no steps",
    ),
    "a loss that is a mean already": (
        lambda: update(CELL, lambda ys, targets: jnp.mean(ys))(XS),
        rnn.ShapeError,
        r"one number a step, \(7, \*batch\), got shape \(\); do not take its mean",
    ),
    "a length over T": (
        lambda: rnn.unroll(CELL, PARAMS, XS, lengths=jnp.array([7, 8])),
        rnn.ArgumentError,
        r"Elman\(.*lengths\[1\] is 8, but xs has 7 steps; a length is from 0 to 7",
    ),
    "a negative length": (
        lambda: rnn.unroll(CELL, PARAMS, XS[:, 0], lengths=-1),
        rnn.ArgumentError,
        r"Elman\(.*lengths is -1, but xs has 7 steps",
    ),
    "lengths of another batch": (
        lambda: rnn.unroll(CELL, PARAMS, XS, lengths=jnp.array([7, 7, 7])),
        rnn.ShapeError,
        r"lengths must have shape \(\*batch\) = \(2,\), got \(3,\)",
    ),
    "lengths of a half": (
        lambda: rnn.unroll(CELL, PARAMS, XS, lengths=jnp.array([0.5, 1.0])),
        rnn.DtypeError,
        r"lengths must be integer, got float64; lengths.astype",
    ),
    "a mask with batch first": (
        lambda: rnn.unroll(CELL, PARAMS, XS, mask=jnp.ones((2, 7), bool)),
        rnn.ShapeError,
        r"mask must have shape \(T, \*batch\) = \(7, 2\), got \(2, 7\)",
    ),
    "a mask of ones": (
        lambda: rnn.unroll(CELL, PARAMS, XS, mask=jnp.ones((7, 2), jnp.float32)),
        rnn.DtypeError,
        r"mask must be bool, got float32; mask.astype",
    ),
    "a reset for the whole batch": (
        lambda: rnn.unroll(CELL, PARAMS, XS, reset=jnp.ones(7, bool)),
        rnn.ShapeError,
        r"reset must have shape \(T, \*batch\) = \(7, 2\), got \(7,\)",
    ),
    "a reset of integers": (
        lambda: rnn.unroll(CELL, PARAMS, XS, reset=jnp.ones((7, 2), jnp.int32)),
        rnn.DtypeError,
        "reset must be bool, got int32",
    ),
    "dropout without a key": (
        lambda: rnn.unroll(NOISY, NOISY.init(KEY), XS),
        rnn.ArgumentError,
        r"Stack\(.*layers\[1\]\.layer, Dropout\(features=5, rate=0.5\), is random and needs a key.*"
        r"deterministic\(\)",
    ),
    "a noisy step without a key": (
        lambda: rnn.step(NOISY, NOISY.init(KEY), None, XS[0]),
        rnn.ArgumentError,
        r"layers\[1\]\.layer, Dropout.*needs a key",
    ),
    "a noisy cell run by hand": (
        lambda: rnn.Dropout(5, 0.5).project((), XS[0]),
        rnn.ArgumentError,
        r"Dropout\(features=5, rate=0.5\) is random and needs a key",
    ),
    "several keys": (
        lambda: rnn.unroll(CELL, PARAMS, XS, key=jax.random.split(KEY, 3)),
        rnn.StructureError,
        r"key must be one key.*got key<fry> of shape \(3,\)",
    ),
    "a seed for a key": (
        lambda: rnn.unroll(CELL, PARAMS, XS, key=0),
        rnn.StructureError,
        r"key must be one key, made by jax.random.key\(seed\), got int",
    ),
    "a step into the future": (
        lambda: rnn.step(BOTH_WAYS, BOTH_WAYS.init(KEY), None, XS[0]),
        rnn.StructureError,
        r"step: LayerStack\(.*Bidirectional\(.*has no single step.*unroll runs it",
    ),
    "a rate of one": (
        lambda: rnn.Dropout(5, 1.0),
        rnn.ArgumentError,
        r"rate must be a number in \[0, 1\), got 1.0",
    ),
    "a rate of a carry of another cell": (
        lambda: rnn.zoneout(CELL, rnn.LSTMCarry(0.5, 0.5)),
        rnn.ArgumentError,
        r"rate must be a number or of the form of the carry, ElmanCarry\(h\), got LSTMCarry",
    ),
    "zoneout of a cell that does not split": (
        lambda: rnn.zoneout(MODEL, 0.5),
        rnn.ArgumentError,
        r"zoneout: the cell is Stack\(.*not a rnn_jax.SplitCell",
    ),
    "dropped tokens": (
        lambda: rnn.variational(TOKEN_CELL, 0.5, 0.5),
        rnn.ArgumentError,
        r"variational: .*reads integers, which cannot be dropped",
    ),
    "residual of another size": (
        lambda: rnn.residual(CELL),
        rnn.ArgumentError,
        r"residual: Elman\(.*reads \(3,\) of floating a step but emits \(5,\) of float32",
    ),
    "two directions of two inputs": (
        lambda: rnn.bidirectional(CELL, rnn.GRU(4, 5)),
        rnn.ArgumentError,
        r"forward, Elman\(.*reads \(3,\).*backward, GRU\(.*reads \(4,\)",
    ),
    "a merge of unlike outputs": (
        lambda: rnn.bidirectional(CELL, rnn.GRU(3, 6), jnp.add),
        rnn.ArgumentError,
        r"merge, .*add.*cannot take .*\(5,\) of float32 and \(6,\) of float32",
    ),
    "a function as a layer": (
        lambda: rnn.learned_carry(jnp.tanh),
        rnn.ArgumentError,
        r"learned_carry: the layer is .*tanh.*not a rnn_jax.Layer",
    ),
}


def update(cell, loss=lambda ys, targets: ys.sum(-1)):
    trainer = rnn.truncated_bptt(cell, loss, optax.sgd(1.0), window=7)
    return lambda xs: trainer.update(trainer.init(cell.init(KEY), (2,)), xs, None)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(mistake):
    make, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=f"(?s){message}") as raised:
        make()
    assert isinstance(raised.value, rnn.RNNError)
    assert str(raised.value).endswith((".", "emits (5,).", "float32."))


@pytest.mark.parametrize(
    "mistake", ["input size", "params of another cell", "carry of another cell"]
)
def test_mistakes_are_named_under_jit_and_grad(mistake):
    make, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=f"(?s){message}"):
        jax.jit(lambda _: make()[1])(0)
    with pytest.raises(error, match=f"(?s){message}"):
        jax.grad(lambda _: make()[1].sum())(0.0)


@every_case
def test_every_cell_names_itself(case):
    params, xs = case.params(), case.xs(4, 2)
    name = type(case.cell).__name__
    with pytest.raises(rnn.RNNError, match=name):
        rnn.unroll(case.cell, params, xs > 0)
    with pytest.raises(rnn.RNNError, match=name):
        rnn.unroll(case.cell, {"w": jnp.ones(3)}, xs)
    with pytest.raises(rnn.RNNError, match=name):
        rnn.unroll(case.cell, params, xs, carry={"h": jnp.ones(3)})


@pytest.mark.parametrize("model", [CELL, MODEL], ids=["cell", "stack"])
def test_arrays_of_numpy_are_what_jax_makes_of_them(model):
    """NumPy's own float64 is no mistake where x64 is off."""
    with jax.enable_x64(False):
        params = model.init(KEY)
        xs = XS if model is CELL else TOKENS
        wide = jax.tree.map(
            lambda leaf: np.asarray(leaf).astype(leaf.dtype.kind + "8"), (params, xs)
        )
        _, ys = rnn.unroll(model, *wide)
        _, same = rnn.unroll(model, params, xs)
    assert ys.dtype == jnp.float32
    assert (ys == same).all()


def test_a_token_outside_the_vocabulary_is_nan():
    layer = rnn.Embedding(3, 2)
    _, ys = rnn.unroll(layer, layer.init(KEY), jnp.array([0, 2, 3, -1]))
    assert jnp.isnan(ys).all(axis=1).tolist() == [False, False, True, True]
