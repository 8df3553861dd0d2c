"""A mistake gets a sentence: the place, what was expected, what came, what to do."""

import inspect
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from tests.cases import every_case
from tests.wrong_calls import WRONG_CALLS
from tests.wrong_calls.given import (
    CELL,
    KEY,
    MODEL,
    NOISY,
    NOISY_PARAMS,
    PARAMS,
    TOKENS,
    XS,
    ByArray,
    ByDLPack,
    ByJax,
)

PUBLIC = {
    "": rnn,
    "analysis.": rnn.analysis,
    "analysis.plots.": rnn.analysis.plots,
    "attention.": rnn.attention,
    "batching.": rnn.batching,
    "decoding.": rnn.decoding,
    **{f"interop.{name}.": getattr(rnn.interop, name) for name in rnn.interop.__all__},
    "seq2seq.": rnn.seq2seq,
    "tasks.": rnn.tasks,
    "training.": rnn.training,
    "words.": rnn.words,
}


@pytest.mark.parametrize("mistake", WRONG_CALLS)
def test_mistakes_are_named(mistake):
    make, error, message = WRONG_CALLS[mistake]
    with pytest.raises(error, match=f"(?s){message}") as raised:
        make()
    assert isinstance(raised.value, rnn.RNNError)
    assert re.search(r"[.)]$", str(raised.value)), "not a sentence"


def can_be_called_wrongly(value):
    """A function of something, or a class that checks what it is made of."""
    if not callable(value) or value is Any:
        return False
    if not isinstance(value, type):
        return bool(inspect.signature(value).parameters)
    is_record = hasattr(value, "_fields") or issubclass(value, Exception)
    if is_record or inspect.isabstract(value) or value.__dict__.get("_is_protocol"):
        return False
    return bool(inspect.signature(value).parameters)


@pytest.mark.parametrize("place", PUBLIC, ids=lambda place: place or "rnn_jax")
def test_every_public_name_has_a_wrong_call(place):
    names = {
        f"{place}{name}"
        for name in PUBLIC[place].__all__
        if can_be_called_wrongly(getattr(PUBLIC[place], name))
    }
    assert names - {row.partition(":")[0] for row in WRONG_CALLS} == set()


def test_rows_are_of_public_names():
    public = {f"{place}{name}" for place, module in PUBLIC.items() for name in module.__all__}
    assert {row.partition(":")[0] for row in WRONG_CALLS} <= public


@pytest.mark.parametrize(
    "mistake",
    ["unroll: input size", "unroll: params of another cell", "unroll: carry of another cell"],
)
def test_mistakes_are_named_under_jit_and_grad(mistake):
    make, error, message = WRONG_CALLS[mistake]
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
    with pytest.raises(rnn.StructureError, match=rf"{name}\.init: key must be one key"):
        case.cell.init(0)
    with pytest.raises(rnn.ArgumentError, match=rf"{name}\.initial_carry: batch_shape must be"):
        case.cell.initial_carry(params, 2)


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


@pytest.mark.parametrize("kind", [ByArray, ByDLPack, ByJax, np.ma.masked_array])
def test_an_object_with_an_array_protocol_is_taken_as_an_array(kind):
    """Tensors of other libraries, and a masked array in which nothing is masked."""
    params = PARAMS._replace(b_h=kind(PARAMS.b_h))
    carry, last = rnn.step(CELL, params, kind(XS[0]))
    again, _ = rnn.step(CELL, PARAMS, XS[0], jax.tree.map(kind, CELL.initial_carry(PARAMS, (2,))))
    assert (carry.h == last).all()
    assert (carry.h == again.h).all()


def test_a_raw_key_is_one_of_the_implementation_in_use():
    raw = jax.random.key_data(KEY)
    rnn.step(NOISY, NOISY_PARAMS, XS[0], key=raw)
    assert (CELL.init(raw).w_xh == CELL.init(KEY).w_xh).all()
    before = jax.config.jax_default_prng_impl
    try:
        jax.config.update("jax_default_prng_impl", "rbg")
        key = jax.random.PRNGKey(0)
        assert key.shape == (4,)
        rnn.step(NOISY, NOISY_PARAMS, XS[0], key=key)
        with pytest.raises(rnn.StructureError, match=r"got uint32 of shape \(2,\)"):
            CELL.init(raw)
    finally:
        jax.config.update("jax_default_prng_impl", before)


def test_an_error_inside_a_function_of_the_user_passes_unchanged():
    def own(*arguments):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        rnn.step(rnn.Elman(3, 5, activation=own), PARAMS, XS[0])
    with pytest.raises(KeyError, match="mine"):
        rnn.bidirectional(CELL, CELL, own)
    with pytest.raises(KeyError, match="mine"):
        rnn.Elman(3, 5, input_init=own).init(KEY)
    with pytest.raises(KeyError, match="mine"):
        rnn.analysis.omega(CELL, PARAMS, XS, loss=own)


def test_an_activation_may_know_its_units():
    slopes = jnp.arange(5, dtype=jnp.float32)
    cell = rnn.Elman(3, 5, activation=lambda a: a * slopes)
    assert (rnn.step(cell, PARAMS, XS[0])[1][:, 0] == 0).all()


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize(
    ("dtype", "outside"),
    [
        ("int8", [3, -1]),
        ("uint8", [3, 255]),
        ("uint32", [3, 2**32 - 1]),
        ("int64", [2**32 + 1, -(2**32) + 1]),
        ("uint64", [2**32 + 1, 2**64 - 1]),
    ],
)
def test_a_token_outside_the_vocabulary_is_nan(dtype, outside, x64):
    with jax.enable_x64(x64):
        layer = rnn.Embedding(3, 2)
        params = layer.init(KEY)
        _, ys = rnn.unroll(layer, params, np.array([0, 2, *outside], dtype))
    assert jnp.isnan(ys).all(axis=1).tolist() == [False, False, True, True]
