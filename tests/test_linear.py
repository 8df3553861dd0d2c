"""The linear recurrence, by each of its engines, against its loop, whichever of its parts move."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from rnn_jax.methods.linear.chunked import Chunked
from rnn_jax.methods.linear.dense import FEW, Dense
from rnn_jax.methods.linear.operator import ROWS, Operator, turned
from rnn_jax.methods.linear.sequential import Sequential
from rnn_jax.methods.linear.system import solve
from tests.cases import assert_close


def mixing(weights, step, x):
    return {"h": step * (x["h"] @ weights)}


def unitwise(weights, step, x):
    return {"h": step * (x["h"] * weights.sum(0))}


# No number of chunks divides the five steps, nor the four of the derivatives but that of Dense.
ENGINES = {
    "sequential": (Sequential(), mixing),
    "dense": (Dense(chunks=2), mixing),
    "chunked": (Chunked(chunks=3), unitwise),
}
every_engine = pytest.mark.parametrize("name", ENGINES)


def run(name, weights, steps, start, b):
    engine, move = ENGINES[name]
    operator = Operator(move, weights, steps, turned(weights, {"h": start}))
    end, xs = solve(engine, operator, {"h": start}, {"h": b})
    return end["h"], xs["h"]


def parts(rng, length, batch):
    sizes = [(3, 3), (length, *batch, 3), (*batch, 3), (length, *batch, 3)]
    return [jnp.asarray(rng.normal(size=size)) / 2 for size in sizes]


@every_engine
@pytest.mark.parametrize("batch", [(), (2,), (ROWS,), (2, ROWS)])
@pytest.mark.parametrize("length", [0, 1, 5])
def test_the_solution_is_that_of_the_loop(rng, length, batch, name):
    weights, steps, start, b = map(np.asarray, parts(rng, length, batch))
    x, expected = start, np.empty_like(b)
    _, move = ENGINES[name]
    for t in range(length):
        x = expected[t] = move(weights, steps[t], {"h": x})["h"] + b[t]
    end, xs = jax.jit(run, static_argnums=0)(name, weights, steps, start, b)
    np.testing.assert_allclose(end, x, atol=1e-14)
    np.testing.assert_allclose(xs, expected, atol=1e-14)


EVERY = (0, 1, 2, 3)
SEVERAL = [("sequential", (2,), which) for which in [(0,), (2,), EVERY]]
SEVERAL += [
    pytest.param("sequential", (2,), which, marks=pytest.mark.slow)
    for which in [(1,), (3,), *itertools.combinations(EVERY, 2)]
]
SEVERAL += [("sequential", (ROWS,), EVERY), ("dense", (2,), EVERY), ("chunked", (2,), EVERY)]


@pytest.mark.parametrize(("name", "batch", "moving"), SEVERAL)
def test_derivatives_of_both_orders_by_any_of_its_parts(rng, name, batch, moving):
    every = parts(rng, 4, batch)

    def f(*some):
        point = list(every)
        for i, part in zip(moving, some, strict=True):
            point[i] = part
        return run(name, *point)

    check_grads(jax.jit(f), [every[i] for i in moving], order=2, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("units", [FEW - 2, FEW + 1])
def test_matrices_of_any_size_and_arrays_of_several_dtypes_are_those_of_the_loop(rng, units):
    """Two arrays a carry, of which one feeds the other; small matrices are multiplied otherwise."""
    weights = jnp.asarray(rng.normal(size=(units, units)) / units)

    def move(weights, step, x):
        h = x["h"].astype(step.dtype)
        return {"h": h @ weights + x["c"], "c": step * x["c"] + h.mean(-1, keepdims=True)}

    def cast(tree):
        return {"c": tree["c"], "h": tree["h"].astype(jnp.float32)}

    operator = Operator(
        lambda *given: cast(move(*given)), weights, jnp.asarray(rng.uniform(size=(7, 2, 1)))
    )
    start = cast({"h": jnp.asarray(rng.normal(size=(2, units))), "c": jnp.ones((2, 1))})
    b = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=(7, *x.shape)), x.dtype), start)

    @jax.jit
    def solutions(start, b):
        return [
            (engine.forward(operator, start, b), engine.backward(operator, start, b))
            for engine in (Sequential(), Dense(), Dense(chunks=100))
        ]

    expected, *found = solutions(start, b)
    for one in found:
        assert jax.tree.map(lambda x: x.dtype, one) == jax.tree.map(lambda x: x.dtype, expected)
        assert_close(one, expected, 1e-5)


def turn(weights, step, x):
    """Units that see only themselves, and two arrays that see each other."""
    a, b = x
    return step * weights[:, 0] * a - b, step * a + weights[:, 1] * b


@functools.partial(jax.jit, static_argnums=0)
def of_turns(engine, weights, steps, start, b):
    operator = Operator(turn, weights, steps)
    return solve(engine, operator, (start, 2 * start), (b, jnp.cos(b)))


@pytest.mark.parametrize("chunks", [2, 3, 7])
@pytest.mark.parametrize("length", [0, 1, 7, 23])
def test_chunks_side_by_side_have_the_solution_of_the_loop(rng, length, chunks):
    given = parts(rng, length, (2,))
    expected, found = of_turns(Sequential(), *given), of_turns(Chunked(chunks), *given)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
