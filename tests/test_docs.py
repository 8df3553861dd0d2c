"""What the documents say is what happens.

- A ```python block of a Markdown file at the root or anywhere in docs runs, after those above it.
  The pages that run other libraries are run by tests/peers/test_pages.py.
- A ```sh block is valid shell; its `make` targets, `python -m rnn_jax` options and extras exist.
- A link to a file of the repository, from a Markdown file or a notebook, leads there, and so does
  its anchor.
- The `>>>` examples in the docstrings of rnn_jax print what they show.

An example that is not meant to run is a block without a language, or a ```text block.
"""

import ast
import contextlib
import doctest
import functools
import importlib
import inspect
import io
import itertools
import json
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import rnn_jax
from rnn_jax.__main__ import main
from tests.pages import (
    ROOT,
    as_program,
    code_blocks,
    defaults_of_jax,
    documents,
    fenced,
    is_of_peers,
    makes_devices,
    project,
    run_page,
    run_python_blocks,
)

MODULES = [
    "rnn_jax",
    *sorted(m.name for m in pkgutil.walk_packages(rnn_jax.__path__, "rnn_jax.")),
]
SHELLS = ("sh", "bash", "shell", "console")


# -- Markdown ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        # Those in a process of their own compile for several devices.
        pytest.param(page, marks=[pytest.mark.slow] if makes_devices(page) else [])
        for page in documents("python")
        if not is_of_peers(page)
    ],
)
def test_python_blocks_run(name, tmp_path):
    run_page(name, tmp_path)


def test_a_broken_python_block_is_found_by_its_line(tmp_path):
    document = tmp_path / "BROKEN.md"
    document.write_text("Fine:\n```python\nx = 1\n```\nBroken:\n```python\n\nassert x == 2\n```\n")
    with pytest.raises(AssertionError) as error:
        run_python_blocks(document, tmp_path)
    last = error.traceback[-1]
    assert (last.path, last.lineno + 1) == (document, 8)


def test_blocks_are_read_as_markdown_means_them():
    markdown = "```python\na\n```\n1. x\n   ~~~python\n   b:\n     ```\n   ~~~\n```text\nc\n```\n"
    assert code_blocks(markdown, "python") == [(1, "a"), (5, "b:\n  ```")]
    assert code_blocks(markdown, "text") == [(9, "c")]
    with pytest.raises(AssertionError, match="line 1 is never closed"):
        code_blocks("```python\na\n", "python")


# -- Shell commands ------------------------------------------------------------------------------


def typed(source):
    """What a user types of a shell block: in a transcript, what follows the prompts."""
    lines = source.replace("\\\n", " ").splitlines()
    prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return prompted or lines


def commands(source):
    """The simple commands of a shell block, as words."""
    for line in typed(source):
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = []
        for word in [*lexer, ";"]:
            if word and set(word) <= set("();<>|&"):
                if words:
                    yield words
                words = []
            else:
                words.append(word)


@functools.cache
def help_text(*subcommand):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        try:
            code = main([*subcommand, "--help"])
        except SystemExit as end:
            code = end.code
    return said.getvalue() if code == 0 else None


def complaint(words):
    """Why this command could not work, or None."""
    while words and re.fullmatch(r"\w+=.*", words[0]):  # NAME=value before the command
        words = words[1:]
    program = Path(words[0]).name if words else ""

    if program == "make":
        targets = [word for word in words[1:] if "=" not in word and not word.startswith("-")]
        dry = subprocess.run(["make", "-n", *targets], cwd=ROOT, capture_output=True, text=True)
        return dry.stderr if dry.returncode else None

    if program.startswith("python") and words[1:3] == ["-m", "rnn_jax"]:
        subcommand = [word for word in words[3:4] if not word.startswith("-")]
        known = help_text(*subcommand)
        if known is None:
            return f"rnn_jax has no command {' '.join(subcommand)!r}"
        options = {word.split("=")[0] for word in words[3:] if word.startswith("-")}
        unknown = options - set(re.findall(r"(?<![\w-])--?\w[\w-]*", known))
        return f"no option {', '.join(sorted(unknown))}" if unknown else None

    if "pip" in words and "install" in words:
        asked = re.findall(rf"(?:{project()['name']}|\.)\[([\w,-]+)\]", " ".join(words))
        extras = {extra for group in asked for extra in group.split(",")}
        unknown = extras - set(project()["optional-dependencies"])
        return f"no extra {', '.join(sorted(unknown))}" if unknown else None

    return None


