"""Layers made of layers."""

import jax
import jax.numpy as jnp
import numpy as np

import rnn_jax as rnn
from rnn_jax.analysis import newton_report
from tests.wrong_calls.given import CELL, LSTM, MODEL, TokenCell


def guess_of(guess):
    cell = rnn.guided(CELL)
    params = cell.init(jax.random.key(0))._replace(guess=guess)
    return rnn.unroll(cell, params, np.zeros((7, 3), jnp.float32))


def report_of(cell):
    return newton_report(
        cell, cell.init(jax.random.key(0), jnp.float32), np.zeros((7, 3), jnp.float32)
    )


ROWS = {
    "stack: nothing": (lambda: rnn.stack(), rnn.ArgumentError, "at least one layer"),
    "stack: layers that do not fit": (
        lambda: rnn.stack(rnn.Elman(3, 5), rnn.GRU(4, 5)),
        rnn.ArgumentError,
        r"layer 1, GRU\(input_size=4.*reads \(4,\).*layer 0, Elman.*emits \(5,\)",
    ),
    "stack: something else": (
        lambda: rnn.stack(CELL, jnp.tanh),
        rnn.ArgumentError,
        r"layer 1 is the function tanh.*not a rnn_jax.Layer",
    ),
    "stack: a class": (
        lambda: rnn.stack(rnn.LSTM),
        rnn.ArgumentError,
        r"layer 0 is the class LSTM, which is not a rnn_jax.Layer",
    ),
    "stack: an embedding of vectors": (
        lambda: rnn.stack(rnn.Elman(3, 5), rnn.Embedding(5, 2)),
        rnn.ArgumentError,
        r"layer 1, Embedding.*reads \(\) of integer.*emits \(5,\) of float32",
    ),
    "Stack: one layer without its tuple": (
        lambda: rnn.Stack(CELL),
        rnn.StructureError,
        r"Stack: layers must be a tuple of layers, got Elman\(",
    ),
    "LayerStack: nothing": (
        lambda: rnn.LayerStack(()),
        rnn.ArgumentError,
        "LayerStack: layers must have at least one layer",
    ),
    "at_each: no layer": (
        lambda: rnn.at_each(3, 2),
        rnn.ArgumentError,
        "at_each: the layer is 3, which is not a rnn_jax.Layer",
    ),
    "at_each: half a place": (
        lambda: rnn.at_each(CELL, 0.5),
        rnn.ArgumentError,
        r"at_each: places must be a positive integer, got 0.5",
    ),
    "AtEach: a layer in two directions": (
        lambda: rnn.AtEach(rnn.bidirectional(CELL, CELL), 2),
        rnn.StructureError,
        r"AtEach: layer must be a Cell, got Bidirectional\(forward=Elman\(",
    ),
    "AtEachLayer: no place": (
        lambda: rnn.AtEachLayer(CELL, 0),
        rnn.ArgumentError,
        "AtEachLayer: places must be a positive integer, got 0",
    ),
    "heads: a stack": (
        lambda: rnn.heads(MODEL, 2),
        rnn.ArgumentError,
        r"heads: the cell is Stack\(.*not a rnn_jax.SplitCell",
    ),
    "heads: none": (
        lambda: rnn.heads(CELL, 0),
        rnn.ArgumentError,
        r"heads: number must be a positive integer, got 0",
    ),
    "heads: noise inside": (
        lambda: rnn.heads(rnn.variational(LSTM, 0.1, 0.1), 2),
        rnn.ArgumentError,
        r"heads: Variational\(.* draws noise.* put it around the heads",
    ),
    "heads: a report of all": (
        lambda: report_of(rnn.heads(CELL, 2)),
        rnn.StructureError,
        r"newton_report: each of the 2 heads of Elman\(.* has iterations of its own",
    ),
    "Heads: a class": (
        lambda: rnn.Heads(rnn.LSTM, 2),
        rnn.StructureError,
        "Heads: layer must be a SplitCell, got the class LSTM",
    ),
    "Guided: a layer in two directions": (
        lambda: rnn.Guided(rnn.bidirectional(CELL, CELL)),
        rnn.StructureError,
        r"Guided: layer must be a Cell, got Bidirectional\(forward=Elman\(",
    ),
    "guided: a layer in two directions": (
        lambda: rnn.guided(rnn.bidirectional(CELL, CELL)),
        rnn.ArgumentError,
        r"guided: the cell is Bidirectional.*not a rnn_jax.Cell",
    ),
    "guided: hidden states in the place of carries": (
        lambda: guess_of(np.zeros((7, 5))),
        rnn.StructureError,
        r"Guided\(.*params.guess must be carries of all steps, of the form ElmanCarry",
    ),
    "guided: a guess of fewer steps": (
        lambda: guess_of(rnn.ElmanCarry(np.zeros((6, 5), jnp.float32))),
        rnn.ShapeError,
        r"params.guess.h must have shape .*\(7, 5\), got \(6, 5\); params._replace\(guess=None\)",
    ),
    "guided: a guess of another dtype": (
        lambda: guess_of(rnn.ElmanCarry(np.zeros((7, 5), jnp.bfloat16))),
        rnn.DtypeError,
        r"params.guess.h must be float32, as the carry is, got bfloat16",
    ),
    "guided: a guess without arrays": (
        lambda: guess_of(rnn.ElmanCarry("h")),
        rnn.StructureError,
        r"params.* must be an array, got 'h'",
    ),
    "wide_carry: a stack": (
        lambda: rnn.wide_carry(MODEL),
        rnn.ArgumentError,
        r"wide_carry: the cell is Stack\(.*not a rnn_jax.SplitCell",
    ),
    "WideCarry: a class": (
        lambda: rnn.WideCarry(rnn.LSTM),
        rnn.StructureError,
        "WideCarry: layer must be a SplitCell, got the class LSTM",
    ),
    "bidirectional: two inputs": (
        lambda: rnn.bidirectional(CELL, rnn.GRU(4, 5)),
        rnn.ArgumentError,
        r"forward, Elman\(.*reads \(3,\).*backward, GRU\(.*reads \(4,\)",
    ),
    "bidirectional: a merge of unlike outputs": (
        lambda: rnn.bidirectional(CELL, rnn.GRU(3, 6), jnp.add),
        rnn.ArgumentError,
        r"merge, .*add.*cannot take .*\(5,\) of float32 and \(6,\) of float32",
    ),
    "bidirectional: a merge by its name": (
        lambda: rnn.bidirectional(CELL, CELL, "sum"),
        rnn.ArgumentError,
        "bidirectional: merge must be a function, got 'sum'",
    ),
    "bidirectional: a merge of NumPy": (
        lambda: rnn.bidirectional(CELL, CELL, np.add),
        rnn.ArgumentError,
        r"merge, <ufunc 'add'>, computes outside JAX.*take jnp\.add",
    ),
    "bidirectional: a merge along time": (
        lambda: rnn.bidirectional(CELL, CELL, lambda f, b: jnp.concatenate([f, b])),
        rnn.ArgumentError,
        r"merge, .*must make one array \(\*lead, features\).*of \(2, 3\) it makes array\(4, 3, 5\)",
    ),
    "bidirectional: a merge that returns both": (
        lambda: rnn.bidirectional(CELL, CELL, lambda f, b: (f, b)),
        rnn.ArgumentError,
        r"merge, .*must make one array.*it makes \(array, array\)",
    ),
    "Bidirectional: a number for a layer": (
        lambda: rnn.Bidirectional(CELL, 2),
        rnn.StructureError,
        "Bidirectional: backward must be a Layer, got 2",
    ),
    "concatenate: two batches": (
        lambda: rnn.concatenate(np.ones((2, 3)), np.ones((4, 3))),
        rnn.ShapeError,
        r"concatenate: .*leading axes.*\(2, 3\) and \(4, 3\)",
    ),
    "learned_carry: a function as a layer": (
        lambda: rnn.learned_carry(jnp.tanh),
        rnn.ArgumentError,
        r"learned_carry: the layer is .*tanh.*not a rnn_jax.Layer",
    ),
    "LearnedCarry: a layer without a step": (
        lambda: rnn.LearnedCarry(rnn.bidirectional(CELL, CELL)),
        rnn.StructureError,
        r"LearnedCarry: layer must be a Cell, got Bidirectional\(",
    ),
    "WithMethodLayer: nothing": (
        lambda: rnn.WithMethodLayer(None, rnn.Scan()),
        rnn.StructureError,
        "WithMethodLayer: layer must be a Layer, got None",
    ),
    "WithMethod: no method": (
        lambda: rnn.WithMethod(rnn.GRU(3, 4), "scan"),
        rnn.ArgumentError,
        "WithMethod: method must be a way through time, .* got 'scan'",
    ),
    "LearnedCarryLayer: nothing": (
        lambda: rnn.LearnedCarryLayer(None),
        rnn.StructureError,
        "LearnedCarryLayer: layer must be a Layer, got None",
    ),
    "residual: another size": (
        lambda: rnn.residual(CELL),
        rnn.ArgumentError,
        r"residual: Elman\(.*reads \(3,\) of floating a step but emits \(5,\) of float32",
    ),
    "Residual: a class": (
        lambda: rnn.Residual(rnn.GRU),
        rnn.StructureError,
        "Residual: layer must be a Cell, got the class GRU",
    ),
    "ResidualLayer: a size": (
        lambda: rnn.ResidualLayer(3),
        rnn.StructureError,
        "ResidualLayer: layer must be a Layer, got 3",
    ),
    "tied: a body first": (
        lambda: rnn.tied(rnn.GRU(4, 4), rnn.Embedding(9, 4)),
        rnn.ArgumentError,
        r"tied: the embedding is GRU\(.*not a rnn_jax.Embedding",
    ),
    "tied: a body of another size": (
        lambda: rnn.tied(rnn.Embedding(9, 4), rnn.GRU(4, 5)),
        rnn.ArgumentError,
        r"tied: GRU\(.*emits \(5,\).*vectors of 4",
    ),
    "Tied: a cell": (
        lambda: rnn.Tied(CELL),
        rnn.StructureError,
        r"Tied: layer must be a Stack, got Elman\(",
    ),
    "time_scales: upside down": (
        lambda: rnn.time_scales(CELL, 9, 3.0),
        rnn.ArgumentError,
        r"0 < shortest <= longest must hold.*got shortest=9 and longest=3\.0",
    ),
    "time_scales: a cell that does not split": (
        lambda: rnn.time_scales(MODEL, 1, 3),
        rnn.ArgumentError,
        r"time_scales: the cell is Stack\(.*not a rnn_jax.SplitCell",
    ),
    "TimeScales: a cell that does not split": (
        lambda: rnn.TimeScales(MODEL, 1.0, 3.0),
        rnn.StructureError,
        r"TimeScales: layer must be a SplitCell, got Stack\(",
    ),
    "zoneout: rates of another cell": (
        lambda: rnn.zoneout(CELL, rnn.LSTMCarry(0.5, 0.5)),
        rnn.ArgumentError,
        r"rate must be a number or of the form of the carry, ElmanCarry\(h\), got LSTMCarry",
    ),
    "zoneout: a cell that does not split": (
        lambda: rnn.zoneout(MODEL, 0.5),
        rnn.ArgumentError,
        r"zoneout: the cell is Stack\(.*not a rnn_jax.SplitCell",
    ),
    "Zoneout: a class": (
        lambda: rnn.Zoneout(rnn.GRU, 0.5),
        rnn.StructureError,
        "Zoneout: layer must be a SplitCell, got the class GRU",
    ),
    "leaky: rates in a list": (
        lambda: rnn.leaky(LSTM, [0.1, 0.2]),
        rnn.ArgumentError,
        r"leaky: rate must be a number or of the form of the carry, LSTMCarry\(h, c\), got \[0\.1",
    ),
    "Leaky: no cell": (
        lambda: rnn.Leaky(1, 0.5),
        rnn.StructureError,
        "Leaky: layer must be a SplitCell, got 1",
    ),
    "variational: dropped tokens": (
        lambda: rnn.variational(TokenCell(3, 5), 0.5, 0.5),
        rnn.ArgumentError,
        r"variational: .*reads integers, which cannot be dropped",
    ),
    "Variational: a rate of two": (
        lambda: rnn.Variational(CELL, 0.5, 2.0),
        rnn.ArgumentError,
        r"Variational: state must be a number in \[0, 1\), got 2\.0",
    ),
}
