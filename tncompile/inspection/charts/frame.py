"""The frame of a chart: axes with ticks, grid lines and names, around the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tncompile.inspection.charts.numbers import Axis
from tncompile.inspection.charts.plot import (
    LINE,
    Mark,
    Shape,
    Stroke,
    Symbol,
    Words,
    fitted,
    text,
    width,
)
from tncompile.inspection.charts.scales import Scale, scale_for, ticks

EDGE = 6.0
"""From the data to the edges of the picture at least."""

WIDEST_TICK = 84.0
INSET = 7.0
"""From the frame to the first and last point, half a marker and a bit."""

Ticks = list[tuple[float, str]]


@dataclass(frozen=True)
class Side:
    """An axis where it stands: its scale, its ticks with their places."""

    axis: Axis
    scale: Scale
    ticks: tuple[tuple[float, str], ...]

    @property
    def widest(self) -> float:
        """The width of the widest tick."""
        return max((width(written) for _, written in self.ticks), default=0.0)


def upright(
    axis: Axis,
    values: Sequence[float],
    top: float,
    bottom: float,
    *,
    zero: bool | None = None,
    margin: float = 0.05,
) -> Side:
    """A vertical axis, larger numbers above."""
    scale = scale_for(values, axis, bottom, top, zero=zero, margin=margin)

    def fits(found: Ticks) -> bool:
        return _apart([scale.at(value) for value, _ in found], [26.0] * len(found), 0)

    found = ticks(scale, axis, _whole(values), fits)
    return Side(axis, scale, tuple((scale.at(v), fitted(s, WIDEST_TICK)) for v, s in found))


def lying(
    axis: Axis,
    values: Sequence[float],
    left: float,
    right: float,
    view: float,
    *,
    margin: float = 0.0,
    reach: Sequence[float] = (),
) -> Side:
    """A horizontal axis, in a picture `view` px wide; `reach` is on it, too."""
    scale = scale_for(
        [*values, *reach], axis, left + INSET, right - INSET, zero=False, margin=margin
    )

    def places(found: Ticks) -> list[tuple[float, str]]:
        return [(scale.at(value), fitted(written, WIDEST_TICK)) for value, written in found]

    def fits(found: Ticks) -> bool:
        at = places(found)
        return _apart([_shown_at(x, s, view) for x, s in at], [width(s) for _, s in at], 12)

    return Side(axis, scale, tuple(places(ticks(scale, axis, _whole(values), fits))))


def upright_marks(side: Side, left: float, right: float, name_at: float) -> list[Mark]:
    """Grid lines, numbers beside them, the name of the axis above."""
    marks: list[Mark] = []
    lines = tuple(((left, y), (right, y)) for y, _ in side.ticks)
    if lines:
        marks.append(Stroke(lines, "g"))
    marks += [text(left - 6, y + 4, written, "end", "t") for y, written in side.ticks]
    name = fitted(side.axis.name, right - EDGE)
    return [*marks, text(EDGE, name_at, name, name="t")] if name else marks


def lying_marks(side: Side, left: float, right: float, bottom: float, view: float) -> list[Mark]:
    """The line of a horizontal axis, ticks with numbers, its name below them."""
    pieces = [((left, bottom), (right, bottom))]
    pieces += [((x, bottom), (x, bottom + 4)) for x, _ in side.ticks]
    marks: list[Mark] = [Stroke(tuple(pieces), "ax")]
    for x, written in side.ticks:
        marks.append(text(_shown_at(x, written, view), bottom + 16, written, "middle", "t"))
    name = fitted(side.axis.name, view - 2 * EDGE)
    if name:
        half = width(name) / 2
        x = min(max((left + right) / 2, half + EDGE), view - EDGE - half)
        marks.append(text(x, bottom + 16 + LINE + 2, name, "middle", "t"))
    return marks


def below(axis: Axis) -> float:
    """The height of what a horizontal axis has below it."""
    return 22 + (LINE + 2 if axis.name.strip() else 0)


@dataclass(frozen=True)
class End:
    """What a label at the right belongs to: where it ends, its name, how both are marked."""

    x: float
    y: float
    name: str
    color: str
    marker: tuple[Shape, str] | None = None


SIGN = 11.0
"""The room of a marker before a label."""


def end_labels(
    ends: Sequence[End], left: float, room: float, heights: Sequence[float]
) -> list[Mark]:
    """Labels in a column, each with the marker of its line, and a line to where that ends."""
    marks: list[Mark] = []
    for end, at in zip(ends, heights, strict=True):
        if abs(at - end.y) > 3 or left - end.x > 16:
            marks.append(Stroke((((end.x + 5, end.y), (left - 2, at)),), "to"))
    for end, at in zip(ends, heights, strict=True):
        aside = 0.0
        if end.marker is not None:
            shape, name = end.marker
            marks.append(Symbol(left + 4, at, shape, name, 3.8))
            aside = SIGN
        if shown := fitted(end.name, room - aside):
            marks.append(text(left + aside, at + 4, shown, name=end.color))
    return marks


def words_in(marks: Sequence[Mark]) -> list[Words]:
    """The texts among marks."""
    return [mark for mark in marks if isinstance(mark, Words)]


def _shown_at(x: float, written: str, view: float) -> float:
    """Where the middle of a number is, all of it within the picture."""
    half = width(written) / 2
    return min(max(x, half + 2), view - half - 2)


def _apart(places: Sequence[float], sizes: Sequence[float], gap: float) -> bool:
    at = sorted(zip(places, sizes, strict=True))
    pairs = pairwise(at)
    return all(b - a >= (one + other) / 2 + gap for (a, one), (b, other) in pairs)


def _whole(values: Sequence[float]) -> bool:
    return all(value == int(value) for value in values)
