"""All pages in one folder, laid out as the repository is, so that each link between them holds."""

import shutil
from pathlib import Path

from website import api, cells, gallery

ROOT = Path(__file__).parent.parent

COPIED = (
    "*.md",
    "CITATION.cff",
    "docs/**/*.md",
    "docs/**/*.png",
    "docs/**/*.json",
    "notebooks/*.ipynb",
    "benchmarks/**/*.md",
    "benchmarks/**/*.png",
    "benchmarks/**/*.json",
)
"""Pages, and what pages link to."""

NAVIGATION = {
    "Learn": (
        "docs/tour",
        "docs/own_cell",
        "docs/methods",
        "docs/padding",
        "docs/training",
        "docs/devices",
        "docs/own_loop",
        "docs/streaming",
        "docs/attention",
        "docs/decoding",
        "docs/words",
        "docs/main_job",
    ),
    "See": ("docs/microscope", "gallery/index", "notebooks/*"),
    "With other libraries": ("docs/works_with", "docs/interop", "docs/coming_from/*"),
    "Measured": (
        "docs/speed",
        "docs/gpu",
        "docs/published",
        "docs/penn_treebank/README",
        "benchmarks/README",
        "benchmarks/results/*",
        "benchmarks/results/*/*",
    ),
    "Look up": ("api/index", "docs/glossary"),
    "Project": ("*",),
}
"""The sidebar. Sphinx refuses a page that is not in it."""


def lay(tree: Path) -> None:
    """Write the tree, in place of what was there."""
    shutil.rmtree(tree, ignore_errors=True)
    for pattern in COPIED:
        for path in ROOT.glob(pattern):
            target = tree / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".md":
                target.write_text(titled(path), encoding="utf-8")
            else:
                shutil.copyfile(path, target)
    for name, content in generated().items():
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())


def titled(page: Path) -> str:
    """The text of a page, under its file's name where it has no title."""
    # The start page lies at the top here.
    text = page.read_text(encoding="utf-8").replace("](docs/index.md)", "](index.md)")
    return text if text.startswith("# ") else f"# {page.stem.capitalize()}\n\n{text}"


def generated() -> dict[str, str | bytes]:
    """{file: what is in it} of all that is no copy."""
    return {
        "index.md": start(),
        **{f"{page}.rst": text for page, text in api.pages().items()},
        **gallery.pages(ROOT / "notebooks"),
        **cells.pictures(),
    }


def start() -> str:
    """The start page: docs/index.md at the top of the site, and what the sidebar shows."""
    lists = [
        "\n".join(["```{toctree}", ":hidden:", ":glob:", f":caption: {caption}", "", *pages, "```"])
        for caption, pages in NAVIGATION.items()
    ]
    wide = "---\nhtml_theme.sidebar_secondary.remove: true\n---"
    included = "```{include} docs/index.md\n:relative-docs: .\n:relative-images:\n```"
    return "\n\n".join([wide, included, *lists]) + "\n"
