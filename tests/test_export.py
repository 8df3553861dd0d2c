"""Programs that leave without the library, for sizes that are known and for those left open."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from tests.cases import CASES, assert_close, every, normal, params_of, plain
from tests.split import OutputGatedParams
from tests.unsplit import PeepholeParams

pytestmark = pytest.mark.usefixtures("no_rank_promotion")

MODEL = rnn.stack(rnn.LSTM(2, 3), rnn.residual(rnn.learned_carry(rnn.GRU(3, 3))))

# The library's own are known to jax.export; a user's are for the user to name.
for kind in PeepholeParams, OutputGatedParams:
    jax.export.register_namedtuple_serialization(kind, serialized_name=kind.__name__)


@pytest.fixture
def params(key):
    return params_of(MODEL)


LOADED = """
import pathlib, sys
import jax, numpy as np
jax.config.update("jax_enable_x64", True)
folder = pathlib.Path(sys.argv[1])
load = lambda name: jax.export.deserialize((folder / name).read_bytes())
start, step, block = map(load, ("start", "step", "block"))
xs = np.load(folder / "xs.npy")
carry, y = step.call(xs[0], start.call())
carry, ys = block.call(xs[1:], carry)
leaves = jax.tree.leaves(carry)
np.savez(folder / "out.npz", y=y, ys=ys, **{str(i): leaf for i, leaf in enumerate(leaves)})
assert "rnn_jax" not in sys.modules
"""


def test_an_exported_step_and_block_run_without_the_library(params, key, tmp_path):
    xs = np.asarray(normal((6, 4, 2)))
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
    "case", [c for c in CASES if c.name in {"deep", "stack"}], ids=lambda c: c.name
)
def test_an_exported_block_is_unroll(case):
    params, xs = case.params(), case.xs(3, 2)
    xs = xs.astype(jnp.int32) if case.cell.input.kind is jnp.integer else xs
    expected, same = rnn.unroll(case.cell, params, xs)
    start, run = rnn.export(case.cell, params, (2,), block=3)
    carry, ys = run.call(xs, start.call())
    assert_close(ys, same, 1e-12)
    assert_close(carry, plain(expected), 1e-12)
    # The same of a program that learns its sizes, and its lengths, when it is called.
    start, run = rnn.export(case.cell, params, ("b",), block="t", lengths=True)
    carry, ys = run.call(xs, start.call(xs), jnp.full(2, 3, jnp.int32))
    assert_close(ys, same, 1e-12)
    assert_close(carry, plain(expected), 1e-12)
    more = jnp.concatenate([xs, xs])[:, :1]
    carry, ys = run.call(more, start.call(more), jnp.array([3], jnp.int32))
    assert_close(ys[:3], same[:, :1], 1e-12)
    assert not ys[3:].any()


def test_one_exported_step_runs_for_every_batch(params, key):
    b, c = jax.export.symbolic_shape("b, c")  # symbols of jax.export, as well as names
    start, run = rnn.export(MODEL, params, (b, c, 2))
    for lead in (1, 3, 2), (4, 1, 2):
        x = normal((*lead, 2))
        carry, y = run.call(x, start.call(x))
        expected, same = rnn.step(MODEL, params, x)
        assert_close(y, same, 1e-12)
        assert_close(carry, plain(expected), 1e-12)


def open_sizes(case, *lead):
    """What stands for inputs of any length and batch, or of those given."""
    t, b = jax.export.symbolic_shape("t, b")
    t, b = lead or (t, b)
    xs = case.xs(1, 1)
    return jax.ShapeDtypeStruct((t, b, *xs.shape[2:]), xs.dtype), jax.ShapeDtypeStruct((b,), int)


def by_hand(case, method):
    """`unroll` as a user exports it, all arrays handed over, through bytes and back."""
    params = case.params()
    xs, lengths = open_sizes(case)
    (b,) = lengths.shape
    carry = jax.eval_shape(lambda: case.cell.initial_carry(params, (b,)))

    @jax.jit
    def run(params, xs, lengths, carry):
        return rnn.unroll(case.cell, params, xs, carry, lengths=lengths, method=method)

    data = jax.export.export(run)(params, xs, lengths, carry).serialize()
    program = jax.export.deserialize(data)
    arrays = params, case.xs(5, 3), jnp.array([5, 0, 3]), case.carry(params, (3,))
    found, expected = program.call(*arrays), run(*arrays)
    assert_close(found, expected, 1e-12)
    assert jax.tree.structure(found) == jax.tree.structure(expected)


@every("direction")
def test_unroll_is_exported_for_every_batch_and_every_length(case):
    by_hand(case, rnn.BPTT())


@every("loop")
def test_scan_is_exported_for_every_batch_and_every_length(case):
    by_hand(case, rnn.Scan())


@pytest.mark.parametrize("lead", [(), (7, *jax.export.symbolic_shape("b"))], ids=["t, b", "b"])
@every("loop")
def test_the_gradient_is_exported(case, lead):
    params, (xs, lengths) = case.params(), open_sizes(case, *lead)

    @jax.jit
    def loss(params, xs, lengths):
        return jnp.sum(jnp.square(rnn.unroll(case.cell, params, xs, lengths=lengths)[1]))

    arrays = params, case.xs(7, 3), jnp.array([7, 0, 4])
    data = jax.export.export(loss)(params, xs, lengths).serialize(vjp_order=1)
    found = jax.grad(jax.export.deserialize(data).call)(*arrays)
    assert_close(found, jax.grad(loss)(*arrays))


def test_marks_and_noise_are_exported(key):
    inside = rnn.bidirectional(
        rnn.zoneout(rnn.LSTM(2, 2), 0.3), rnn.variational(rnn.GRU(2, 2), 0, 0.3)
    )
    model = rnn.stack(rnn.Dropout(2, 0.5), inside, rnn.VariationalDropout(4, 0.5))
    params = params_of(model)

    @jax.jit
    def run(xs, marks, key):
        return rnn.unroll(model, params, xs, mask=marks, reset=~marks, reverse=True, key=key, t=5)

    t, b = jax.export.symbolic_shape("t, b")
    marks = jax.ShapeDtypeStruct((t, b), bool)
    program = jax.export.export(run)(jax.ShapeDtypeStruct((t, b, 2), jnp.float64), marks, key)
    xs, marks = jnp.ones((6, 3, 2)), jax.random.bernoulli(key, 0.7, (6, 3))
    assert_close(program.call(xs, marks, key), run(xs, marks, key), 1e-12)


def test_a_length_that_is_left_open_has_no_logarithmic_checkpoints(key):
    cell = rnn.GRU(2, 3)
    (t,) = jax.export.symbolic_shape("t")
    run = jax.jit(
        lambda xs: rnn.unroll(cell, cell.init(key), xs, method=rnn.Checkpointed(rnn.BPTT(), "log"))
    )
    with pytest.raises(rnn.ArgumentError, match=r"every='log' needs .*left open, t;"):
        jax.export.export(run)(jax.ShapeDtypeStruct((t, 2), jnp.float32))


def test_every_public_namedtuple_serialises():
    modules = rnn, rnn.analysis, rnn.batching, rnn.tasks
    public = {f"{m.__name__}.{name}": getattr(m, name) for m in modules for name in m.__all__}
    kinds = {name: kind for name, kind in public.items() if hasattr(kind, "_fields")}
    assert {"rnn_jax.LSTMCarry", "rnn_jax.analysis.GradientMap"} <= kinds.keys()
    trees = [kind(*[jnp.ones(())] * len(kind._fields)) for kind in kinds.values()]
    data = jax.export.export(jax.jit(lambda trees: trees))(trees).serialize()
    assert list(map(type, jax.export.deserialize(data).call(trees))) == list(kinds.values())
    assert all(name.encode() in data for name in kinds)


def test_what_has_no_single_step_or_draws_noise_is_not_exported():
    both = rnn.bidirectional(rnn.GRU(2, 3), rnn.GRU(2, 3))
    params = both.init(jax.random.key(0))
    with pytest.raises(rnn.StructureError, match="has no single step"):
        rnn.export(both, params)
    with pytest.raises(rnn.ArgumentError, match=r"Dropout.*deterministic\(\)"):
        rnn.export(rnn.stack(both, rnn.Dropout(6, 0.5)), (params, ()), block=4)


def test_one_platform_may_come_without_a_tuple(params):
    assert rnn.export(MODEL, params, platforms="cpu").run.platforms == ("cpu",)
    both = rnn.export(MODEL, params, platforms=["cpu", "cuda"])
    assert both.start.platforms == both.run.platforms == ("cpu", "cuda")


SIZE = "a positive integer, or a name such as 'b' for a size that is left open, got "
MISTAKES = {
    "no block": ({"block": -1}, f"block must be {SIZE}-1"),
    "no name": ({"block": "two words"}, f"block must be {SIZE}'two words'"),
    "a number as a name": ({"block": "3"}, f"block must be {SIZE}'3'"),
    "no tuple": ({"batch_shape": 2}, r"batch_shape must be a tuple .* such as \(2,\), got 2"),
    "a name alone": ({"batch_shape": "b"}, r"such as \('b',\), got 'b'"),
    "no axis": ({"batch_shape": (1.5,)}, r"batch_shape\[0\] must be an integer of 0 or more"),
    "lengths of a step": ({"lengths": True}, "lengths are those of a block.*block is None"),
    "lengths themselves": ({"lengths": [3]}, r"lengths must be True or False, got \[3\]"),
    "platform": ({"platforms": "gpu"}, "platforms must be of 'cpu', 'cuda', .*, got 'gpu'"),
    "no platform": ({"platforms": ()}, "platforms is empty"),
}


@pytest.mark.parametrize(("settings", "message"), MISTAKES.values(), ids=MISTAKES)
def test_settings_that_cannot_be_exported_are_named(params, settings, message):
    with pytest.raises(rnn.ArgumentError, match=message):
        rnn.export(MODEL, params, **settings)


def test_traced_params_and_those_of_another_layer_are_refused(params):
    with pytest.raises(rnn.ArgumentError, match=r"params\[0\].w_xh is traced.*call export outside"):
        jax.jit(lambda params: rnn.export(MODEL, params))(params)
    with pytest.raises(rnn.StructureError, match="expected params of the form"):
        rnn.export(MODEL, params[0])
    with pytest.raises(rnn.StructureError, match="first argument must be a Layer, got"):
        rnn.export(params, MODEL)


def test_the_extra_is_named_where_it_is_missing(params, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax._src.export.serialization", None)
    with pytest.raises(ImportError, match=r'pip install "scan-rnn\[export\]"'):
        rnn.export(MODEL, params).run.serialize()
