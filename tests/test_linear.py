"""The linear recurrence inside BPTT, against its loop, whichever of its parts move."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from rnn_jax.methods.linear.operator import Operator
from rnn_jax.methods.linear.sequential import ROWS, Sequential
from rnn_jax.methods.linear.system import solve


def move(weights, step, x):
    return {"h": step * (x["h"] @ weights)}


def run(weights, steps, start, b):
    operator = Operator(move, weights, steps)
    end, xs = solve(Sequential(), operator, {"h": start}, {"h": b})
    return end["h"], xs["h"]


def parts(rng, length, batch):
    sizes = [(3, 3), (length, *batch, 3), (*batch, 3), (length, *batch, 3)]
    return [jnp.asarray(rng.normal(size=size)) / 2 for size in sizes]


@pytest.mark.parametrize("batch", [(), (2,), (ROWS,), (2, ROWS)])
@pytest.mark.parametrize("length", [0, 1, 5])
def test_the_solution_is_that_of_the_loop(rng, length, batch):
    weights, steps, start, b = map(np.asarray, parts(rng, length, batch))
    x, expected = start, np.empty_like(b)
    for t in range(length):
        x = expected[t] = steps[t] * (x @ weights) + b[t]
    end, xs = jax.jit(run)(weights, steps, start, b)
    np.testing.assert_allclose(end, x, atol=1e-14)
    np.testing.assert_allclose(xs, expected, atol=1e-14)


SOME = [which for n in (1, 2, 4) for which in itertools.combinations(range(4), n)]


@pytest.mark.parametrize("batch", [(2,), (ROWS,)])
@pytest.mark.parametrize("moving", SOME)
def test_derivatives_of_both_orders_by_any_of_its_parts(rng, moving, batch):
    every = parts(rng, 4, batch)

    def f(*some):
        point = list(every)
        for i, part in zip(moving, some, strict=True):
            point[i] = part
        return run(*point)

    check_grads(jax.jit(f), [every[i] for i in moving], order=2, atol=1e-6, rtol=1e-6)
