"""Cells whose Jacobians are known: the inputs themselves, or one matrix at every step."""

import dataclasses

import jax.numpy as jnp

import rnn_jax as rnn


@dataclasses.dataclass(frozen=True)
class Given(rnn.Cell):
    """`c_t = x_t c_{t-1}`: the input is the Jacobian, an N x N matrix a step."""

    size: int

    @property
    def input(self):
        return rnn.Input((self.size, self.size), jnp.floating)

    def init(self, key, dtype=jnp.float64):
        return jnp.zeros((), dtype)  # params have the dtype, and there is nothing else to hold

    def initial_carry(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.size), params.dtype)

    def project(self, params, xs):
        return xs

    def step(self, params, carry, z):
        carry = jnp.einsum("...ij,...j->...i", z, carry)
        return carry, carry


def given(matrices):
    """`(cell, params, xs)` with these Jacobians, `(T, *batch, N, N)`."""
    matrices = jnp.asarray(matrices)
    return Given(matrices.shape[-1]), jnp.zeros((), matrices.dtype), matrices


def linear(a):
    return a


def constant(matrix, steps):
    """`(cell, params, xs)` of a linear network whose Jacobian is `matrix` at every step."""
    matrix = jnp.asarray(matrix)
    size = len(matrix)
    cell = rnn.Elman(1, size, activation=linear)
    params = rnn.ElmanParams(jnp.ones((1, size), matrix.dtype), matrix.T, jnp.zeros_like(matrix[0]))
    return cell, params, jnp.ones((steps, 1), matrix.dtype)
