"""A layer over the devices of a mesh: which axis of which array is split, and the numbers.

What needs several devices is in eight_devices.py, and runs in a process of its own.
"""

import dataclasses
import math

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AbstractMesh, AxisType
from jax.sharding import PartitionSpec as P

import rnn_jax as rnn
from rnn_jax.recurrence.axes import axes
from tests.cases import CASES, every, larger
from tests.devices import on_devices


def mesh_of(**sizes):
    return AbstractMesh(
        tuple(sizes.values()), tuple(sizes), axis_types=(AxisType.Auto,) * len(sizes)
    )


MESH = mesh_of(data=4, model=2)
WHOLE, FIRST, LAST = P(), P("model"), P(None, "model")
UNITS = P("data", "model")


def fresh(layer):
    """The shapes of params and of a carry of eight sequences."""
    params = jax.eval_shape(layer.init, jax.random.key(0))
    return params, jax.eval_shape(lambda params: layer.initial_carry(params, (8,)), params)


KNOWN = {
    "gates": (rnn.LSTM(3, 8), (LAST, LAST, FIRST), (UNITS, UNITS)),
    "a projection": (rnn.ProjectedLSTM(3, 8, 4), (LAST, LAST, FIRST, FIRST), (UNITS, UNITS)),
    "what comes back is another carry": (
        rnn.Jordan(3, 6, 4),
        (LAST, FIRST, WHOLE, LAST, FIRST),
        (UNITS,),
    ),
    "complex states": (
        rnn.LRU(3, 4),
        (FIRST, FIRST, FIRST, LAST, LAST, FIRST, FIRST, WHOLE),
        (UNITS, UNITS),
    ),
    "blocks": (rnn.RGLRU(8, 4), (FIRST,) * 5, (UNITS,)),
    "a carry of two axes": (rnn.SelectiveSSM(8, 4, 2), (FIRST, LAST, *[FIRST] * 3), (UNITS,)),
    "a carry whose first axis does not divide": (
        rnn.SelectiveSSM(3, 4, 2),
        (LAST, FIRST, WHOLE, LAST, WHOLE),
        (P("data", None, "model"),),
    ),
    "heads, not the units of each": (rnn.heads(rnn.GRU(3, 6), 2), (FIRST,) * 4, (UNITS,)),
    "units of each of three heads": (
        rnn.heads(rnn.IndRNN(3, 6), 3),
        (P(None, None, "model"), LAST, LAST),
        (P("data", None, "model"),),
    ),
    "tokens": (
        rnn.stack(rnn.Embedding(10, 4), rnn.Elman(4, 6), rnn.Dense(6, 10)),
        (FIRST, LAST, LAST, FIRST, LAST, FIRST),
        (UNITS,),
    ),
    "tokens in one table": (
        rnn.tied(rnn.Embedding(10, 4), rnn.Elman(4, 4)),
        (FIRST, LAST, LAST, FIRST, FIRST),
        (UNITS,),
    ),
    "a vocabulary that does not divide": (
        rnn.stack(rnn.Embedding(9, 4), rnn.Elman(4, 6), rnn.Dense(6, 9)),
        (LAST, LAST, LAST, FIRST, FIRST, WHOLE),
        (UNITS,),
    ),
    "layers between": (
        rnn.stack(rnn.Dense(3, 4), rnn.Elman(4, 6), rnn.Dense(6, 4), rnn.Dense(4, 2)),
        (LAST, WHOLE, LAST, LAST, FIRST, FIRST, WHOLE, LAST, FIRST),
        (UNITS,),
    ),
}


@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)
def test_placements_that_are_known(known):
    layer, params, carry = known
    placed = rnn.placement(layer, MESH)
    assert tuple(jax.tree.leaves(placed.params)) == params
    assert tuple(jax.tree.leaves(placed.carry)) == carry


@every("mechanism")
@pytest.mark.parametrize("parts", [2, 4])
def test_of_matrices_and_carries_each_device_has_an_equal_part(case, parts):
    layer = larger(case.cell, 8)
    placed = rnn.placement(layer, mesh_of(data=4, model=parts))
    params, carry = fresh(layer)
    assert jax.tree.structure(placed) == jax.tree.structure(rnn.Placement(params, carry))
    assert {"data", "model"} >= {name for spec in jax.tree.leaves(placed) for name in spec if name}

    def parts_of(x, spec):
        for size, name in zip(x.shape, spec, strict=False):
            assert name is None or size % {"data": 4, "model": parts}[name] == 0
        return math.prod({"data": 4, "model": parts}[name] for name in spec if name)

    for leaf, spec in zip(*map(jax.tree.leaves, (params, placed.params)), strict=True):
        assert parts_of(leaf, spec) in ({parts} if leaf.ndim > 1 else {1, parts})
    for leaf, spec in zip(*map(jax.tree.leaves, (carry, placed.carry)), strict=True):
        assert parts_of(leaf, spec) == (4 * parts if leaf.size else 4)