@pytest.mark.parametrize("name", documents(*SHELLS))
def test_shell_blocks_are_sound(name):
    for line, source in code_blocks((ROOT / name).read_text(encoding="utf-8"), *SHELLS):
        for words in commands(source):
            assert complaint(words) is None, f"{name}:{line + 1}: {shlex.join(words)}"
        script = "\n".join(typed(source))
        parsed = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
        assert parsed.returncode == 0, f"{name}:{line + 1}: {parsed.stderr}"


@pytest.mark.parametrize(
    ("command", "sound"),
    [
        ("make test ARGS='-k scan'", True),
        ("make tset", False),
        ("cd here && make help", True),
        ("cd here && make coffee", False),
        ("python -m rnn_jax train --help", True),
        ("python -m rnn_jax train --no-such-option 3", False),
        ("CUDA_VISIBLE_DEVICES= .venv/bin/python -m rnn_jax brew", False),
        ("pip install 'scan-rnn[plot]'", True),
        ("pip install -e .[plot,plto]", False),
        ("$ make help\nmake coffee, said the output", True),
    ],
)
def test_sound_commands_are_told_from_broken_ones(command, sound):
    assert all(complaint(words) is None for words in commands(command)) == sound


# -- Links ---------------------------------------------------------------------------------------

PAGES = ["*.md", "docs/**/*.md", "benchmarks/**/*.md", "notebooks/*.ipynb"]


def written(page):
    """The Markdown of a page: of a notebook, that of its cells."""
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


def prose(markdown):
    """The lines outside of fenced blocks."""
    lines = markdown.splitlines()
    for first, last, _ in fenced(markdown):
        lines[first : last + 1] = [""] * (last + 1 - first)
    return lines


def anchors(markdown):
    """What can stand behind a # in a link to this page: each heading as GitHub names it."""
    found = set()
    for heading in filter(None, (re.match(r"#+ +(.*)", line) for line in prose(markdown))):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading[1]).strip().lower()
        name = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        again = (f"{name}-{n}" for n in itertools.count(1))
        found.add(next(a for a in itertools.chain([name], again) if a not in found))
    return found


def broken_links(page):
    """The targets of relative links that are not there, as a file or as a heading in it."""
    text = re.sub(r"`[^`]*`", "", "\n".join(prose(written(page))))
    for target in re.findall(r"\]\(\s*([^()\s]+)[^()]*\)", text):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        if not file.exists() or (anchor and anchor not in anchors(written(file))):
            yield target


@pytest.mark.parametrize(
    "name", sorted(str(p.relative_to(ROOT)) for pattern in PAGES for p in ROOT.glob(pattern))
)
def test_links_lead_somewhere(name):
    assert not list(broken_links(ROOT / name))


def test_a_broken_link_is_found(tmp_path):
    (tmp_path / "to.md").write_text(
        "# To `x`: a, b\n## Twice\n## Twice\n```sh\n# no heading\n```\n"
    )
    good = "to.md to.md#to-x-a-b to.md#twice-1 #here https://a.b/c mailto:a@b .".split()
    bad = "too.md to.md#to-x to.md#twice-2 to.md#no-heading #there".split()
    page = tmp_path / "from.md"
    page.write_text("# Here\n`[x](code)`\n" + " ".join(f"[a](\n{link})" for link in good + bad))
    assert list(broken_links(page)) == bad


