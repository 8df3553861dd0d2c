"""The suite measures what it says it measures. Nothing here depends on how long anything takes."""

import itertools
import json
import re
import shlex
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from benchmarks import __main__ as suite
from benchmarks import compare, measure, on_gpu, plots
from benchmarks.competitors import COMPETITORS, FLOOR, OURS, PARALLEL, SIDE_BY_SIDE, cudnn, floor
from benchmarks.competitors.absent import Absent, needed
from benchmarks.competitors.ours import cell_and_params
from benchmarks.grids import GRIDS
from benchmarks.headline import headlines
from benchmarks.programs import inputs
from benchmarks.scaling import fit, fits
from benchmarks.shapes import FORWARD, GATES, KINDS, LINEAR, PEERS, TRAINING, Shape
from benchmarks.tables import markdown
from benchmarks.timing import Budget
from benchmarks.variants import PLAIN, VARIANTS
from tests import hlo

ROOT = Path(__file__).parent.parent
BRIEF = Budget(seconds=0, least=2, most=2, sample=0)


@pytest.fixture(autouse=True)
def defaults_of_a_user():
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield


def built(name, shape, kind, variant=PLAIN):
    try:
        return COMPETITORS[name](shape, kind, VARIANTS[variant])
    except Absent as reason:
        pytest.skip(f"{name}: {reason}")


@pytest.mark.parametrize("name", PARALLEL)
@pytest.mark.parametrize(
    "cell", ["min_gru", *(pytest.param(c, marks=pytest.mark.slow) for c in LINEAR[1:])]
)
def test_every_parallel_method_computes_what_the_default_does(name, cell):
    shape = Shape(cell, steps=5, batch=2, hidden=4)
    for kind in (FORWARD, TRAINING):
        for a, b in zip(
            jax.tree.leaves(built(name, shape, kind)()),
            jax.tree.leaves(built(OURS, shape, kind)()),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in COMPETITORS if name not in PARALLEL])
def test_every_competitor_computes_outputs_and_a_gradient_by_every_weight(name):
    shape = Shape("lstm", steps=3, batch=2, hidden=5)
    ys = built(name, shape, FORWARD)()
    assert ys.shape == (3, 2, 5)
    value, gradient = built(name, shape, TRAINING)()
    assert np.isfinite(float(value))
    leaves = [np.asarray(g) for g in jax.tree.leaves(gradient)]
    assert all(np.isfinite(g).all() and g.any() for g in leaves)
    matrices = 4 * (5 * 5 + 5 * 5)
    # One bias a gate, or two; the floor has none.
    assert sum(g.size for g in leaves) - matrices in ([0] if name == FLOOR else [20, 40])


