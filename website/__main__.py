"""Build the site: `python -m website`, or `make docs`."""

import sys
from pathlib import Path

from sphinx.cmd.build import main

from website.tree import ROOT, lay

OUTPUT = ROOT / "build" / "site"

if __name__ == "__main__":
    pages, html = OUTPUT / "pages", OUTPUT / "html"
    lay(pages)
    conf = str(Path(__file__).parent)
    failed = main(
        # A warning is an error, all are shown, and nothing is kept of the last time.
        ["-W", "--keep-going", "-q", "-E", "-a", "-c", conf, *sys.argv[1:], str(pages), str(html)]
    )
    if not failed:
        print(f"The site is in {html / 'index.html'}")
    sys.exit(failed)
