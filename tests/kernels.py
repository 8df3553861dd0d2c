"""What the tests of kernels share: on whatever machine, a cell learns, or is refused."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import pytest

import rnn_jax as rnn


@dataclasses.dataclass(frozen=True)
class OneInput(rnn.LSTM):
    """Whose gates read one array, and cut the sum."""

    def project(self, params, xs):
        return jnp.concatenate(super().project(params, xs), -1)

    def recur(self, params, carry, z):
        return tuple(jnp.split(z + carry.h @ params.w_hh, 4, axis=-1))


def mean_square(cell, method):
    """Of what a cell emits, as a function of params and inputs; and its gradient."""

    def loss(params, xs):
        hs = rnn.unroll(cell, params, xs, method=method)[1]
        return jnp.mean(jnp.square(hs.astype(jnp.float32)))

    return loss, jax.value_and_grad(loss)


def refused(cell, dtype, error, match, machine=rnn.GPU()):  # noqa: B008
    """What `Fused` of a machine says of a cell, from shapes alone."""
    params = jax.eval_shape(lambda: cell.init(jax.random.key(0), dtype))
    xs = jax.ShapeDtypeStruct((9, 40, cell.input_size), dtype)
    with pytest.raises(error, match=match):
        jax.eval_shape(functools.partial(rnn.unroll, cell, method=rnn.Fused(machine)), params, xs)
