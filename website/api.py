"""A page for each file that defines a public name, and one for each part of the package."""

import importlib
import inspect
import textwrap
from collections.abc import Iterable
from types import ModuleType

from website import cells
from website.names import Public, public_names
from website.rst import heading, table, toctree


def part_of(module: str) -> str:
    """'rnn_jax.cells.lstm' -> 'cells'."""
    return module.split(".")[1]


def pages() -> dict[str, str]:
    """{page without its suffix: its text}."""
    homes: dict[str, list[Public]] = {}
    rooms = []
    for public in public_names():
        if inspect.ismodule(public.value):
            rooms.append(public)
        else:
            homes.setdefault(public.home, []).append(public)
    found = {page_of(home): of_file(home, names) for home, names in homes.items()}
    parts = {part_of(home) for home in homes}
    for part in sorted(parts):
        module = importlib.import_module(f"rnn_jax.{part}")
        below = [home for home in sorted(homes) if part_of(home) == part]
        if below == [module.__name__]:  # a part of one file, which has its page
            continue
        names = [
            public
            for public in public_names()
            if public.home in below and not inspect.ismodule(public.value)
        ]
        found[page_of(module.__name__)] = of_part(module, names, rooms, below)
    found["api/index"] = index(sorted(parts))
    return found


def page_of(home: str) -> str:
    """Where what a file defines is described."""
    return "api/" + home.partition(".")[2].replace(".", "/")


def of_file(home: str, names: list[Public]) -> str:
    """What is defined in a file, the tuples that it is made of last."""
    names = sorted(names, key=lambda public: (is_record(public), public.line))
    chief = [public for public in names if not is_record(public)] or names
    module = importlib.import_module(home)
    is_room = any(public.value is module for public in public_names())
    room = part_of(home) + "."  # that of most names of a part; another one is said
    shown = [public.short.removeprefix(room) for public in chief]
    title = home.partition(".")[2] if is_room else ", ".join(shown)
    parts = [heading(title, "=")]
    if is_room:
        parts.append(f".. automodule:: {home}")
    for public in names:
        parts.append(directive(public))
    return "\n\n".join(parts) + "\n"


def is_record(public: Public) -> bool:
    """Whether it is a tuple with names: params, a carry, a result."""
    return inspect.isclass(public.value) and issubclass(public.value, tuple)


def directive(public: Public) -> str:
    """What has Sphinx write a name's page from its docstring."""
    if public.is_data:
        return f".. py:data:: {public.path}\n\n{indented(public.note)}"
    if inspect.isclass(public.value):
        # What stands in the directive comes before the members.
        more = indented("\n\n".join(cells.more(public)))
        return f".. autoclass:: {public.path}\n   :members:\n\n{more}"
    return f".. autofunction:: {public.path}"


def indented(text: str) -> str:
    """The text as what a directive holds."""
    return textwrap.indent(text, "   ")


def of_part(module: ModuleType, names: list[Public], rooms: list[Public], below: list[str]) -> str:
    """What a folder of the package offers: a line a name, those of a room below the room."""
    part = module.__name__.partition(".")[2]
    parts = [heading(part, "=")]
    own = [room for room in rooms if part_of(room.home) == part]
    if module not in [room.value for room in own]:
        parts += [inspect.getdoc(module) or "", listing(p for p in names if "." not in p.short)]
    for room in own:
        if room.value is not module:
            parts.append(f".. rubric:: {room.short}")
        if room.home not in below:  # it has no page of its own, which says what it is
            parts.append(f".. automodule:: {room.home}")
        parts.append(listing(p for p in names if p.path == f"{room.path}.{p.name}"))
    return "\n\n".join([*parts, toctree(map(page_of, below))]) + "\n"


def listing(names: Iterable[Public]) -> str:
    """A table: name, first sentence, tuples last; nothing where there is no name."""
    names = sorted(names, key=is_record)
    rows = [(f":py:obj:`{public.name} <{public.path}>`", public.summary) for public in names]
    return table(["", ""], rows) if rows else ""


def index(parts: list[str]) -> str:
    """The start of the reference."""
    rows = []
    for part in parts:
        module = importlib.import_module(f"rnn_jax.{part}")
        about = (inspect.getdoc(module) or "").split("\n\n")[0]
        rows.append((f":doc:`{part} </{page_of(module.__name__)}>`", " ".join(about.split())))
    text = (
        "Every public name, from its docstring. What stands in the second column is what the\n"
        "folder or the file says of itself; a name that is not here is not public."
    )
    return (
        "\n\n".join(
            [
                heading("Reference", "="),
                text,
                table(["part", "is"], rows),
                toctree(page_of(f"rnn_jax.{part}") for part in parts),
            ]
        )
        + "\n"
    )
