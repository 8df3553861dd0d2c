"""What a stranger gets: the wheel alone, in a new environment far from the checkout, at work.

    python -m tests.dist dist   after `python -m build`, which made the wheel and the sdist there

It needs Python alone, and installs the wheel with what the wheel says that it needs.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEXT = "the quick brown fox jumps over the lazy dog. " * 200
TRAIN = (
    "train --text text.txt --run run --hidden 16 --embedding 8 --batch 4 --window 16 --steps 30 "
    "--checkpoint-every 10 --log-every 5 --eval-every 15"
).split()
SAMPLE = "sample run --length 80".split()


def check_wheel(wheel):
    """It holds the package, all of it, and nothing else."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0].rpartition(".")[2] for name in names}
    assert tops == {"rnn_jax", "dist-info"}, f"{wheel.name} holds {sorted(tops)}"
    sources = {str(path.relative_to(ROOT)) for path in ROOT.glob("rnn_jax/**/*.py")}
    missing = {*sources, "rnn_jax/py.typed"} - {*names}
    assert not missing, f"{wheel.name} lacks {sorted(missing)}"
    assert any(name.endswith("licenses/LICENSE") for name in names), f"{wheel.name}: no licence"


def check_sdist(sdist):
    """It holds what is needed to build the wheel and to test it, and only what git holds."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {"pyproject.toml", "LICENSE", "README.md", "rnn_jax/py.typed", "tests/conftest.py"}
    assert needed <= names, f"{sdist.name} lacks {sorted(needed - names)}"
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode == 0:
        more = names - {*tracked.stdout.split("\n")} - {"PKG-INFO"}
        assert not more, f"{sdist.name} holds {sorted(more)}: commit that, or ignore it"


def check_at_work(wheel, folder):
    """Installed in `folder` the wheel trains a model, and the model writes."""
    # Nothing of the checkout can be imported there.
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(*command):
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stderr}"
        return done.stdout

    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv/bin/python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    found = run(python, "-c", "import rnn_jax as r; print(r.__version__, r.__file__)").split()
    assert found[0] == wheel.name.split("-")[1], f"{wheel.name} installs version {found[0]}"
    assert Path(found[1]).is_relative_to(folder), f"ran {found[1]}, not what was installed"

    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    run(python, "-m", "rnn_jax", *TRAIN)
    written = run(python, "-m", "rnn_jax", *SAMPLE)
    assert len(written) >= 80, f"the model wrote {written!r}"


def main(folder):
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    check_wheel(wheel)
    check_sdist(sdist)
    with tempfile.TemporaryDirectory() as away:
        check_at_work(wheel, Path(away).resolve())
    print(f"{wheel.name} installs by itself, trains and writes; {sdist.name} is whole.")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
