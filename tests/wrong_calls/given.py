"""What the rows of wrong calls are made of."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import rnn_jax as rnn
from tests.cases import params_of


def made(layer):
    """Params of a layer, of which no row is about what is drawn."""
    return params_of(layer, jnp.float32)


KEY = jax.random.key(0)
KEYS = jax.random.split(KEY, 3)
CELL = rnn.Elman(3, 5)
PARAMS = made(CELL)
CARRY = CELL.initial_carry(PARAMS, (2,))
LSTM = rnn.LSTM(3, 5)
LSTM_PARAMS = made(LSTM)
XS = np.ones((7, 2, 3), jnp.float32)
MODEL = rnn.stack(rnn.Embedding(9, 4), rnn.GRU(4, 5))
MODEL_PARAMS = made(MODEL)
TOKENS = np.zeros((7, 2), jnp.int32)
NOISY = rnn.stack(CELL, rnn.residual(rnn.Dropout(5, 0.5)))
NOISY_PARAMS = made(NOISY)
BOTH_WAYS = rnn.stack(CELL, rnn.bidirectional(rnn.GRU(5, 2), rnn.GRU(5, 2)))
MASKED = np.ma.masked_array(np.ones((7, 2, 3), np.float32), np.indices((7, 2, 3))[0] > 4)


def outputs(ys, targets):
    """A loss of each step."""
    del targets
    return ys.sum(-1)


class TokenCell(rnn.Elman):
    """A cell that reads tokens by itself."""

    @property
    def input(self):
        return rnn.Input((), jnp.integer)

    def project(self, params, xs):
        return params.w_xh[xs] + params.b_h


@dataclasses.dataclass(frozen=True)
class WithArray(rnn.Elman):
    """A cell with an array among its settings, where nothing that is hashed may be."""

    scale: Any = dataclasses.field(default_factory=lambda: np.ones(3))


class Foreign:
    """An array of another library: it gives itself by `__array__` or `__dlpack__` alone."""

    dtype = "foreign.float32"

    def __init__(self, array):
        self._array = np.array(array)
        self.shape = self._array.shape


class ByArray(Foreign):
    def __array__(self, dtype=None, copy=None):
        return self._array


class ByDLPack(Foreign):
    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


class Dead(Foreign):
    """As a tensor whose gradient is asked for."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("call detach() first")


class ByJax(Foreign):
    def __jax_array__(self):
        return jnp.asarray(self._array)
