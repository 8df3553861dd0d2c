"""Whatever names the version names the same one: what tests/release.py finds."""

import re
from pathlib import Path

import pytest

from tests.release import disagreements

ROOT = Path(__file__).parent.parent
OPEN, FIRST, SECOND = "## [Unreleased]", "## [0.1.0] - 2026-12-01", "## [0.2.0] - 2027-02-01"
URLS = '[project.urls]\nRepository = "https://example.org"\n'


def folder(path, version="0.1.0", cited=None, headings=(), urls=URLS):
    (path / "rnn_jax").mkdir()
    (path / "rnn_jax/__init__.py").write_text(f'"""Rnns."""\n\n__version__ = "{version}"\n')
    (path / "CITATION.cff").write_text(f"cff-version: 1.2.0\nversion: {cited or version}\n")
    (path / "pyproject.toml").write_text(f'[project]\nname = "rnns"\n{urls}')
    body = "".join(f"\n{heading}\n\n### Fixed\n\n- A bug.\n" for heading in headings)
    (path / "CHANGELOG.md").write_text(f"# Changelog\n{body}")
    return path


def test_what_names_the_version_agrees():
    assert disagreements(ROOT) == []


@pytest.mark.parametrize(
    ("version", "headings", "tag"),
    [
        ("0.1.0", [OPEN], None),
        ("0.1.0", [FIRST], None),
        ("0.1.0", [FIRST], "v0.1.0"),
        ("0.2.0", [OPEN, FIRST], None),
        ("0.10.0", [OPEN, SECOND, FIRST], None),
        ("0.2.0", [SECOND, FIRST], "v0.2.0"),
    ],
)
def test_versions_that_agree(tmp_path, version, headings, tag):
    assert disagreements(folder(tmp_path, version, headings=headings), tag) == []


@pytest.mark.parametrize(
    ("said", "tag", "sentence"),
    [
        ({"version": "0.1"}, None, "rnn_jax.__version__ must be three numbers, .* got '0.1'"),
        ({"cited": "0.0.9", "headings": [OPEN]}, None, "must cite version 0.1.0.* got 0.0.9"),
        ({"headings": [OPEN, FIRST]}, None, "changes after 0.1.0: .* a later one, got 0.1.0"),
        ({"version": "0.2.0", "headings": [FIRST]}, None, "begin with 0.2.0.* got 0.1.0"),
        ({"headings": []}, None, "begin with 0.1.0.* got 0.0.0"),
        ({"headings": [OPEN, "## 0.0.1"]}, None, 'a heading must be .* got "## 0.0.1"'),
        ({"headings": [FIRST, OPEN]}, None, r'a heading must be .* got "## \[Unreleased\]"'),
        ({"headings": ["## [0.1.0] - 2026-13-01", FIRST]}, None, "a heading .* 2026-13-01"),
        ({"headings": [FIRST]}, "v0.1.1", "The tag of this version is v0.1.0, got v0.1.1"),
        ({"headings": [FIRST]}, "0.1.0", "The tag of this version is v0.1.0, got 0.1.0"),
        ({"headings": [OPEN]}, "v0.1.0", r'must become "## \[0.1.0\] - " and the day'),
        ({"headings": [FIRST], "urls": ""}, "v0.1.0", r"must have \[project.urls\] before"),
    ],
)
def test_versions_that_do_not_agree(tmp_path, said, tag, sentence):
    (wrong,) = disagreements(folder(tmp_path, **said), tag)
    assert re.search(sentence, wrong), wrong
