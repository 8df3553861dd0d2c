"""What tests/test_sharding.py runs on four devices, in a process of its own.

Each way to split a batch over devices is a function that compiles `f(params, xs, marks)` for it.
"""

import functools
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import rnn_jax as rnn
from rnn_jax.attention import (
    Attention,
    AttentionReadout,
    General,
    LocationSensitive,
    attentive,
    with_memory,
)
from tests import hlo
from tests.cases import CASES, VOCABULARY, Case, params_of
from tests.compilation import AS_USERS_HAVE_IT
from tests.unsplit import PeepholeLSTM

jax.config.update("jax_enable_x64", True)

BY_THREE = rnn.BPTT(chunk=3, store=0)
SIZES, NAMES = (4,), ("data",)
AUTO = jax.make_mesh(SIZES, NAMES, axis_types=(AxisType.Auto,))
EXPLICIT = jax.make_mesh(SIZES, NAMES)  # JAX's default
SPECS = (
    P(),
    P(None, "data"),
    {"lengths": P("data"), "mask": P(None, "data"), "reset": P(None, "data")},
)


def put(x, spec, mesh=EXPLICIT):
    return jax.device_put(x, NamedSharding(mesh, spec))


def placed(mesh, arguments):
    """The arguments on the devices of a mesh: the params whole, the batch split."""
    params, xs, marks = arguments
    return (
        jax.tree.map(lambda p: put(p, SPECS[0], mesh), params),
        put(xs, SPECS[1], mesh),
        {name: put(mark, SPECS[2][name], mesh) for name, mark in marks.items()},
    )


def committed(f, arguments):
    """An Auto mesh that the arrays bring along."""
    return jax.jit(f), placed(AUTO, arguments)


def in_shardings(f, arguments):
    """An Auto mesh that only `jax.jit` is told of."""
    specs = (*SPECS[:2], {name: SPECS[2][name] for name in arguments[2]})
    where = jax.tree.map(lambda spec: NamedSharding(AUTO, spec), specs)
    return jax.jit(f, in_shardings=where), arguments


def explicit(f, arguments):
    """The types of the arrays say how they are split."""
    return jax.jit(f), placed(EXPLICIT, arguments)


def mapped(f, arguments):
    """By hand; what is said of the params is summed by JAX."""
    specs = (*SPECS[:2], {name: SPECS[2][name] for name in arguments[2]})
    return jax.jit(jax.shard_map(f, mesh=AUTO, in_specs=specs, out_specs=P())), arguments


WAYS = {way.__name__: way for way in (committed, in_shardings, explicit, mapped)}


def compiled(f, way, arguments):
    """The program, and its arguments."""
    f, arguments = WAYS[way](f, arguments)
    return f.lower(*arguments).compile(AS_USERS_HAVE_IT), arguments


def gradient(cell, method=BY_THREE, key=None):
    """The gradient by params of a sum over the batch: the same, however the batch is split."""

    def loss(params, xs, marks):
        carry, ys = rnn.unroll(cell, params, xs, key=key, method=method, **marks)
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves((carry, ys)))

    return jax.grad(loss)


def collectives(program):
    """`(operation, shapes, whether it is outside of all loops)` of each."""
    kinds = "all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter"
    entry, found = False, []
    for line in program.as_text().splitlines():
        if line.endswith("{"):
            entry = line.startswith("ENTRY")
        if match := re.search(rf"= (.*?) ({kinds})(?:-start)?\(", line):
            shapes = re.findall(r"f64\[([\d,]+)\]", match[1])
            found.append((match[2], {sizes(map(int, shape.split(","))) for shape in shapes}, entry))
    return found


def sizes(shape):
    """A shape in any order, without axes of one."""
    return tuple(sorted(size for size in shape if size > 1))


def laws(way):
    """Each device multiplies its own rows, and only gradients of the weights travel."""
    steps, batch, rows = 6, 20, 5
    cell, params, xs, expected = of_one_device(steps, batch)
    program, arguments = compiled(gradient(cell), way, (params, xs, {}))

    heights = {shape[0] for shape in hlo.matmuls(program)}
    assert {rows, 3 * rows} <= heights, heights  # a step, and a chunk of three
    assert not heights & {batch, 3 * batch, steps * batch}, heights
    moved = collectives(program)
    assert {kind for kind, *_ in moved} == {"all-reduce"}, moved
    weights = {sizes(leaf.shape) for leaf in jax.tree.leaves(params)}
    assert all(weights >= shapes for _, shapes, _ in moved), moved
    if way in ("explicit", "mapped"):  # once, behind the loops
        assert [entry for *_, entry in moved] == [True], moved
    close(program(*arguments), expected)


@functools.cache
def of_one_device(steps, batch):
    """A network with its gradient, which is compiled once for all ways."""
    cell = rnn.stack(rnn.LSTM(4, 7), rnn.Dense(7, 2))
    params = params_of(cell)
    xs = jnp.asarray(np.random.default_rng(1).normal(size=(steps, batch, 4)))
    return cell, params, xs, jax.jit(gradient(cell))(params, xs, {})


