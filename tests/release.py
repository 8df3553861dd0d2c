"""Whether all that names the version agrees: the package, its citation, the changelog, the tag.

Before a tag, also whether the project says where it lives.

    python -m tests.release          of every change
    python -m tests.release v0.1.0   of what a tag is about to publish

It needs Python alone, and reads files: the package is not imported.
"""

import datetime
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
UNRELEASED = "## [Unreleased]"


def found_in(path, pattern):
    """What the group of `pattern` says in a file."""
    match = re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
    return match[1] if match else f"nothing like {pattern}"


def as_numbers(version):
    """'0.10.2' -> (0, 10, 2)."""
    return tuple(map(int, version.split(".")))


def is_date(text):
    try:
        return str(datetime.date.fromisoformat(text)) == text
    except ValueError:
        return False


def disagreements(root, tag=None):
    """A sentence for each thing that is wrong with the versions that the files in `root` name."""
    version = found_in(root / "rnn_jax/__init__.py", r'^__version__ = "(.*)"$')
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        return [f'rnn_jax.__version__ must be three numbers, as "0.1.0", got {version!r}.']
    wrong = []
    cited = found_in(root / "CITATION.cff", r"^version: (.*)$")
    if cited != version:
        wrong.append(f"CITATION.cff must cite version {version}, as rnn_jax has, got {cited}.")

    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## .*$", text, re.MULTILINE)
    unreleased, releases = headings[:1] == [UNRELEASED], []
    for heading in headings[unreleased:]:
        match = re.fullmatch(r"## \[(\d+\.\d+\.\d+)\] - (\S+)", heading)
        if match and is_date(match[2]):
            releases.append(match[1])
        else:
            wrong.append(
                f'CHANGELOG.md: a heading must be "{UNRELEASED}", at the top, or as '
                f'"## [{version}] - 2026-01-31", got "{heading}".'
            )
    last = releases[0] if releases else "0.0.0"
    if unreleased and as_numbers(version) <= as_numbers(last):
        wrong.append(
            f"CHANGELOG.md has changes after {last}: rnn_jax.__version__ must be the version that "
            f"they will be, a later one, got {version}."
        )
    if not unreleased and version != last:
        wrong.append(f"CHANGELOG.md must begin with {version}, as rnn_jax has, got {last}.")
    if tag is not None and tag != f"v{version}":
        wrong.append(f"The tag of this version is v{version}, got {tag}.")
    if tag is not None and unreleased:
        wrong.append(
            f'CHANGELOG.md: "{UNRELEASED}" must become "## [{version}] - " and the day, '
            "before there is a tag."
        )
    if tag is not None and not addresses(root):
        wrong.append(
            "pyproject.toml must have [project.urls] before there is a tag, for the index shows no "
            'other way to the source: Repository = "https://github.com/OWNER/NAME", and so on.'
        )
    return wrong


def addresses(root):
    """`[project.urls]`: where the project lives, which who publishes it knows."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project.get("urls")


if __name__ == "__main__":
    sys.exit("\n".join(disagreements(ROOT, *sys.argv[1:])) or None)