# -- What it works with -------------------------------------------------------------------------


def works_with():
    """(library, page or test) of each row of the page."""
    page = ROOT / "docs" / "works_with.md"
    rows = re.findall(
        r"^\| `([\w.]+)`.* \|.*\| (.*) \|$", page.read_text(encoding="utf-8"), re.MULTILINE
    )
    for library, where in rows:
        for link, test in re.findall(r"\]\((.*?)\)|`(.*?)`", where):
            yield library, test or f"docs/{link}"


@pytest.mark.parametrize(("library", "place"), [*works_with()])
def test_what_the_page_says_it_works_with_is_run(library, place):
    """By a page that runs; or by a test that is not only for `make test-all`."""
    path, _, test = place.partition("::")
    source = (ROOT / path).read_text(encoding="utf-8")
    if not test:
        assert path in documents("python")
        assert library in as_program(source)
        return
    (found,) = (node for node in ast.parse(source).body if getattr(node, "name", "") == test)
    marks = " ".join(map(ast.unparse, found.decorator_list))
    assert path.startswith("tests/peers/") or "slow" not in marks
    assert library in source


# -- Docstrings ----------------------------------------------------------------------------------

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def failures(docstrings, source):
    """What doctest reports about {name: docstring}. An example starts from nothing, as a user."""
    parser, report = doctest.DocTestParser(), []
    runner = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False)
    with defaults_of_jax():
        for name, text in docstrings.items():
            test = parser.get_doctest(text, {}, name, source, 0)
            runner.run(test, out=report.append)
    return "".join(report)


def docstrings_of(module):
    """{name: docstring} of a module and of what it defines: functions, classes, their methods."""
    found = {module.__name__: module.__doc__ or ""}
    for name, value in vars(module).items():
        if inspect.getmodule(value) is not module or inspect.ismodule(value):
            continue
        found[f"{module.__name__}.{name}"] = getattr(value, "__doc__", None) or ""
        if inspect.isclass(value):
            for attribute, member in vars(value).items():
                function = getattr(member, "fget", None) or getattr(member, "__func__", member)
                if getattr(function, "__module__", None) == module.__name__:
                    found[f"{module.__name__}.{name}.{attribute}"] = function.__doc__ or ""
    return found


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    docstrings = docstrings_of(importlib.import_module(name))
    unrun = [where for where, text in docstrings.items() if "```" in text]
    assert not unrun, f"fenced blocks are not run; write >>> examples: {unrun}"
    report = failures(docstrings, name)
    assert not report, report


def test_a_broken_docstring_example_is_found():
    assert (
        failures({"good": ">>> import jax\n>>> jax.numpy.ones(2).dtype\ndtype('float32')"}, "here")
        == ""
    )
    assert "Expected:\n    3" in failures({"bad": ">>> 1 + 1\n3"}, "here")
    assert "ZeroDivisionError" in failures({"bad": ">>> 1 / 0"}, "here")


def test_docstrings_are_found_wherever_they_hang():
    module = type(sys)("somewhere")
    source = '''
"""of the module"""
import functools, jax
@jax.jit
def jitted(x):
    """of a jitted function"""
@jax.custom_jvp
def differentiated(x):
    """of a custom_jvp"""
class Cell:
    """of a class"""
    def step(self):
        """of a method"""
    @classmethod
    def of(cls):
        """of a classmethod"""
    @property
    def size(self):
        """of a property"""
    borrowed = jax.numpy.tanh
'''
    sys.modules["somewhere"] = module
    try:
        exec(source, vars(module))
        found = set(filter(None, docstrings_of(module).values()))
    finally:
        del sys.modules["somewhere"]
    assert {text for text in found if text.startswith("of ")} == set(
        re.findall(r'"""(.*?)"""', source)
    )
