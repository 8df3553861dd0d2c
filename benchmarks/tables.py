"""A result of the suite in Markdown: the headline first, every point last."""

from collections.abc import Iterable, Iterator

from benchmarks.competitors import FLOOR, OURS
from benchmarks.headline import Headline, headlines, mean, place
from benchmarks.report import about, spread, table
from benchmarks.scaling import GRIDS, SERIES, fits, series
from benchmarks.shapes import GATES, KINDS, Shape
from benchmarks.variants import PLAIN

MS, MICRO, MB = "ms", "µs/step", "MB"


def markdown(result: dict) -> str:
    """All of it."""
    rows = result["rows"]
    title = f"# {result['grid'].capitalize()}, {result['machine']['device']}"
    lines = [title, "", f"{about(result)}.", ""]
    for kind, variant, own in _groups(rows):
        label = f"{kind}" if variant == PLAIN else f"{kind}, {variant}"
        lines += [f"## {label.capitalize()}", "", *_summary(result["grid"], own)]
        if variant != PLAIN:
            lines += [*_beside_plain(own), ""]
    lines += ["## Every point", "", *_every_point(rows), ""]
    if result["absent"]:
        lines += ["## Absent", "", *_absent(result["absent"]), ""]
    return "\n".join(lines)


def _groups(rows: list[dict]) -> Iterator[tuple[str, str, list[dict]]]:
    variants = list(dict.fromkeys(row["variant"] for row in rows))
    for kind in reversed(KINDS):
        for variant in variants:
            own = [row for row in rows if row["kind"] == kind and row["variant"] == variant]
            if own:
                yield kind, variant, own


def _summary(grid: str, rows: list[dict]) -> list[str]:
    if grid in GRIDS:
        return [
            "Time is fitted by a + b T, T the number of steps; the residual is the root mean",
            "square of what is left, relative to each point.",
            "",
            *_fits(rows),
            "",
            "Peak memory of the compiled program, in MB:",
            "",
            *_peaks(rows),
            "",
        ]
    return [
        "A ratio is the time of the other over that of rnn_jax, the median of interleaved",
        "repetitions: above 1 the other is slower. Means are geometric.",
        "",
        *_headlines(headlines(rows)),
        "",
        *_ratios(rows),
        "",
    ]


def _headlines(found: list[Headline]) -> list[str]:
    head = [f"time / {OURS}", *GATES, "all shapes", "least", "at", f"time / {FLOOR}"]
    rows = []
    for line in found:
        cells = [_number(line.cells.get(cell)) for cell in GATES]
        worst = ["", ""]
        if line.competitor != OURS:
            worst = [_number(line.worst["ratio"][1]), str(shape_of(line.worst))]
        rows.append(
            [line.competitor, *cells, _number(line.every), *worst, _number(line.over_floor)]
        )
    return table(head, rows)


def _ratios(rows: list[dict]) -> list[str]:
    """A line a shape: our time, and each other's in units of it."""
    names = [n for n in dict.fromkeys(row["competitor"] for row in rows) if n != OURS]
    shapes: dict[tuple, dict[str, dict]] = {}
    for row in rows:
        shapes.setdefault(place(row), {})[row["competitor"]] = row
    lines = []
    for own in shapes.values():
        if OURS not in own:
            continue
        first = own[OURS]
        others = [_number(own[name]["ratio"][1]) if name in own else "" for name in names]
        lines.append([*_dimensions(first), _ms(first), _micro(first), *others])
    head = ["cell", "T", "B", "H", f"{OURS}, {MS}", f"{OURS}, {MICRO}"]
    return table(head + [f"{name} / {OURS}" for name in names], lines)


def _beside_plain(rows: list[dict]) -> list[str]:
    """What the variant gains each competitor, over all shapes."""
    own: dict[str, list[float]] = {}
    for row in rows:
        if row["ratio to plain"] is not None:
            own.setdefault(row["competitor"], []).append(row["ratio to plain"][1])
    lines = [[name, f"{mean(values):.2f}", len(values)] for name, values in own.items()]
    return table(["", f"time / {PLAIN}", "shapes"], lines)


def _fits(rows: list[dict]) -> list[str]:
    head = ["cell", "B", "H", "method", f"a, {MS}", f"b, {MICRO}", "residual"]
    lines = []
    for key, found in fits(rows).items():
        own = dict(zip(SERIES, key, strict=True))
        name = [own["cell"], own["batch"], own["hidden"], own["competitor"]]
        numbers = [f"{found.a:.3f}", f"{1e3 * found.b:.2f}", f"{100 * found.residual:.0f}%"]
        lines.append([*name, *numbers])
    return table(head, lines)


def _peaks(rows: list[dict]) -> list[str]:
    lengths = sorted({row["steps"] for row in rows})
    head = ["cell", "B", "H", "method", *(f"T={length}" for length in lengths)]
    lines = []
    for key, group in series(rows).items():
        own = dict(zip(SERIES, key, strict=True))
        at = {row["steps"]: _megabytes(row["peak"]) for row in group}
        name = [own["cell"], own["batch"], own["hidden"], own["competitor"]]
        lines.append([*name, *(at.get(length, "") for length in lengths)])
    return table(head, lines)


def _every_point(rows: Iterable[dict]) -> list[str]:
    head = ["kind", "variant", "competitor", "cell", "T", "B", "H", MS, MICRO, f"/ {OURS}"]
    head += ["repetitions", "compilation, s", f"temporaries, {MB}", f"peak, {MB}"]
    lines = []
    for row in rows:
        name = [row["kind"], row["variant"], row["competitor"], *_dimensions(row)]
        times = [spread(row["milliseconds"], 3), _micro(row)]
        times.append(spread(row["ratio"]) if row["ratio"] else "")
        seconds = "" if row["compilation"] is None else f"{row['compilation']:.2f}"
        memory = [_megabytes(row["temporaries"]), _megabytes(row["peak"])]
        lines.append([*name, *times, row["repetitions"], seconds, *memory])
    return table(head, lines)


def _absent(absent: list[dict]) -> list[str]:
    """Each reason once, with where it holds."""
    where: dict[tuple, list[dict]] = {}
    for row in absent:
        where.setdefault((row["competitor"], row["variant"], row["reason"]), []).append(row)
    lines = []
    for (name, variant, reason), own in where.items():
        shapes = list(dict.fromkeys(str(shape_of(row)) for row in own))
        place = shapes[0] if len(shapes) == 1 else f"{shapes[0]} and {len(shapes) - 1} more"
        label = name if variant == PLAIN else f"{name}, {variant}"
        lines.append(f"- {label}: {reason} ({place}).")
    return lines


def shape_of(row: dict) -> Shape:
    return Shape(*(row[name] for name in Shape._fields))


def _dimensions(row: dict) -> list:
    size = f"{row['heads']}x{row['hidden']}" if row["heads"] > 1 else row["hidden"]
    return [row["cell"], row["steps"], row["batch"], size]


def _ms(row: dict) -> str:
    return f"{row['milliseconds'][1]:.3g}"


def _micro(row: dict) -> str:
    return f"{1e3 * row['milliseconds'][1] / row['steps']:.3g}"


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:.3g}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
