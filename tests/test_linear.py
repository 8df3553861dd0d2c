"""The linear recurrence inside BPTT, against its loop, whichever of its parts move."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from rnn_jax.methods.linear.chunked import Chunked
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


def turn(weights, step, x):
    """Units that see only themselves, and two arrays that see each other."""
    a, b = x
    return step * weights[:, 0] * a - b, step * a + weights[:, 1] * b


def run_in_chunks(chunks, weights, steps, start, b):
    operator = Operator(turn, weights, steps)
    return solve(Chunked(chunks), operator, (start, 2 * start), (b, jnp.cos(b)))


@pytest.mark.parametrize("chunks", [2, 3, 7])
@pytest.mark.parametrize("length", [0, 1, 7, 23])
def test_chunks_side_by_side_have_the_solution_of_the_loop(rng, length, chunks):
    weights, steps, start, b = parts(rng, length, (2,))
    operator = Operator(turn, weights, steps)
    expected = solve(Sequential(), operator, (start, 2 * start), (b, jnp.cos(b)))
    found = jax.jit(run_in_chunks, static_argnums=0)(chunks, weights, steps, start, b)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("moving", [(0, 3), (0, 1, 2, 3)])
def test_derivatives_of_both_orders_by_any_of_the_parts_in_chunks(rng, moving):
    every = parts(rng, 7, (2,))

    def f(*some):
        point = list(every)
        for i, part in zip(moving, some, strict=True):
            point[i] = part
        return run_in_chunks(3, *point)

    check_grads(jax.jit(f), [every[i] for i in moving], order=2, atol=1e-6, rtol=1e-6)
