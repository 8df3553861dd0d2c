"""The pages: Markdown at the root and in docs, whose python blocks are programs."""

import ast
import contextlib
import functools
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import jax
import pytest

import rnn_jax

ROOT = Path(__file__).parent.parent


@functools.cache
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def fenced(markdown):
    """(first line, last line, language) of each fenced block; lines count from 0."""
    blocks, opening = [], None
    for number, line in enumerate(markdown.splitlines()):
        fence = re.match(r"\s*(`{3,}|~{3,})\s*(\w*)", line)
        if opening is None and fence:
            opening = (number, *fence.groups())
        elif opening and fence and fence[1].startswith(opening[1]) and not fence[2]:
            blocks.append((opening[0], number, opening[2]))
            opening = None
    assert opening is None, f"the block opened in line {opening[0] + 1} is never closed"
    return blocks


def code_blocks(markdown, *languages):
    """(line, source) of each fenced block in one of the languages; line counts from 0."""
    lines = markdown.splitlines()
    return [
        (first + 1, textwrap.dedent("\n".join(lines[first + 1 : last])))
        for first, last, language in fenced(markdown)
        if language in languages
    ]


def documents(*languages):
    """The Markdown files at the root and in docs that have a block in one of the languages."""
    paths = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    texts = {str(p.relative_to(ROOT)): p.read_text(encoding="utf-8") for p in paths}
    return sorted(name for name, text in texts.items() if code_blocks(text, *languages))


def as_program(markdown):
    """The python blocks one after the other, each line where it was: tracebacks name its line."""
    lines = [""] * (markdown.count("\n") + 1)
    for start, source in code_blocks(markdown, "python"):
        block = source.split("\n")
        lines[start : start + len(block)] = block
    return "\n".join(lines)


@contextlib.contextmanager
def defaults_of_jax():
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield


def run_python_blocks(path, cwd):
    """Runs them as a user pastes them: nothing defined, the defaults of jax, an empty folder."""
    program = compile(as_program(path.read_text(encoding="utf-8")), path, "exec")
    with contextlib.chdir(cwd), defaults_of_jax():
        exec(program, {"__name__": "__main__"})


def bring(package, needs):
    """Whether requirements name a package, under its own name or with its maker's before it."""
    return any(re.match(rf"(\w+-)?{package}\b", need) for need in needs)


def extra_of(package):
    """The extra of pyproject.toml that brings a package, the first that names it; or None."""
    extras = project()["optional-dependencies"].items()
    return next((extra for extra, needs in extras if bring(package, needs)), None)


def needs_of(extra):
    """All requirements of an extra, those of the extras that it names among them."""
    for need in project()["optional-dependencies"][extra]:
        inner = re.match(rf"{project()['name']}\[(.*)\]", need)
        for name in inner[1].split(",") if inner else ():
            yield from needs_of(name)
        yield need


def imports(name):
    """The packages that the python blocks of a page import."""
    nodes = ast.walk(ast.parse(as_program((ROOT / name).read_text(encoding="utf-8"))))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


def is_of_peers(name):
    """Whether a page runs another library, so that `make test-peers` is what runs all of it."""
    brought = list(needs_of("peers"))
    return "coming_from" in name or any(bring(package, brought) for package in imports(name))


def makes_devices(name):
    """Whether a page says how many devices there are, as a process can before all else."""
    nodes = ast.walk(ast.parse(as_program((ROOT / name).read_text(encoding="utf-8"))))
    return any(isinstance(n, ast.Constant) and n.value == "jax_num_cpu_devices" for n in nodes)


def run_alone(path, cwd):
    """Runs the blocks in a process of their own."""
    program = as_program(path.read_text(encoding="utf-8"))
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=env)
    assert done.returncode == 0, f"{path}: {done.stderr[-4000:]}"


def run_page(name, cwd):
    """Runs a page; it is skipped from where it needs an extra that is not installed."""
    try:
        (run_alone if makes_devices(name) else run_python_blocks)(ROOT / name, cwd)
    except (ModuleNotFoundError, rnn_jax.ArgumentError) as error:
        # What is absent; or what a sentence about it came from.
        absent = error if isinstance(error, ModuleNotFoundError) else error.__cause__
        extra = extra_of(absent.name) if isinstance(absent, ModuleNotFoundError) else None
        if extra is None:
            raise
        pytest.skip(f"{absent.name} is absent, and the rest needs it: pip install '.[{extra}]'")