@pytest.mark.parametrize("cell", GATES)
def test_the_scan_by_hand_is_the_same_network(cell):
    shape = Shape(cell, steps=4, batch=2, hidden=3)
    for a, b in zip(
        jax.tree.leaves(built("scan by hand", shape, TRAINING)()),
        jax.tree.leaves(built(OURS, shape, TRAINING)()),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("cell", GATES)
def test_the_floor_is_the_matmuls_and_all_of_them(cell):
    steps, batch, hidden, gates = 20, 3, 8, GATES[cell]
    shape, width = Shape(cell, steps, batch, hidden), gates * hidden
    _, params = cell_and_params(shape)
    arguments = floor.Weights(params.w_xh, params.w_hh), inputs(shape, jnp.float32)

    forward = {(steps * batch, width): 1, (batch, width): steps}
    assert hlo.matmuls(hlo.compiled(floor.forward, *arguments)) == forward
    backward = hlo.Counter({(batch, hidden): steps, (hidden, width): 2})
    program = hlo.compiled(floor.training_step, *arguments)
    assert hlo.matmuls(program) == hlo.Counter(forward) + backward
    assert program.cost_analysis().get("transcendentals", 0) == 0

    hs = floor.forward(*arguments)
    assert jnp.allclose(*(jnp.linalg.norm(hs[t], axis=-1) for t in (0, -1)), rtol=1e-4)


def test_each_head_is_a_network_of_its_own():
    shape = Shape("gru", steps=3, batch=2, hidden=4, heads=3)
    ys = built(OURS, shape, FORWARD)()
    cell, params = cell_and_params(shape)
    xs = inputs(shape, jnp.float32)
    for head in range(3):
        _, alone = rnn.unroll(cell, params, xs[:, :, head])
        np.testing.assert_allclose(ys[:, :, head], alone, rtol=1e-5, atol=1e-6)
    assert "3x4" in str(shape)


@pytest.mark.parametrize("kind", KINDS)
def test_a_variant_computes_the_same(kind):
    shape = Shape("elman", steps=3, batch=2, hidden=4)
    plain = jax.tree.leaves(built(OURS, shape, kind)())
    split = built(OURS, shape, kind, "a device a core")
    for a, b in zip(plain, jax.tree.leaves(split()), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    small = jax.tree.leaves(built(OURS, shape, kind, "bfloat16")())
    assert all(leaf.dtype == jnp.bfloat16 for leaf in small)
    np.testing.assert_allclose(plain[0], np.float32(small[0]), atol=0.02)
    donated = built(OURS, shape, kind, "donated")
    first, second = (jax.tree.map(np.array, donated()) for _ in range(2))
    if kind == TRAINING:  # the loss went down, for the params have moved
        assert second[0] < first[0]
    else:  # the outputs went in
        cell, params = cell_and_params(shape)
        np.testing.assert_allclose(second, rnn.unroll(cell, params, first)[1], rtol=1e-5)


def test_an_absent_competitor_and_a_shape_left_out_say_why(monkeypatch):
    with pytest.raises(Absent, match="not installed: pip install a-name"):
        needed("no_such_module_of_anyone", "a-name")
    shape = Shape("elman", steps=3, batch=2, hidden=4)
    monkeypatch.setattr(measure, "free_bytes", lambda: 100)
    found = measure.measure(shape, TRAINING, measure.Plan([OURS], budget=BRIEF))
    assert found.rows == []
    assert re.match(r"needs 0.0 GB, 0.0 are free", found.absent[0]["reason"])


def test_a_shape_that_takes_too_long_is_left_out():
    shape = Shape("elman", steps=3, batch=2, hidden=4)
    asked = []
    plan = measure.Plan([OURS, FLOOR], limit=0.0)
    found = measure.measure(shape, FORWARD, plan, asked.append)
    assert asked == [FLOOR]  # the first to say so
    assert found.rows == []
    assert "more than the limit" in found.absent[0]["reason"]


def test_a_budget_is_kept_between_its_bounds():
    budget = Budget(seconds=4, least=5, most=31, sample=0.002)
    assert budget.repetitions({"a": 1e-6, "b": 1e-3}) == 31
    assert budget.repetitions({"a": 0.3, "b": 0.1}) == 20
    assert budget.repetitions({"a": 60.0}) == 5
    assert budget.calls({"a": 0.0005, "b": 1.0}) == {"a": 4, "b": 1}


def test_a_line_through_times_by_length_is_recovered():
    steps = np.array([64, 256, 1024, 4096])
    found = fit(steps, 0.2 + 0.003 * steps)
    np.testing.assert_allclose(found, (0.2, 0.003, 0), atol=1e-9)
    # Two measurements of one length, 10% above and below its line: 1/1.1 and 1/0.9 on average.
    found = fit(np.array([10, 10, 20, 20]), np.array([1.1, 0.9, 2.2, 1.8]))
    weight = (1 / 1.1 + 1 / 0.9) / (1 / 1.1**2 + 1 / 0.9**2)
    np.testing.assert_allclose(found[:2], (0, 0.1 * weight), atol=1e-9)
    assert 0.09 < found.residual < 0.11


def row(competitor=OURS, steps=64, cell="gru", ms=(0.9, 1.0, 1.1), ratio=1.0, **others):
    return {
        **Shape(cell, steps, 1, 32)._asdict(),
        "kind": TRAINING,
        "variant": PLAIN,
        "competitor": competitor,
        "milliseconds": ms,
        "ratio": (ratio, ratio, ratio),
        "ratio to plain": None,
        "repetitions": 5,
        "compilation": 0.5,
        "temporaries": 1000,
        "peak": 2000,
        **others,
    }


def test_the_headline_is_the_geometric_mean_and_the_worst_case():
    rows = [row(), row(steps=128), row(FLOOR, ratio=0.5, ms=(0.5, 0.5, 0.5))]
    rows += [row("torch", ratio=4.0, ms=(4, 4, 4)), row("torch", ratio=0.25, steps=128)]
    ours, found, torch = headlines(rows)
    assert (ours.competitor, ours.every, ours.over_floor) == (OURS, 1, 2)
    assert (found.competitor, found.every) == (FLOOR, 0.5)
    assert torch.every == pytest.approx(1)
    assert torch.worst["steps"] == 128
    assert torch.over_floor == pytest.approx(8)


def test_a_change_is_one_that_is_beyond_the_noise():
    def result(**times):
        rows = [row(name, ms=ms) for name, ms in times.items()]
        return {"grid": "peers", "machine": {"threads": 2}, "rows": rows}

    old = result(a=(0.9, 1, 1.1), b=(0.9, 1, 1.1), c=(0.99, 1, 1.01), d=(0.9, 1, 1.1), e=(1, 1, 1))
    new = result(a=(1.4, 1.5, 1.6), b=(0.8, 1.2, 1.3), c=(1.03, 1.04, 1.05), d=(0.4, 0.5, 0.6))
    found = compare.compare(old, new)
    assert [change.key[-1] for change in found.changes] == ["a", "b", "c", "d"]
    assert [change.beyond for change in found.changes] == [True, False, False, True]
    assert found.alone == 1
    text = compare.markdown(found)
    assert "4 rows compared: 1 slower, 1 faster, 2 within the noise. 1 rows had no partner." in text
    assert "| gru T=64 B=1 H=32 | training step | a, plain | 1.50 | slower |" in text
    assert "Not the same machine" not in text
    assert "floor" not in text
    moved = [{"grid": "", "machine": {}, "rows": [row(FLOOR, ms=(t, t, t))]} for t in (2, 3)]
    assert "none of our code: 1.500" in compare.markdown(compare.compare(*moved))
    other = compare.compare(old, {**new, "machine": {"threads": 16}})
    assert "threads 2, now 16" in compare.markdown(other)
    with pytest.raises(SystemExit, match="no result of this suite"):
        compare.compare({"rows": []}, new)


def test_each_grid_has_the_shapes_that_its_name_says():
    assert all(grid.shapes and grid.quick for grid in GRIDS.values())
    sizes = {(shape.batch, shape.hidden) for shape in PEERS}
    assert {(1, 32), (64, 512)} <= sizes
    assert all(sum(shape.cell == cell for shape in PEERS) >= 11 for cell in GATES)
    assert set(SIDE_BY_SIDE) <= set(COMPETITORS)
    assert {s.heads * s.hidden for s in GRIDS["named"].shapes if s.steps == 1024} == {768}
    assert {s.steps for s in GRIDS["scaling"].shapes} == {4**n for n in range(3, 9)}


TWO = [OURS, "rnn_jax Scan"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The command, run as a user does, and again to compare; results by grid, and the folder."""
    folder = tmp_path_factory.mktemp("results")
    small = "--quick --cells elman --sizes 1x32 --steps 64 256 --seconds 0 --output"
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        methods = ["--competitors", *TWO]
        suite.main(["scaling", *small.split(), str(folder), *methods])
        chosen = [
            "--competitors",
            OURS,
            "equinox",
            FLOOR,
            "--compare",
            str(folder / "scaling.json"),
        ]
        suite.main(["peers", *small.split(), str(folder), *chosen])
    found = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    return found, folder


def test_a_run_leaves_numbers_a_table_and_pictures(results):
    found, folder = results
    assert set(found) == {"peers", "scaling"}
    for word, result in found.items():
        assert (folder / f"{word}.md").read_text() == markdown(result)
        assert result["machine"]["threads"] >= 1
        assert result["machine"]["jax"] == jax.__version__
        assert result["machine"]["commit"]
    names = {path.name for path in folder.glob("*.png")}
    assert names == {
        "peers-training-step-ratios.png",
        "scaling-training-step-time.png",
        "scaling-training-step-memory.png",
    }


def test_every_row_has_what_was_measured(results):
    found, _ = results
    rows = found["scaling"]["rows"]
    assert [r["competitor"] for r in rows] == TWO * 2
    for r in rows:
        low, middle, high = r["milliseconds"]
        assert 0 < low <= middle <= high
        assert r["peak"] > r["temporaries"] > 0 < r["compilation"]
        assert r["repetitions"] >= 3
    lines = fits(rows)
    assert len(lines) == len(TWO)
    assert all(line.residual < 1e-9 for line in lines.values())  # two points make a line


def test_an_absent_competitor_is_named_and_the_others_are_compared(results):
    _, folder = results
    text = (folder / "peers.md").read_text()
    assert re.search(r"^- equinox: .+ \(elman T=64 B=1 H=32\)\.$", text, re.MULTILINE)
    assert "1 rows compared" in (folder / "peers-changes.md").read_text()


def test_a_variant_is_shown_beside_the_plain_run():
    rows = [row(), row(variant="donated", **{"ratio to plain": (0.4, 0.5, 0.6)})]
    result = {"grid": "peers", "machine": {"device": "cpu"}, "rows": rows, "absent": []}
    text = markdown(result)
    assert "## Training step, donated" in text
    assert "| rnn_jax | 0.50 | 1 |" in text


def test_pictures_say_what_they_show(results):
    from matplotlib.figure import Figure

    found, _ = results
    figure = Figure(layout="constrained")
    plots.time_against_steps(figure, found["scaling"]["rows"], TRAINING, "a machine")
    (legend,) = figure.legends
    assert "Training step: time" in legend.get_title().get_text()
    assert len(legend.get_texts()) == len(TWO)
    assert figure.axes[0].get_xlabel() == "steps T"
    figure = Figure(layout="constrained")
    plots.ratios(figure, found["peers"]["rows"], TRAINING, "a machine")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["floor: the matmuls alone"]
    assert "slower than rnn_jax" in axes.get_xlabel()


def commands():
    """Of all documents, those of this command line."""
    pages = ["benchmarks/README.md", "*.md", "docs/**/*.md"]
    text = "\n".join(p.read_text() for pattern in pages for p in sorted(ROOT.glob(pattern)))
    lines = itertools.chain(*(b.splitlines() for b in re.findall(r"```sh\n(.*?)```", text, re.S)))
    prefix = "python -m benchmarks "
    return [line.partition("#")[0].strip() for line in lines if line.startswith(prefix)]


@pytest.mark.parametrize("command", commands())
def test_the_commands_of_the_documents_exist(command):
    suite._options(shlex.split(command)[3:])


def test_what_no_time_is_left_for_is_named(tmp_path):
    small = "scaling --quick --cells elman --sizes 1x32 --steps 64 --competitors rnn_jax"
    suite.main([*small.split(), "--minutes", "0", "--output", str(tmp_path)])
    result = json.loads((tmp_path / "scaling.json").read_text())
    assert result["rows"] == []
    assert [row["reason"] for row in result["absent"]] == ["there was no time left"]


def test_the_lstm_of_cudnn_is_our_network(monkeypatch):
    """With JAX's own reference in place of the call, which not even traces without a GPU."""
    from jax.experimental import rnn as of_jax

    def reference(xs, h, c, weights, lengths, inputs, hidden, layers, dropout, bidirectional):
        unpacked = of_jax.unpack_lstm_weights(weights, inputs, hidden, layers, bidirectional)
        sizes = inputs, hidden, layers, dropout, bidirectional
        return of_jax.lstm_ref(xs, h, c, *unpacked, lengths, *sizes)

    monkeypatch.setattr(of_jax, "lstm", reference)
    shape = Shape("lstm", steps=4, batch=2, hidden=3)
    with pytest.raises(Absent, match="runs on a GPU"):
        COMPETITORS["cudnn"](shape, TRAINING, VARIANTS[PLAIN])
    (cell, params), xs = cell_and_params(shape), inputs(shape, jnp.float32)
    network = cudnn.network(shape)

    _, ours = rnn.unroll(cell, params, xs)
    np.testing.assert_allclose(network.forward(network.params, xs), ours, atol=1e-6)


@pytest.mark.slow
def test_the_program_for_a_gpu_compares_and_times(tmp_path):
    on_gpu.main(["--smoke", "--output", str(tmp_path)])
    rows = json.loads((tmp_path / "agreement.json").read_text())["rows"]
    assert {row["dtype"] for row in rows} == set(on_gpu.BOUNDS)
    compared = [row["method"] for row in rows if row["error"] is not None]
    assert set(compared) == set(on_gpu.METHODS) - {"Fused"}
    (reason,) = {row["refused"] for row in rows if row["method"] == "Fused"}
    assert "no kernel for the platform" in reason
    assert (tmp_path / "scaling.md").exists()
    assert "| float32 | lru | Associative |" in (tmp_path / "agreement.md").read_text()


def test_a_method_with_other_numbers_is_found(monkeypatch, tmp_path):
    def of_half(cell, params, xs, carry):
        return rnn.Scan()(cell, params, jax.tree.map(lambda x: x / 2, xs), carry)

    monkeypatch.setattr(on_gpu, "METHODS", {"half": of_half})
    monkeypatch.setattr(on_gpu, "BOUNDS", {"float32": 1e-4})
    monkeypatch.setattr(on_gpu.suite, "main", lambda words: None)
    with pytest.raises(SystemExit, match=r"agreement\.md"):
        on_gpu.main(["--smoke", "--output", str(tmp_path)])
    assert "| **no** |" in (tmp_path / "agreement.md").read_text()


def test_a_compiler_that_fails_ends_nothing(monkeypatch, tmp_path):
    def fails(cell, params, xs, carry):
        raise NotImplementedError("no lowering\nof this")

    monkeypatch.setattr(on_gpu, "METHODS", {"new": fails, "Scan": rnn.Scan()})
    monkeypatch.setattr(on_gpu, "BOUNDS", {"float32": 1e-4})
    monkeypatch.setattr(on_gpu.suite, "main", lambda words: None)
    with pytest.raises(SystemExit, match=r"agreement\.md"):
        on_gpu.main(["--smoke", "--output", str(tmp_path)])
    first, second = json.loads((tmp_path / "agreement.json").read_text())["rows"]
    assert first["refused"] == "NotImplementedError: no lowering"
    assert not first["agrees"]
    assert second["agrees"]


def test_what_is_run_on_a_gpu_is_of_the_command_line():
    for _, words in on_gpu.TIMED:
        options = suite._options(words)
        assert suite._shapes(GRIDS[options.grids[0]], options)
        assert {"cudnn", OURS} <= set(options.competitors)


def test_a_grid_that_is_not_there_is_refused(capsys):
    with pytest.raises(SystemExit):
        suite._options(["peer"])
    assert "choose from peers, scaling" in capsys.readouterr().err
