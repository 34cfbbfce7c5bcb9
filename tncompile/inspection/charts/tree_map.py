"""Tree maps: nested frames, rectangles as large as weights, labels where they fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tncompile.inspection.charts.chart import Part, TreeMap
from tncompile.inspection.charts.colors import FILLS
from tncompile.inspection.charts.frame import EDGE
from tncompile.inspection.charts.plot import (
    SIZE,
    Block,
    Group,
    Mark,
    Plot,
    fitted,
    nothing,
    one_line,
    text,
    width,
)
from tncompile.inspection.charts.squarify import squarified
from tncompile.inspection.drawing.scene import Box

LEAST = 110.0
"""The area of a rectangle, in px²; smaller ones of a frame become one."""

HEAD, PAD, GAP = 19.0, 3.0, 1.0
"""The title of a frame, its other sides, and between two rectangles, in px."""

FRAME = (56.0, 52.0)
"""The least frame that shows its parts."""

THIN = 4.0
"""A rectangle without an edge, which would be all of it."""

SHORTEST = 34.0
"""The least room for a text that is cut."""

OWN = "(own)"


@dataclass(frozen=True)
class Tile:
    """A rectangle before its edges are drawn in, or a frame with what it holds."""

    name: str
    path: str
    weight: float
    box: Box
    fill: int | None  # of what stands for many there is none
    tiles: tuple[Tile, ...] = ()
    inner: Box | None = None  # of a frame: what its tiles fill


def tree_map_plot(chart: TreeMap, view: int) -> Plot:
    """The plot of a chart, `view` px wide."""
    if chart.total <= 0:
        return nothing(chart.title, chart.note, view)
    high = min(max(0.62 * view, 260.0), 460.0)
    tiles = tiles_of(chart, Box(view / 2, high / 2, view - 2 * EDGE, high - 2 * EDGE))
    marks: list[Mark] = [_group(tile, chart) for tile in tiles]
    if chart.colors == "kind" and len(_kinds(chart)) > 1:
        key, high = _key(_kinds(chart), view, high)
        marks += key
    return Plot(chart.title, _description(chart), view, high, marks)


def tiles_of(chart: TreeMap, box: Box) -> tuple[Tile, ...]:
    """The rectangles of a chart in a box, exact: those that fill a box are as large as weights."""
    kinds = _kinds(chart) if chart.colors == "kind" else []
    fills = {kind: place % FILLS for place, kind in enumerate(kinds)}
    return tuple(_tiles(chart.parts, "", box, chart.depth, None, fills))


def _tiles(
    parts: Sequence[Part],
    path: str,
    box: Box,
    depth: int,
    fill: int | None,
    fills: Mapping[str, int],
) -> Iterator[Tile]:
    """The rectangles of some parts, those too small as one; `fills` are colors of kinds."""
    positive = sorted((part for part in parts if part.total > 0), key=lambda part: -part.total)
    total = max(sum(part.total / positive[0].total for part in positive), 1.0) if positive else 1.0
    area = box.width * box.height
    kept = [p for p in positive if p.total / positive[0].total / total * area >= LEAST]
    if len(positive) - len(kept) == 1:
        kept = positive
    many = positive[len(kept) :]
    weights = [part.total for part in kept]
    if many:
        weights.append(sum(part.total for part in many))
    for place, (weight, at) in enumerate(zip(weights, squarified(weights, box), strict=True)):
        if place == len(kept):
            name = f"{len(many):,} more"
            yield Tile(name, f"{path}{name}", weight, at, None)
            continue
        part = kept[place]
        color = place % FILLS if fill is None else fill
        own = fills.get(part.kind, color)
        inside = [*part.parts]
        if part.weight > 0 and any(each.total > 0 for each in inside):
            inside.append(Part(OWN, part.weight, kind=part.kind))
        inner = Box(at.x, at.y + (HEAD - PAD) / 2, at.width - 2 * PAD - GAP,
                    at.height - HEAD - PAD - GAP)  # fmt: skip
        tiles: tuple[Tile, ...] = ()
        if depth > 1 and at.width >= FRAME[0] and at.height >= FRAME[1] and len(inside) > 0:
            below = _tiles(inside, f"{path}{part.name}.", inner, depth - 1, color, fills)
            tiles = tuple(below)
        yield Tile(part.name, f"{path}{part.name}", weight, at, own, tiles, inner)


def _kinds(chart: TreeMap) -> list[str]:
    """The kinds of parts, in the order of their first."""
    found: dict[str, None] = {}
    waiting = list(reversed(chart.parts))
    while waiting:
        part = waiting.pop()
        found[part.kind] = None
        waiting += reversed(part.parts)
    return list(found)


def _group(tile: Tile, chart: TreeMap) -> Group:
    title = f"{tile.path}: {chart.measure.said(tile.weight)}, {_percent(tile.weight, chart)}"
    inside = Box(tile.box.x, tile.box.y, max(tile.box.width - GAP, 0.3),
                 max(tile.box.height - GAP, 0.3))  # fmt: skip
    marks: list[Mark] = []
    room = inside.width - 8
    if tile.tiles:
        marks.append(Block(inside, "fr", 2))
        value = f"{one_line(tile.name)}  {chart.measure.short(tile.weight)}"
        shown = value if width(value) <= room else _label(tile.name, room)
        if shown:
            marks.append(text(inside.left + 4, inside.top + 14, shown))
        marks += [_group(each, chart) for each in tile.tiles]
    else:
        edged = min(inside.width, inside.height) >= THIN
        if tile.fill is None:
            color = "mo" if edged else "mb"
        else:
            color = f"{'a' if edged else 'b'}{tile.fill}"
        marks.append(Block(inside, color, 1.5))
        shown = _label(tile.name, room)
        if shown and inside.height >= SIZE + 6:
            marks.append(text(inside.left + 4, inside.top + 14, shown, name="on"))
            value = chart.measure.short(tile.weight)
            if inside.height >= 2 * SIZE + 12 and width(value) <= room:
                marks.append(text(inside.left + 4, inside.top + 29, value, name="on"))
    return Group(tuple(marks), title, (("part", tile.path),), "part")


def _label(name: str, room: float) -> str:
    """A name in full, or cut where that still says something, or none."""
    whole = one_line(name)
    if width(whole) <= room:
        return whole
    return fitted(whole, room) if room >= SHORTEST else ""


def _percent(weight: float, chart: TreeMap) -> str:
    return f"{100 * (weight / chart.total):.3g} %"


def _key(kinds: Sequence[str], view: float, high: float) -> tuple[list[Mark], float]:
    """What the colors say, in lines below; how high the picture is with them."""
    marks: list[Mark] = []
    x, y = EDGE, high + 6
    for place, kind in enumerate(kinds[:12]):
        shown = fitted(kind or "other", view - 2 * EDGE - 16)
        wide = 16 + width(shown)
        if x > EDGE and x + wide > view - EDGE:
            x, y = EDGE, y + 18
        marks.append(Block(Box(x + 5, y, 10, 10), f"a{place % FILLS}", 2))
        marks.append(text(x + 16, y + 4, shown))
        x += wide + 14
    return marks, y + 14


def _description(chart: TreeMap) -> str:
    parts = sorted((p for p in chart.parts if p.total > 0), key=lambda part: -part.total)
    said = [f"{chart.measure.name or 'Weights'} of parts as areas: "
            f"{chart.measure.short(chart.total)} together."]  # fmt: skip
    said.append(
        ", ".join(f"{part.name} {_percent(part.total, chart)}" for part in parts[:12])
        + (f", and {len(parts) - 12:,} more." if len(parts) > 12 else ".")
    )
    if left := len(chart.parts) - len(parts):
        said.append(f"{left:,} without weight are left out.")
    return " ".join([*said, chart.note]).strip()
