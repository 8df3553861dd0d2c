"""The pictures of the notebooks, each with the code that drew it."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

OPENING = """# Gallery

Every picture of the notebooks, with the code that drew it. It is there as it ran: `make notebooks`
runs it again. The functions are those of [the microscope](../docs/microscope.md).
"""


class Picture(NamedTuple):
    """What a cell of a notebook drew."""

    notebook: str
    """Its title."""
    heading: str
    """The last one above the cell."""
    source: str
    png: bytes


def pictures(notebook: Path) -> Iterator[Picture]:
    """Those of a notebook, from top to bottom."""
    title = heading = ""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            for found in re.findall(r"^#+ +(.*)$", source, re.MULTILINE):
                title, heading = title or found, found
        for output in cell.get("outputs", ()):
            png = output.get("data", {}).get("image/png")
            if png:
                yield Picture(title, heading, source, base64.b64decode("".join(png)))


def pages(notebooks: Path) -> dict[str, str | bytes]:
    """{file of the gallery: what is in it}."""
    files: dict[str, str | bytes] = {}
    parts = [OPENING]
    for notebook in sorted(notebooks.glob("*.ipynb")):
        for number, picture in enumerate(pictures(notebook), 1):
            name = f"{notebook.stem}-{number}.png"
            files[f"gallery/{name}"] = picture.png
            if number == 1:
                parts.append(f"## [{picture.notebook}](../notebooks/{notebook.name})")
            parts += [
                f"### {picture.heading}",
                f"![{picture.heading}]({name})",
                "<details><summary>The code</summary>",
                f"```python\n{picture.source}\n```",
                "</details>",
            ]
    files["gallery/index.md"] = "\n\n".join(parts) + "\n"
    return files
