"""A batch split over devices: the numbers of one device. Two devices, so a process of its own."""

import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

import rnn_jax as rnn
from rnn_jax.recurrence.dependence import bends_a_number_of

pytestmark = pytest.mark.usefixtures("no_rank_promotion")

TWO_DEVICES = """
import jax, jax.numpy as jnp, numpy as np
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
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
jax.tree.map(same, program(params, xs, lengths), jax.jit(step)(params, xs, lengths))
print("parts", "f64[9,2,3]" in program.as_text() or "f64[9,2,5]" in program.as_text())

run = lambda params, xs: rnn.unroll(model, params, xs)
split_run = rnn.split_batch(run, in_axes=(None, 1), out_axes=(0, 1))
jax.tree.map(same, jax.jit(split_run)(params, xs), run(params, xs))

def mean(params, xs, lengths):
    _, ys = rnn.unroll(model, params, xs, lengths=lengths)
    real = jnp.arange(9)[:, None] < lengths[None]
    return jnp.mean(jnp.square(ys - 1).sum(-1), where=real), {"tokens": real.mean()}

count = lambda params, xs, lengths: lengths.sum()
step = jax.value_and_grad(mean, has_aux=True)
counted = jax.jit(rnn.split_batch(step, (None, 1, 0), ((None, None), None), count=count))
step = jax.jit(step)
for lengths in (jnp.array([0, 2, 7, 0]), jnp.array([0, 0, 5, 4])):
    found, expected = counted(params, xs, lengths), step(params, xs, lengths)
    jax.tree.map(same, (found[0][0], found[1]), (expected[0][0], expected[1]))

scaled = lambda s: rnn.split_batch(lambda *rest: s * loss(*rest), (None, 1, 0))
same(jax.jit(lambda s: scaled(s)(params, xs, lengths))(3.0), 3 * loss(params, xs, lengths))

turned = rnn.split_batch(lambda params, xs: run(params, xs)[1], (None, -2), -2)
jax.tree.map(same, jax.jit(turned)(params, xs), run(params, xs)[1])

def wrong(call):
    try:
        print(call())
    except rnn.RNNError as error:
        print(type(error).__name__, error)

wrong(lambda: split(params, xs[:, :3], lengths[:3]))
for f in (
    lambda params, xs, lengths: mean(params, xs, lengths)[0],  # the division by a count
    lambda params, xs, lengths: jax.checkpoint(mean)(params, xs, lengths)[0],
    jax.grad(lambda params, xs, lengths: jnp.sqrt(loss(params, xs, lengths))),
    lambda params, xs, lengths: jnp.exp(loss(params, xs, lengths)),
):
    wrong(lambda: jax.jit(rnn.split_batch(f, (None, 1, 0)))(params, xs, lengths))
wrong(lambda: rnn.split_batch(run, (None, 1), (3, 1))(params, xs))
wrong(lambda: rnn.split_batch(run, (None, 1), (None, None, 1))(params, xs))
wrong(lambda: rnn.split_batch(loss, (None, 1, 0), count=lambda p, xs, n: n)(params, xs, lengths))
"""


def test_two_devices_give_the_numbers_of_one():
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    parts, *errors = done.stdout.splitlines()
    assert parts == "parts True"
    wanted = [
        "ShapeError .*argument 1 must have a batch on axis 1 that divides into 2 equal parts",
        r"ArgumentError .*mean of f over parts .*\(div\).*count=",
        r"ArgumentError .*\(div\)",
        r"ArgumentError .*\(sqrt\)",
        r"ArgumentError .*\(exp\)",
        r"ShapeError .*out_axes has a batch on axis 3 of a result of shape \(2, 5\)",
        "ArgumentError .*out_axes must be an axis or None, or such for each part of the result",
        "ShapeError .*count must return one number, got int64 of shape \\(2,\\)",
    ]
    assert len(errors) == len(wanted), errors
    for error, pattern in zip(errors, wanted, strict=True):
        assert re.match(pattern, error), (error, pattern)


def test_one_device_needs_no_splitting():
    cell = rnn.Elman(2, 3)
    params, xs = cell.init(jax.random.key(0), jnp.float64), jnp.ones((4, 3, 2))
    run = rnn.split_batch(lambda p, xs: jnp.mean(rnn.unroll(cell, p, xs)[1]), (None, 1))
    assert run(params, xs) == pytest.approx(jnp.mean(rnn.unroll(cell, params, xs)[1]))


def test_every_argument_needs_an_axis():
    with pytest.raises(rnn.ArgumentError, match="2 entries for 1 arguments"):
        rnn.split_batch(lambda xs: xs, (None, 1))(jnp.ones(3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rnn.split_batch(None, (0,)), "f must be a function, got None"),
        (lambda: rnn.split_batch(jnp.sum, 0), "in_axes must be a tuple .* got 0"),
        (lambda: rnn.split_batch(jnp.sum, ("x",)), "an axis must be an integer or None, got 'x'"),
        (lambda: rnn.split_batch(jnp.sum, (0,), (1.5,)), "an axis must be an integer .* got 1.5"),
        (lambda: rnn.split_batch(jnp.sum, (0,), count=3), "count must be a function, got 3"),
        (lambda: rnn.split_batch(jnp.sum, (0,), devices=[]), r"devices must be a list .* got \[\]"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(rnn.ArgumentError, match=f"split_batch: {message}"):
        call()


def test_an_axis_from_the_end_is_that_of_each_array():
    """As in jax.vmap: in a tree of arrays of several ranks each has its own."""
    trees = {"a": jnp.ones((3, 4, 2)), "b": jnp.ones((4, 2))}
    total = rnn.split_batch(lambda tree: jax.tree.map(jnp.mean, tree), (-2,))(trees)
    assert total == {"a": 1, "b": 1}
    with pytest.raises(rnn.ShapeError, match=r"argument 0\['b'\] must have a batch on axis -3"):
        rnn.split_batch(jax.tree.leaves, (-3,))(trees)


FUNCTIONS = {
    "a mean": (lambda w, x, m: jnp.mean(x * w[None]) / w[0], None),
    "a mean of means": (lambda w, x, m: (jnp.sum(x, 0, where=m) / m.sum(0)).mean(), None),
    "a mean over a loop": (
        lambda w, x, m: jax.lax.map(lambda xm: xm[0].sum() / xm[1].sum(), (x, m)).mean(),
        None,
    ),
    "a mean of what is real": (lambda w, x, m: jnp.mean(x, where=m), "div"),
    "a mean that is called": (lambda w, x, m: jax.jit(jnp.average)(x, weights=x), "div"),
    "a gradient": (jax.grad(lambda w, x, m: jnp.sum(x * w[None], where=m) / m.sum()), "div"),
    "a norm": (lambda w, x, m: jnp.linalg.norm(x.ravel()), "sqrt"),
    "a perplexity": (lambda w, x, m: jnp.exp(jnp.mean(x)), "exp"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_that_is_no_mean_over_equal_parts_is_refused(name):
    f, operation = FUNCTIONS[name]
    with jax.numpy_dtype_promotion("standard"):
        program = jax.make_jaxpr(f)(jnp.ones(4), jnp.ones((3, 4)), jnp.ones((3, 4), bool))
    assert bends_a_number_of(program.jaxpr, [False, True, True]) == operation
