"""A batch split over devices: the numbers of one device. Two devices, so a process of its own."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

import rnn_jax as rnn

TWO_DEVICES = """
import jax, jax.numpy as jnp, numpy as np
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_enable_x64", True)
import rnn_jax as rnn

assert jax.device_count() == 2
model = rnn.stack(rnn.GRU(3, 5), rnn.Dense(5, 2))
params = model.init(jax.random.key(0), jnp.float64)
xs, lengths = jax.random.normal(jax.random.key(1), (9, 4, 3)), jnp.array([9, 2, 7, 5])

def loss(params, xs, lengths):
    _, ys = rnn.unroll(model, params, xs, lengths=lengths)
    return jnp.mean(jnp.square(ys))

step = jax.value_and_grad(loss)
split = rnn.split_batch(step, in_axes=(None, 1, 0))
program = jax.jit(split).lower(params, xs, lengths).compile()
same = lambda x, y: np.testing.assert_allclose(x, y, atol=1e-12)
jax.tree.map(same, program(params, xs, lengths), step(params, xs, lengths))
print("parts", "f64[9,2,3]" in program.as_text() or "f64[9,2,5]" in program.as_text())

run = lambda params, xs: rnn.unroll(model, params, xs)
split_run = rnn.split_batch(run, in_axes=(None, 1), out_axes=(0, 1))
jax.tree.map(same, jax.jit(split_run)(params, xs), run(params, xs))
try:
    split(params, xs[:, :3], lengths[:3])
except rnn.ShapeError as error:
    print(error)
"""


def test_two_devices_give_the_numbers_of_one():
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    parts, error = done.stdout.splitlines()
    assert parts == "parts True"
    assert "argument 1 must have a batch on axis 1 that divides into 2 equal parts" in error


def test_one_device_needs_no_splitting():
    cell = rnn.Elman(2, 3)
    params, xs = cell.init(jax.random.key(0), jnp.float64), jnp.ones((4, 3, 2))
    run = rnn.split_batch(lambda p, xs: jnp.mean(rnn.unroll(cell, p, xs)[1]), (None, 1))
    assert run(params, xs) == pytest.approx(jnp.mean(rnn.unroll(cell, params, xs)[1]))


def test_every_argument_needs_an_axis():
    with pytest.raises(rnn.ArgumentError, match="2 entries for 1 arguments"):
        rnn.split_batch(lambda xs: xs, (None, 1))(jnp.ones(3))
