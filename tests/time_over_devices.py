"""What tests/test_sharding.py runs on eight devices, each with a part of time, in a process."""

import math
import sys

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import rnn_jax as rnn
from tests.cases import CASES, VOCABULARY
from tests.compilation import AS_USERS_HAVE_IT
from tests.four_devices import close, collectives, gradient

jax.config.update("jax_enable_x64", True)

SIZES, NAMES = (4, 2), ("time", "data")
AUTO = jax.make_mesh(SIZES, NAMES, axis_types=(AxisType.Auto,) * 2)
EXPLICIT = jax.make_mesh(SIZES, NAMES)  # JAX's default
EVERYWHERE = jax.make_mesh((8,), ("time",))
OVER_BOTH, OVER_TIME = P("time", "data"), P("time")
IN_CHUNKS = rnn.Associative()
STEPS, BATCH = 24, 4


def put(mesh, spec, tree):
    return jax.device_put(tree, NamedSharding(mesh, spec))


def explicit(f, arguments, mesh=EXPLICIT, spec=OVER_BOTH):
    """The types of the arrays say how they are split; marks and params are whole at first."""
    params, xs, marks = arguments
    return jax.jit(f), (put(mesh, P(), params), put(mesh, spec, xs), put(mesh, P(), marks))


def in_shardings(f, arguments):
    """An Auto mesh that only `jax.jit` is told of."""
    specs = (P(), OVER_BOTH, P())
    where = tuple(NamedSharding(AUTO, spec) for spec in specs)
    return jax.jit(f, in_shardings=where), arguments


WAYS = {
    explicit: (IN_CHUNKS, rnn.Automatic(), rnn.Associative(chunks=8)),
    in_shardings: (rnn.Associative(devices=4),),
}


def all_marks():
    return {
        "lengths": jnp.array([STEPS, 9, 0, 17]),
        "mask": jax.random.bernoulli(jax.random.key(5), 0.8, (STEPS, BATCH)),
        "reset": jax.random.bernoulli(jax.random.key(6), 0.2, (STEPS, BATCH)),
    }


def travels():
    """What each chunk makes of a carry, one step to the next device, and what is said of weights.

    Nothing is gathered that is as long as the sequence, and no device has room for all of it.
    """
    cell, steps, batch = rnn.MinGRU(3, 5), 4096, 2
    arguments = cell.init(jax.random.key(0), jnp.float64), jnp.ones((steps, batch, 3)), {}
    alone = jax.jit(gradient(cell, IN_CHUNKS)).lower(*arguments).compile(AS_USERS_HAVE_IT)
    f, split = explicit(gradient(cell, IN_CHUNKS), arguments, EVERYWHERE, OVER_TIME)
    program = f.lower(*split).compile(AS_USERS_HAVE_IT)

    chunks = 8 * 16  # the largest divisor of 512 steps that is at most their root
    allowed = {
        "all-gather": {(batch, 5, chunks)},
        "collective-permute": {(batch, 5)},
        "all-reduce": {(*sorted(p.shape),) for p in jax.tree.leaves(arguments[0])},
    }
    moved = collectives(program)
    assert {kind for kind, *_ in moved} == set(allowed), moved
    assert all(shapes <= allowed[kind] for kind, shapes, _ in moved), moved
    sizes = [p.memory_analysis().temp_size_in_bytes for p in (program, alone)]
    assert sizes[0] < sizes[1] / 4, sizes
    close(program(*split), alone(*arguments))


def everything():
    """Layers of every mechanism in one program, and derivatives of other modes."""
    cell = rnn.stack(
        rnn.Embedding(VOCABULARY, 4),
        rnn.Dropout(4, 0.4),
        rnn.bidirectional(rnn.learned_carry(rnn.LRU(4, 3)), rnn.MinLSTM(4, 2)),
        rnn.zoneout(rnn.RGLRU(6, 2), 0.3),
        rnn.Dense(6, 2),
    )
    params = cell.init(jax.random.key(0), jnp.float64)
    xs = jax.random.randint(jax.random.key(1), (STEPS, BATCH), 0, VOCABULARY)
    compare(cell, params, xs, all_marks(), jax.random.key(2))

    cell = rnn.LRU(2, 3)
    params, xs = cell.init(jax.random.key(0), jnp.float64), jnp.ones((STEPS, BATCH, 2))

    def curved(params, xs, marks, method=IN_CHUNKS):
        along = lambda params: gradient(cell, method)(params, xs, marks)  # noqa: E731
        return jax.jvp(along, (params,), (params,))

    f, split = explicit(curved, (params, xs, all_marks()))
    close(f(*split), curved(params, xs, all_marks(), rnn.Scan()))
    refused(split)


def refused(split):
    """Who takes one step after the other, and who reads time in one piece."""
    _, xs, _ = split
    gru = rnn.GRU(2, 3)
    params = gru.init(jax.random.key(0), jnp.float64)
    for method in (rnn.BPTT(), rnn.Scan(), rnn.Newton()):
        with pytest.raises(rnn.ArgumentError, match="split over 4 devices along time, and "):
            rnn.unroll(gru, params, xs, method=method)
    for method in (IN_CHUNKS, rnn.Automatic()):
        with pytest.raises(rnn.StructureError, match="is not linear in its carry"):
            rnn.unroll(gru, params, xs, method=method)
    several = rnn.heads(rnn.LRU(2, 3), 2)
    with pytest.raises(rnn.ArgumentError, match="along time, and heads are run side by side"):
        rnn.unroll(several, several.init(jax.random.key(0), jnp.float64), xs, method=IN_CHUNKS)
    with pytest.raises(rnn.ArgumentError, match="split over 4 devices along time"):
        rnn.analysis.lyapunov_spectrum(gru, params, xs)
    with pytest.raises(rnn.ShapeError, match="only time and batch axes may be"):
        rnn.unroll(gru, params, put(EXPLICIT, P(None, None, "data"), xs))


def table():
    """Every row whose steps can be joined, with marks and without."""
    found = 0
    for case in CASES:
        params, xs, key = case.params(), case.xs(STEPS, BATCH), jax.random.key(2)
        f = gradient(case.cell, rnn.Associative(), key)
        try:
            jax.eval_shape(f, params, xs, {})
        except rnn.StructureError:  # its steps cannot be joined
            continue
        found += 1
        for marks in ({}, all_marks()):
            compare(case.cell, params, xs, marks, key, {explicit: (IN_CHUNKS,)})
        jax.clear_caches()
    assert found >= 8, found


def compare(cell, params, xs, marks, key, ways=WAYS):
    wanted = jax.jit(gradient(cell, rnn.BPTT(), key))(params, xs, marks)
    for way, methods in ways.items():
        for method in methods:
            f, arguments = way(gradient(cell, method, key), (params, xs, marks))
            close(f(*arguments), wanted, f"{cell} {way.__name__} {method}")


if __name__ == "__main__":
    assert math.prod(SIZES) == jax.device_count()
    for what in sys.argv[1:]:
        globals()[what]()
        print(what)