# Of Jordan's network what comes back is its output, which has a size of its own.
SIZED = [case for case in CASES if isinstance(case.cell, rnn.SizedCell) and case.name != "jordan"]


@every("arithmetic", SIZED)
def test_what_is_split_grows_with_the_hidden_size(case):
    """Of all that does: seen from outside, without a look at any program."""
    small = larger(case.cell, 8)
    large = dataclasses.replace(small, hidden_size=2 * small.hidden_size)
    trees = map(jax.tree.leaves, (fresh(small), fresh(large), rnn.placement(small, MESH)))
    for one, two, spec in zip(*trees, strict=True):
        growing = [i for i, (n, m) in enumerate(zip(one.shape, two.shape, strict=True)) if n != m]
        assert not growing or tuple(spec).index("model") in growing


@hypothesis.settings(max_examples=20)
@hypothesis.given(st.integers(1, 24), st.integers(1, 6))
def test_what_does_not_divide_is_refused(units, parts):
    mesh = mesh_of(model=parts)
    if units % parts == 0:
        carry = rnn.placement(rnn.IndRNN(2, units), mesh).carry
        assert carry.h == (P(None, "model") if parts > 1 else P())
    else:
        with pytest.raises(rnn.ShapeError, match=rf"carry\.h .*, {units}\), and no axis"):
            rnn.placement(rnn.IndRNN(2, units), mesh)


def test_the_array_that_does_not_divide_is_named():
    deep = rnn.stack(rnn.GRU(3, 4), rnn.bidirectional(rnn.Elman(4, 4), rnn.LSTM(4, 5)))
    with pytest.raises(rnn.ShapeError, match=r"carry\[1\]\.backward\.h has shape \(\*batch, 5\)"):
        rnn.placement(deep, MESH)
    with pytest.raises(rnn.ShapeError, match=r"params\[0\]\.w has shape \(5, 3\), .* 2 devices"):
        rnn.placement(rnn.stack(rnn.Embedding(5, 3), rnn.GRU(3, 4)), MESH)


@pytest.mark.parametrize("names", [("data",), ("model",), ("time",), ("time", "data")])
def test_what_a_mesh_lacks_is_not_split(names):
    placed = rnn.placement(rnn.LSTM(3, 8), mesh_of(**dict.fromkeys(names, 2)))
    over = [name if name in names else None for name in ("data", "model")]
    whole = "model" not in names
    assert placed.params == ((WHOLE,) * 3 if whole else (LAST, LAST, FIRST))
    trimmed = over if over[1] else [name for name in over if name]
    assert placed.carry == (P(*trimmed),) * 2


def test_axes_are_followed_through_a_program():
    def add(c, x):
        return c + x, c * x

    def f(x, w, table):
        y = jnp.split(x @ w, 2, axis=-1)[1]
        by_head = y.reshape(*y.shape[:-1], 3, 2)
        looked_up = table[jnp.array([0, 1])]
        return jax.jit(jnp.tanh)(y).T, by_head, looked_up, jax.lax.scan(add, y[0], y)

    shapes = [jax.ShapeDtypeStruct(shape, float) for shape in ((4, 5), (5, 12), (7, 3))]
    (x, w, table), (turned, by_head, looked_up, looped) = axes(f, shapes)
    x, w, table, turned, by_head, looked_up, *looped = (
        [axis.one for axis in array.axes]
        for array in (x, w, table, turned, by_head, looked_up, *looped)
    )
    assert x[1] is w[0]
    assert turned == [w[1], x[0]]
    assert by_head[:2] == [x[0], w[1]]
    assert looked_up[1] is table[1]
    assert [axis for axis in {*x, *w, *table} if axis.is_summed] == [x[1]]
    assert [axis for axis in {*x, *w, *table} if axis.is_row] == [table[0]]
    assert not {*x, *w, *table} & {*looped[0], *looped[1]}
    assert len({*x, *w, *table}) == 5


def test_training_has_the_numbers_of_one_device_and_each_device_a_part():
    on_devices(8, "eight_devices", "training")


@pytest.mark.slow
def test_every_mesh_has_the_numbers_of_one_device():
    on_devices(8, "eight_devices", "meshes")


@pytest.mark.slow
def test_every_cell_has_the_numbers_of_one_device():
    on_devices(8, "eight_devices", "table")