def everything(way):
    """Layers of every mechanism, in one program: padding, gaps, resets, noise, directions."""
    cell = rnn.stack(
        rnn.Embedding(VOCABULARY, 3),
        rnn.Dropout(3, 0.4),
        rnn.bidirectional(rnn.learned_carry(rnn.Elman(3, 2)), PeepholeLSTM(3, 2)),
        rnn.zoneout(rnn.variational(rnn.GRU(4, 3), 0.3, 0.3), 0.3),
        rnn.VariationalDropout(3, 0.4),
        rnn.residual(rnn.time_scales(rnn.Elman(3, 3), 1.0, 9.0)),
    )
    if way == "mapped":  # each device draws the same noise
        cell = cell.deterministic()
    compare([way], Case("everything", lambda: cell, None), BY_THREE)


def attending(way):
    """A memory that is split as the batch is, read within the loop and behind it."""
    cell = rnn.stack(
        attentive(rnn.zoneout(rnn.GRU(3 + 2, 3), 0.3), Attention(3, 2, LocationSensitive(2, 2, 3))),
        AttentionReadout(Attention(5, 2, General()), 3),
    )
    if way == "mapped":  # there a memory is split by whoever splits the batch, or is that of all
        cell, complete = cell.deterministic(), of_all
    else:
        complete = of_each
    compare([way], Case("attending", lambda: cell, None, complete=complete), BY_THREE)


def of_all(cell, params):
    """One memory for all sequences."""
    return with_memory(cell, params, jax.random.normal(jax.random.key(7), (4, 2), float))


def of_each(cell, params):
    """A memory a sequence, of different lengths."""
    memory = jax.random.normal(jax.random.key(7), (4, 8, 2), float)
    return with_memory(cell, params, memory, lengths=jnp.array([4, 3, 0, 2, 2, 1, 1, 4]))


METHODS = {"scan": rnn.Scan(), "bptt": rnn.BPTT(chunk=3)}


def table(method):
    """Every row of the table of cells, padded and not, split in every way, by one method."""
    for case in CASES:
        for marked in (False, True):
            compare(WAYS, case, METHODS[method], marked)
        jax.clear_caches()


def compare(ways, case, method, marked=True):
    """The gradient in each of the ways with that of one device."""
    batch, steps, key = 8, 7, jax.random.key(3)
    params, xs = case.params(), case.xs(steps, batch)
    marks = {
        "lengths": jnp.array([7, 3, 0, 5, 2, 7, 1, 6]),
        "mask": jax.random.bernoulli(jax.random.key(5), 0.8, (steps, batch)),
        "reset": jax.random.bernoulli(jax.random.key(6), 0.2, (steps, batch)),
    }
    f = gradient(case.cell, method, key)
    arguments = params, xs, marks if marked else {}
    wanted = jax.jit(f)(*arguments)
    for way in ways:
        program, split = compiled(f, way, arguments)
        close(program(*split), wanted, f"{case.name} {method} {marked} {way}")


def transformed(way):
    """Other modes and methods; params that are split themselves; steps; errors."""
    cell, key = rnn.GRU(2, 4), jax.random.key(0)
    params, xs = cell.init(key, jnp.float64), jnp.ones((4, 8, 2), jnp.float64)

    def curved(params, xs, marks):
        along = lambda params: gradient(cell)(params, xs, marks)  # noqa: E731
        return jax.jvp(along, (params,), (params,))

    program, arguments = compiled(curved, way, (params, xs, {}))
    close(program(*arguments), curved(params, xs, {}))
    # Each device iterates as often as its own rows ask for.
    lstm = Case("lstm", lambda: rnn.LSTM(2, 3), None)
    for method in (rnn.Newton(), rnn.Newton(rnn.DiagonalJacobian())):
        compare([way], lstm, method)
    if way in ("explicit", "mapped"):  # of any other mesh XLA knows no way to split a kernel
        compare([way], lstm, rnn.Fused(interpret=True))
    if way != "explicit":
        return
    split_params, split_xs, _ = placed(EXPLICIT, (params, xs, {}))
    split_params = split_params._replace(w_hh=put(split_params.w_hh, P("data")))
    grads = jax.jit(gradient(cell))(split_params, split_xs, {})
    assert grads.w_hh.sharding.spec == P("data", None)
    close(grads, gradient(cell)(params, xs, {}))
    taken = jax.jit(lambda p, x: rnn.step(cell, p, x))(split_params, split_xs[0])
    close(taken, rnn.step(cell, params, xs[0]))
    wide = rnn.GRU(4, 4)
    with pytest.raises(rnn.ShapeError, match="axis 2 of xs is split over devices"):
        rnn.unroll(
            wide,
            wide.init(key, jnp.float64),
            put(jnp.ones((4, 8, 4), float), P(None, None, "data")),
        )


def close(found, wanted, message=""):
    def one(x, y):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), atol=1e-10, err_msg=message)

    jax.tree.map(one, found, wanted)


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    for argument in arguments:
        globals()[what](argument)
        print(what, argument)
