"""Streams in blocks, and programs that leave without the library."""

import itertools
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from rnn_jax import streaming
from tests.cases import CASES, assert_close, plain

MODEL = rnn.stack(rnn.LSTM(2, 3), rnn.residual(rnn.learned_carry(rnn.GRU(3, 3))))


@pytest.fixture
def params(key):
    return jax.tree.map(lambda p: p + 0.1, MODEL.init(key, jnp.float64))


def test_a_stream_in_blocks_is_one_run(params, key):
    xs = jax.random.normal(key, (10, 2, 2), jnp.float64)
    carry, ys = rnn.unroll(MODEL, params, xs)
    *blocks, (last, rest) = rnn.stream(MODEL, params, iter(xs), block=4)
    assert [len(out) for _, out in blocks] == [4, 4]
    assert len(rest) == 2
    assert_close(jnp.concatenate([*(out for _, out in blocks), rest]), ys, 1e-12)
    assert_close(last, carry, 1e-12)


def test_an_endless_stream_is_read_a_block_at_a_time_and_compiled_once(params):
    read = itertools.count()
    outputs = rnn.stream(
        MODEL, params, (jnp.full(2, float(next(read))) for _ in iter(int, 1)), block=3
    )
    before = streaming._unroll._cache_size()
    carries = [next(outputs)[0] for _ in range(4)]
    assert next(read) == 12
    assert streaming._unroll._cache_size() == before + 1
    assert not np.allclose(carries[0][0].h, carries[1][0].h)


def test_a_stream_that_ends_between_blocks_has_no_rest(params):
    assert len(list(rnn.stream(MODEL, params, jnp.ones((6, 2), jnp.float64), block=3))) == 2
    assert not list(rnn.stream(MODEL, params, [], block=3))


def test_a_block_is_a_size_at_once_and_not_at_the_first_step(params):
    with pytest.raises(rnn.ArgumentError, match="block must be a positive integer, got 0"):
        rnn.stream(MODEL, params, [], block=0)
    with pytest.raises(rnn.ArgumentError, match="block must be a positive integer, got -1"):
        rnn.export(MODEL, params, block=-1)


LOADED = """
import pathlib, sys
import jax, numpy as np
jax.config.update("jax_enable_x64", True)
folder = pathlib.Path(sys.argv[1])
load = lambda name: jax.export.deserialize((folder / name).read_bytes())
start, step, block = map(load, ("start", "step", "block"))
xs = np.load(folder / "xs.npy")
carry, y = step.call(start.call(), xs[0])
carry, ys = block.call(carry, xs[1:])
leaves = jax.tree.leaves(carry)
np.savez(folder / "out.npz", y=y, ys=ys, **{str(i): leaf for i, leaf in enumerate(leaves)})
assert "rnn_jax" not in sys.modules
"""


def test_a_step_and_a_block_leave_for_a_process_without_the_library(params, key, tmp_path):
    xs = np.asarray(jax.random.normal(key, (6, 4, 2), jnp.float64))
    start, step = rnn.export(MODEL, params, (4,))
    _, block = rnn.export(MODEL, params, (4,), block=5)
    for name, program in {"start": start, "step": step, "block": block}.items():
        (tmp_path / name).write_bytes(program.serialize())
    np.save(tmp_path / "xs.npy", xs)
    command = [sys.executable, "-I", "-c", LOADED, tmp_path]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    out = np.load(tmp_path / "out.npz")
    carry, ys = rnn.unroll(MODEL, params, xs)
    np.testing.assert_allclose(np.concatenate([out["y"][None], out["ys"]]), ys, rtol=1e-12)
    # A dictionary's leaves come in the order of its names.
    for i, leaf in enumerate(jax.tree.leaves(plain(carry))):
        np.testing.assert_allclose(out[str(i)], leaf, rtol=1e-12)


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.name in {"lstm", "deep", "stack"}], ids=lambda c: c.name
)
def test_an_exported_block_is_unroll(case):
    params, xs = case.params(), case.xs(3, 2)
    xs = xs.astype(jnp.int32) if case.cell.input.kind is jnp.integer else xs
    start, run = rnn.export(case.cell, params, (2,), block=3)
    carry, ys = run.call(start.call(), xs)
    expected, same = rnn.unroll(case.cell, params, xs)
    assert_close(ys, same, 1e-12)
    assert_close(carry, plain(expected), 1e-12)


def test_what_has_no_single_step_or_draws_noise_is_not_exported():
    both = rnn.bidirectional(rnn.GRU(2, 3), rnn.GRU(2, 3))
    params = both.init(jax.random.key(0))
    with pytest.raises(rnn.StructureError, match="has no single step"):
        rnn.export(both, params)
    with pytest.raises(rnn.ArgumentError, match=r"Dropout.*deterministic\(\)"):
        rnn.export(rnn.stack(both, rnn.Dropout(6, 0.5)), (params, ()), block=4)
