"""The few forms of reStructuredText that the generated pages are made of."""

from collections.abc import Iterable, Sequence


def heading(text: str, underline: str) -> str:
    """A heading of a level that its underline says."""
    return f"{text}\n{underline * len(text)}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of which each cell is one line; without a head where all of it is empty."""
    lines = [".. list-table::"]
    if any(head):
        lines.append("   :header-rows: 1")
    lines.append("")
    for row in [head, *rows] if any(head) else rows:
        for number, cell in enumerate(row):
            lines.append(f"   {'  ' if number else '* '}- {cell}")
    return "\n".join(lines)


def toctree(pages: Iterable[str], caption: str = "") -> str:
    """What hangs below a page, said by the sidebar alone."""
    options = ["   :hidden:"] + [f"   :caption: {caption}"] * bool(caption)
    return "\n".join([".. toctree::", *options, "", *(f"   /{page}" for page in pages)])
