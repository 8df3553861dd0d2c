"""The workflows run what `make` runs here. That they are workflows is for actionlint to say."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted(str(p.relative_to(ROOT)) for p in ROOT.glob(".github/workflows/*.yml"))


def targets(workflow):
    """What `make` is asked for in a workflow, by name or by the matrix of a job."""
    for job in workflow["jobs"].values():
        matrix = job.get("strategy", {}).get("matrix", {})
        listed = [*matrix.get("target", []), *(row["target"] for row in matrix.get("include", []))]
        for step in job.get("steps", []):
            words = step.get("run", "").replace("${{ matrix.target }}", " ".join(listed)).split()
            if words[:1] == ["make"]:
                yield from (word for word in words[1:] if "=" not in word)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflows_run_what_make_has(name):
    asked = [*targets(yaml.safe_load((ROOT / name).read_text(encoding="utf-8")))]
    assert asked, "a workflow that runs nothing"
    done = subprocess.run(["make", "-n", *asked], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_test_of_the_makefile_is_run_by_a_workflow():
    asked = set()
    for name in WORKFLOWS:
        asked |= {*targets(yaml.safe_load((ROOT / name).read_text(encoding="utf-8")))}
    tests = re.findall(r"^(test[a-z-]*):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {*tests, "lint", "types", "dist"} <= asked
