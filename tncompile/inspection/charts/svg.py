"""The SVG of a plot: the same on every machine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from math import ceil

from tncompile.inspection.charts.colors import rules
from tncompile.inspection.charts.plot import Block, Group, Mark, Plot, Stroke, Symbol
from tncompile.inspection.drawing.markup import (
    escaped,
    opened,
    own_prefix,
    px,
    rectangle,
    written_line,
)
from tncompile.inspection.drawing.scene import Point
from tncompile.inspection.drawing.theme import Palette, Rules, Theme, style

CLASSES = re.compile(r'<(?:g|path|rect|circle|text|tspan) class="([^"]*)"')


def plot_svg(scene: Plot, theme: Theme = "auto", *, number: int = 0) -> str:
    """The text of an SVG, `number` tells apart copies on one page."""
    body = "".join(_written(scene.marks))
    used = {"bg", *(name for names in CLASSES.findall(body) for name in names.split())}

    def needed(colors: Palette) -> Rules:
        return [(name, rule) for name, rule in rules(colors) if name.lstrip(".") in {*used, "text"}]

    shown = sha256(body.encode()).hexdigest()
    own = own_prefix(scene.title, scene.description, shown, theme, number)
    view = (0, 0, ceil(scene.width), ceil(scene.height))
    head = opened(own, view, scene.title, scene.description, style("#" + own, theme, needed))
    return f"{head}{body}</svg>"


def _written(marks: Sequence[Mark]) -> Iterator[str]:
    for mark in marks:
        match mark:
            case Group():
                yield from _group(mark)
            case Stroke():
                dash = f' stroke-dasharray="{mark.dash}"' if mark.dash else ""
                yield f'<path class="{mark.name}" d="{_path(mark)}"{dash}/>'
            case Block():
                shape = rectangle(mark.box, mark.name, mark.radius).replace(' rx="0"', "")
                yield _titled(shape, "rect", mark.title)
            case Symbol():
                yield _symbol(mark)
            case _:
                label = mark.label
                yield written_line(label.x, label.y, label.line, label.anchor, mark.name)


def _group(group: Group) -> Iterator[str]:
    name = f' class="{group.name}"' if group.name else ""
    data = "".join(f' data-{key}="{escaped(value)}"' for key, value in group.data)
    shift = f' transform="translate({px(group.shift)} 0)"' if group.shift else ""
    yield f"<g{name}{data}{shift}>"
    if group.title:
        yield f"<title>{escaped(group.title)}</title>"
    yield from _written(group.marks)
    yield "</g>"


def _path(stroke: Stroke) -> str:
    end = "Z" if stroke.closed else ""
    return "".join(f"M{_points(piece)}{end}" for piece in stroke.pieces)


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{px(x)},{px(y)}" for x, y in points)


def _symbol(symbol: Symbol) -> str:
    x, y, r = symbol.x, symbol.y, symbol.radius
    if symbol.shape == "circle":
        shape = f'<circle class="{symbol.name}" cx="{px(x)}" cy="{px(y)}" r="{px(r)}"/>'
        return _titled(shape, "circle", symbol.title)
    a, c = 0.88 * r, 0.36 * r  # half of a side, and of the width of an arm
    outlines: dict[str, list[Point]] = {
        "square": [(-a, -a), (a, -a), (a, a), (-a, a)],
        "up": [(0, -r), (r, a), (-r, a)],
        "down": [(0, r), (r, -a), (-r, -a)],
        "diamond": [(0, -r), (r, 0), (0, r), (-r, 0)],
        "cross": [
            *((-c, -r), (c, -r), (c, -c), (r, -c), (r, c), (c, c)),
            *((c, r), (-c, r), (-c, c), (-r, c), (-r, -c), (-c, -c)),
        ],
    }
    outline = _points([(x + dx, y + dy) for dx, dy in outlines[symbol.shape]])
    return _titled(f'<path class="{symbol.name}" d="M{outline}Z"/>', "path", symbol.title)


def _titled(shape: str, tag: str, title: str) -> str:
    """An element with a tooltip."""
    if not title:
        return shape
    return f"{shape.removesuffix('/>')}><title>{escaped(title)}</title></{tag}>"
