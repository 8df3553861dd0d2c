"""Every notebook runs from its first cell to its last, at the small size that it offers.

A notebook reads RNN_JAX_NOTEBOOK_SMALL=1 as the wish to be done in seconds. `make notebooks` runs
them as they are meant to be read, and keeps the outputs.
"""

import os
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def execute(notebook, folder, **environment):
    """Runs the cells in a kernel of their own, from an empty folder."""
    client = nbclient.NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(env=os.environ | {"PYTHONPATH": str(ROOT)} | environment)


# The other three train for longer; `make test-all` runs them too.
QUICK = {"quickstart.ipynb"}


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.name, marks=[] if path.name in QUICK else pytest.mark.slow)
        for path in NOTEBOOKS
    ],
)
def test_notebook_runs(path, tmp_path):
    execute(nbformat.read(path, as_version=4), tmp_path, RNN_JAX_NOTEBOOK_SMALL="1")
    assert not list(tmp_path.iterdir())  # so that it can be run again


def test_an_error_in_a_cell_is_found(tmp_path):
    cells = ["import os; small = os.environ['RNN_JAX_NOTEBOOK_SMALL']", "assert small == '2'"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    execute(notebook, tmp_path, RNN_JAX_NOTEBOOK_SMALL="2")
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="AssertionError"):
        execute(notebook, tmp_path, RNN_JAX_NOTEBOOK_SMALL="3")
