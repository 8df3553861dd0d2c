"""What Sphinx is taught: a public name in backticks leads to its page, and none is without one."""

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

from website.names import by_text, public_names

log = logging.getLogger(__name__)


class NamesAreLinks(SphinxTransform):
    """Inline code that is a public name, on any page, and in any docstring, becomes a link."""

    default_priority = 700

    def apply(self, **_: Any) -> None:
        """Wrap each in a reference, which Sphinx resolves or reports."""
        paths = by_text()
        for code in list(self.document.findall(nodes.literal)):
            path = paths.get(code.astext())
            inside = (nodes.title, nodes.reference, nodes.rubric, addnodes.pending_xref)
            above = code.parent
            while above is not None and not isinstance(above, inside):
                above = above.parent
            if path is None or above is not None:
                continue
            link = addnodes.pending_xref(
                "",
                refdomain="py",
                reftype="obj",
                reftarget=path,
                refexplicit=True,
                refwarn=True,
                refdoc=self.env.docname,
            )
            code.replace_self(link)
            link += code


def public_path(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, shown: nodes.Element
) -> nodes.Element | None:
    """Where an annotation names a class by the file that defines it: its page."""
    wanted = node.get("reftarget")
    for public in public_names():
        if wanted == f"{public.home}.{public.name}":
            python = env.get_domain("py")
            document = node.get("refdoc", env.docname)
            return python.resolve_xref(env, document, app.builder, "obj", public.path, node, shown)
    return None


def every_name_has_a_page(app: Sphinx, env: BuildEnvironment) -> None:
    """A warning, which fails the build, for each that has none."""
    python = env.domaindata["py"]
    for public in public_names():
        if public.path not in python["objects"] and public.path not in python["modules"]:
            log.warning("%s is public, and no page describes it", public.path)


def no_aliases_of_fields(
    app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]
) -> None:
    """Drop what Python writes of a NamedTuple's field without a docstring: its number."""
    if what == "attribute" and lines and lines[0].startswith("Alias for field number"):
        lines.clear()


def defaults_by_name(
    app: Sphinx,
    what: str,
    name: str,
    value: Any,
    options: Any,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Functions that are defaults, as they are called: `glorot`, not `<function glorot>`."""
    if signature:
        signature = re.sub(r"<(?:PjitFunction of <)?function (\w+)[^<>]*>+", r"\1", signature)
        signature = re.sub(r"<class '([\w.]+)'>", r"\1", signature)
        signature = re.sub(r"<[^<>]*>", "...", signature)  # an object without a name
    return signature, returns


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_transform(NamesAreLinks)
    app.connect("missing-reference", public_path)
    app.connect("env-check-consistency", every_name_has_a_page)
    app.connect("autodoc-process-signature", defaults_by_name)
    app.connect("autodoc-process-docstring", no_aliases_of_fields)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
