"""Layers that cannot be written by names, and folders that are none."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import rnn_jax as rnn
from rnn_jax.attention import Attention, General, with_memory
from tests.wrong_calls.given import CELL, LSTM, LSTM_PARAMS, PARAMS, TokenCell, made

NOWHERE = Path(__file__).parent / "no such folder"
ATTENTION = Attention(3, 4, General())


def save(layer, params=PARAMS, **options):
    return lambda: rnn.save(NOWHERE, layer, params, **options)


ROWS = {
    "save: a number for a folder": (
        lambda: rnn.save(3, LSTM, LSTM_PARAMS),
        rnn.ArgumentError,
        "save: folder must be a path, got 3",
    ),
    "save: params in the place of the layer": (
        save(LSTM_PARAMS, LSTM),
        rnn.StructureError,
        r"save: layer must be a Layer, got LSTMParams\(w_xh, w_hh, b_h\)",
    ),
    "save: params of another cell": (
        save(LSTM, PARAMS),
        rnn.StructureError,
        "expected params of the form LSTMParams",
    ),
    "save: params that are traced": (
        lambda: jax.jit(lambda params: save(CELL, params)())(PARAMS),
        rnn.ArgumentError,
        r"save: params.w_xh is traced, by jit or the like",
    ),
    "save: params with a memory": (
        save(ATTENTION, with_memory(ATTENTION, made(ATTENTION), np.ones((5, 4), jnp.float32))),
        rnn.StructureError,
        "save: beside the params is what belongs to one batch, the memory of an attention",
    ),
    "save: a lambda": (
        save(rnn.stack(CELL, rnn.Dense(5, 2, lambda a: a))),
        rnn.StructureError,
        r"save: layer.layers\[1\].activation, the function <lambda>, has no public name.*names=",
    ),
    "save: an initialiser that JAX makes": (
        save(rnn.Elman(3, 5, recurrent_init=jax.nn.initializers.normal(0.1))),
        rnn.StructureError,
        "save: layer.recurrent_init, the function init, has no public name",
    ),
    "save: a cell of one's own": (
        save(TokenCell(3, 5)),
        rnn.StructureError,
        r"save: layer, TokenCell\(.*\), has no public name.*a class of rnn_jax, or give yours a",
    ),
    "save: a list of classes": (
        save(CELL, names=[TokenCell]),
        rnn.ArgumentError,
        r"save: names must be a dictionary, {'MyCell': MyCell}, got",
    ),
    "save: a name that is public": (
        save(CELL, names={"rnn_jax.LSTM": TokenCell}),
        rnn.ArgumentError,
        "'rnn_jax.LSTM' must be a string, and none of the public names",
    ),
    "save: a name of a number": (
        save(CELL, names={"three": 3}),
        rnn.ArgumentError,
        r"save: names\['three'\] must be a function, got 3",
    ),
    "load: a number for a folder": (
        lambda: rnn.load(3),
        rnn.ArgumentError,
        "load: folder must be a path, got 3",
    ),
    "load: no folder": (
        lambda: rnn.load(NOWHERE),
        rnn.ArgumentError,
        "load: there is no folder '.*no such folder'",
    ),
    "load: a folder of something else": (
        lambda: rnn.load(NOWHERE.parent),
        rnn.ArgumentError,
        r"config.json' cannot be read: No such file or directory; a folder that save wrote has it",
    ),
    "load: a list of classes": (
        lambda: rnn.load(NOWHERE, names=[TokenCell]),
        rnn.ArgumentError,
        "load: names must be a dictionary",
    ),
}
