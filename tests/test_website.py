"""What the site is made of, without building it: `make docs` does that."""

import importlib
import inspect
import json
import re
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace

import pytest

import rnn_jax
from website import api, cells, equations, gallery, speed, tree
from website.names import by_text, definition, public_names

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
CELLS = [public for public in public_names() if cells.is_cell(public)]


def names_in(module, path="rnn_jax"):
    """By `__all__` alone."""
    for name in module.__all__:
        yield f"{path}.{name}"
        value = getattr(module, name)
        if inspect.ismodule(value) and hasattr(value, "__all__"):
            yield from names_in(value, f"{path}.{name}")


def test_every_public_name_is_described_once():
    directives = Counter(
        name
        for text in api.pages().values()
        for name in re.findall(r"^\.\. (?:auto\w+|py:data):: (\S+)$", text, re.MULTILINE)
    )
    assert directives == Counter(names_in(rnn_jax))


def test_a_name_is_found_where_it_is_defined():
    assert definition("rnn_jax", "LSTM")[0] == "rnn_jax.cells.lstm"
    home, _, note = definition("rnn_jax", "Carry")  # through two imports
    assert home == "rnn_jax.recurrence.recurrence"
    assert "what one step hands to the next" in note
    assert definition("rnn_jax.interop.linen", "RNN")[0] == "rnn_jax.interop.linen_rnn"
    with pytest.raises(LookupError, match="no statement that makes it"):
        definition("rnn_jax.unroll", "roll")


def test_what_stands_in_backticks_means_one_name():
    texts = by_text()
    assert texts["LSTM"] == texts["rnn.LSTM"] == texts["rnn_jax.LSTM"] == "rnn_jax.LSTM"
    assert texts["gradient_map"] == "rnn_jax.analysis.gradient_map"  # and not that of the plots
    assert "read" not in texts  # every library of interop has one
    assert "h" not in texts


def test_the_page_of_a_cell_has_its_arrays_and_its_names_elsewhere():
    page = api.pages()["api/cells/lstm"]
    assert "LSTM(input_size=64, hidden_size=32" in page
    assert f"{4 * (64 * 32 + 32 * 32 + 32):,} numbers to learn" in page
    assert "input gate, forget gate, candidate, output gate." in page
    rows = re.findall(
        r"\* - (\w[\w ]*)\n +- (.*)\n +- (.*)", "\n".join(cells.elsewhere(rnn_jax.LSTM))
    )
    assert ("Haiku", "LSTM", "i g f o") in rows
    assert ("PyTorch", "LSTM", "i f g o") in rows
    assert cells.elsewhere(rnn_jax.LRU) == []


def test_an_equation_is_set_as_it_is_written():
    def of(code, *names):
        return equations.latex(code, names)

    assert of("h_t = (1 - z) n + z h_{t-1}") == r"h_{t} = (1 - z)\,n + z\,h_{t - 1}"
    assert of("z = x_t @ w_xh + b_h") == r"z = x_{t}\,w_{\mathrm{xh}} + b_{h}"
    assert of("h = f / (f + i) c") == r"h = \frac{f}{f + i}\,c"
    assert of("a = sqrt(1 - |lambda|^2)") == r"a = \sqrt{1 - |\lambda|^{2}}"
    assert of("i, f = exp(-g), r (h * gain)", "gain") == (
        r"i,\; f = \mathrm{exp}(-g),\; r\,(h\odot \mathrm{gain})"
    )


@pytest.mark.parametrize(
    "code",
    [
        "y_t = sum over states of c",
        "a = b.c",
        "a = (b",
        "a",
        "a = ",
        "= b",
        "a = b]",
        "a = |b",
        "a = b /",
    ],
)
def test_what_is_no_equation_stays_code(code):
    assert equations.latex(code, ()) is None


def test_all_equations_of_cells_are_set_but_one_that_has_words_in_it():
    lines = [line for public in CELLS for line in "".join(cells.typeset(public.value)).split("| ")]
    assert [line for line in lines if line.startswith("``")] == [
        "``y_t = sum over states of c h_t + d x_t``"
    ]
    assert sum(line.startswith(":math:") for line in lines) > 2 * len(CELLS)
    assert all(cells.typeset(public.value) for public in CELLS)


def test_the_speed_of_a_cell_is_what_was_measured():
    text = "\n".join(speed.speed(rnn_jax.LSTM))
    table = (ROOT / "benchmarks/results/cpu/peers.md").read_text("utf-8")
    (row,) = (line for line in table.split("## Forward")[0].splitlines() if "| keras |" in line[:9])
    assert f"* - keras\n     - {row.split(' | ')[3]}" in text  # of the LSTM, over all shapes
    assert "2 threads of an AMD EPYC" in text
    assert speed.speed(rnn_jax.MGU) == []


def test_the_gradient_of_a_cell_is_drawn_once(monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    from website import gradients

    drawn = []
    monkeypatch.setattr(gradients, "KEPT", tmp_path)
    monkeypatch.setattr(gradients, "draw", lambda *cells: drawn.append(cells) or b"a picture")
    pages = "".join(api.pages().values())
    for _ in range(2):
        pictures = cells.pictures()
        assert set(pictures.values()) == {b"a picture"}
        assert set(re.findall(r"image:: /(gradients/.*)", pages)) == pictures.keys()
    assert len(drawn) == len(pictures) == len(CELLS)


@pytest.mark.slow
def test_a_gradient_is_drawn_from_that_of_its_own_step_on(monkeypatch):
    pytest.importorskip("matplotlib")
    from website import gradients

    monkeypatch.setattr(gradients, "SEEDS", 2)
    elman = rnn_jax.Elman(2, 3)
    assert gradients.draw(rnn_jax.IRNN(2, 3), elman).startswith(b"\x89PNG")
    low, middle, high = gradients.quartiles(elman)
    assert (low[0], middle[0], high[0]) == (1, 1, 1)
    assert (low <= middle).all()
    assert (middle <= high).all()


def test_every_page_has_a_place_in_the_sidebar():
    entries = [entry for group in tree.NAVIGATION.values() for entry in group]
    pages = {
        str(path.relative_to(ROOT).with_suffix(""))
        for pattern in tree.COPIED
        for path in ROOT.glob(pattern)
        if path.suffix in (".md", ".ipynb")
    }
    for page in pages - {"docs/index"}:  # the start page
        # As Sphinx has it, a star ends at a slash.
        assert any(
            fnmatch(page, entry) and page.count("/") == entry.count("/") for entry in entries
        ), f"{page} needs a place in NAVIGATION of website/tree.py"
    for entry in entries:
        made = entry in ("gallery/index", "api/index")
        assert made or any(fnmatch(page, entry) for page in pages), f"there is no {entry}"


def test_the_index_leads_to_every_page():
    text = (DOCS / "index.md").read_text("utf-8")
    linked = {(DOCS / link).resolve() for link in re.findall(r"\]\(([^)#]+)[)#]", text)}
    pages = {*DOCS.rglob("*.md"), *(ROOT / "notebooks").glob("*.ipynb")} - {DOCS / "index.md"}
    assert not pages - linked


def test_the_gallery_has_every_picture():
    shown = [name for name in gallery.pages(ROOT / "notebooks") if name.endswith(".png")]
    outputs = [
        output
        for notebook in (ROOT / "notebooks").glob("*.ipynb")
        for cell in json.loads(notebook.read_text("utf-8"))["cells"]
        for output in cell.get("outputs", ())
    ]
    drawn = [output for output in outputs if "image/png" in output.get("data", ())]
    assert len(shown) == len(drawn) > 0


def test_the_numbers_of_the_start_page_are_measured():
    (head,) = re.findall(r"^\| (\d.*) \|$", (DOCS / "index.md").read_text("utf-8"), re.MULTILINE)
    speed = (DOCS / "speed.md").read_text("utf-8")
    compared, memory, packed = (text.split()[0] for text in head.split(" | "))
    step = speed.split("\n## A training step\n")[1].split("\n## ")[0]
    (row,) = (line for line in step.splitlines() if line.startswith("| flax.nnx |"))
    assert row.split(" | ")[4] == compared
    assert re.search(rf"^\| sqrt \|.*\| {memory} \|$", speed, re.MULTILINE)
    assert re.search(rf"^\| packing \|.*\| {packed}x ", speed, re.MULTILINE)


def test_the_glossary_is_in_order_and_leads_on():
    _, *terms = (DOCS / "glossary.md").read_text("utf-8").split("\n## ")
    titles = [term.split("\n")[0] for term in terms]
    assert titles == sorted(titles, key=str.lower)
    assert len(set(titles)) == len(titles)
    for title, term in zip(titles, terms, strict=True):
        assert re.search(r"\]\([\w./#-]+\)", term), f"{title} leads nowhere"


def test_sphinx_is_told_what_it_can_read():
    assert importlib.import_module("website.conf").version == rnn_jax.__version__


def test_a_name_without_a_page_is_a_warning(caplog):
    pytest.importorskip("sphinx")
    from website.links import every_name_has_a_page

    paths = dict.fromkeys(names_in(rnn_jax))
    python = {"objects": paths, "modules": {}}
    every_name_has_a_page(None, SimpleNamespace(domaindata={"py": python}))
    assert not caplog.records
    del paths["rnn_jax.LSTM"]
    every_name_has_a_page(None, SimpleNamespace(domaindata={"py": python}))
    (record,) = caplog.records
    assert record.getMessage() == "rnn_jax.LSTM is public, and no page describes it"


def test_a_default_is_shown_by_its_name():
    pytest.importorskip("sphinx")
    from website.links import defaults_by_name

    before = "(size: int, init=<function glorot>, f=<PjitFunction of <function tanh>>)"
    after = "(size: int, init=glorot, f=tanh)"
    assert defaults_by_name(None, "class", "LSTM", None, None, before, "int") == (after, "int")
