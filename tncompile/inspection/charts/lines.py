"""Lines: where series, levels, thresholds and labels stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, dist

from tncompile.inspection.charts.chart import Highlight, Level, Lines, Series, Threshold
from tncompile.inspection.charts.colors import series_style
from tncompile.inspection.charts.frame import (
    EDGE,
    SIGN,
    End,
    Side,
    below,
    end_labels,
    lying,
    lying_marks,
    upright,
    upright_marks,
    words_in,
)
from tncompile.inspection.charts.numbers import Axis
from tncompile.inspection.charts.placing import Taken, around_point, spread
from tncompile.inspection.charts.plot import (
    LINE,
    Block,
    Group,
    Mark,
    Plot,
    Stroke,
    Symbol,
    Words,
    fitted,
    nothing,
    one_line,
    placed,
    text,
    width,
)
from tncompile.inspection.charts.scales import MOST
from tncompile.inspection.drawing.scene import Box, Point

LABEL_GAP = 14.0
LABEL_SHARE = 0.34
"""The most of the width that labels at the ends of lines take."""

MARKERS, POINTS = 150, 800
"""The most markers of a series, and points of its line."""

ROWS = 4
"""The most rows of labels of thresholds."""

RING, FAR = 7.5, 17.0
"""The radius of the ring of a highlighted point, and from where on a line leads to its label."""

SAID = 12
"""The most thresholds that a description names."""

Pair = tuple[float, float]


@dataclass(frozen=True)
class Laid:
    """A plot of lines, and where its data stands in it."""

    plot: Plot
    x: Side | None = None  # where there is something to show
    frame: Box | None = None


def lines_plot(chart: Lines, view: int) -> Plot:
    """The plot of a chart, `view` px wide."""
    return laid(chart, view).plot


def laid(chart: Lines, view: int, rows_above: int = 0, reach: Sequence[float] = ()) -> Laid:
    """The plot with its frame: rows left free above the data, x as far as `reach`, too."""
    pieces = [list(_pieces(series, chart)) for series in chart.series]
    points = [pair for runs in pieces for run in runs for pair in run]
    if not points:
        return Laid(nothing(chart.title, chart.note, view))
    level, thresholds = chart.level, [t for t in chart.thresholds if _shown(t.x, chart.x)]
    ys = [y for _, y in points] + (list(_around(level)) if level else [])
    xs = [x for x, _ in points] + [t.x for t in thresholds]
    if chart.highlight is not None and _shown_point(chart.highlight, chart):
        xs.append(chart.highlight.x)
        ys.append(chart.highlight.y)
    names = [series.name for series, runs in zip(chart.series, pieces, strict=True) if runs]
    names += [_level_name(level)] if level else []
    room = min(max(map(width, map(one_line, names))) + SIGN, LABEL_SHARE * view)
    right = view - EDGE - room - 10

    tall = min(max(0.46 * view, 220.0), 320.0, 1.0 * view)
    tall = max(tall, LABEL_GAP * (len(names) + 1))
    # The width of the ticks decides where the data begins, their places do not.
    left = EDGE + 6 + upright(chart.y, ys, 0, tall).widest
    x = lying(chart.x, xs, left, right, view, reach=reach)
    flags = _flags(thresholds, x, view)
    rows = max((flag.row + 1 for flag in flags if flag), default=0)
    top = 4 + (LINE if chart.y.name.strip() else 0) + LINE * (rows + rows_above) + 6
    bottom = top + tall
    y = upright(chart.y, ys, top, bottom)
    frame = Box((left + right) / 2, (top + bottom) / 2, right - left, tall)

    marks = upright_marks(y, left, right, 14)
    marks += lying_marks(x, left, right, bottom, view)
    marks += _level_marks(level, y, left, right) if level else []
    marks += _threshold_marks(thresholds, flags, x, top, bottom, rows_above)
    ends: list[End] = []
    for number, (series, runs) in enumerate(zip(chart.series, pieces, strict=True)):
        at = [[(x.scale.at(a), y.scale.at(b)) for a, b in run] for run in runs]
        if at:
            marks.append(_series_group(series, number, runs, at, chart))
            color, _, shape, marker = series_style(number)
            ends.append(End(*at[-1][-1], series.name, f"x{color}", (shape, marker)))
    if level:
        ends.append(End(right - 5, y.scale.at(level.y), _level_name(level), "t"))
    to = spread([end.y for end in ends], LABEL_GAP, top + 3, bottom - 3)
    marks += end_labels(ends, right + 8, room + 0.01, to)
    if chart.highlight is not None and _shown_point(chart.highlight, chart):
        marks += _highlight_marks(chart.highlight, chart, x, y, marks, frame)
    high = bottom + below(chart.x) + 6
    return Laid(Plot(chart.title, _description(chart, pieces), view, high, marks), x, frame)


# ── data ──────────────────────────────────────────────────────────────────────────────────────────


def _shown(value: float, axis: Axis) -> bool:
    return value > 0 or not axis.log


def _shown_point(point: Highlight, chart: Lines) -> bool:
    return _shown(point.x, chart.x) and _shown(point.y, chart.y)


def _pieces(series: Series, chart: Lines) -> Iterator[list[Pair]]:
    """The points between gaps."""
    run: list[Pair] = []
    for x, y in series.points:
        if y is not None and _shown(x, chart.x) and _shown(y, chart.y):
            run.append((float(x), float(y)))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _around(level: Level) -> Pair:
    """Where the band of a level begins and ends."""
    low, high = sorted((level.y * (1 - level.band), level.y * (1 + level.band)))
    return (low or level.y) if level.y > 0 else max(low, -MOST), min(high, MOST)


def _level_name(level: Level) -> str:
    return f"{level.name.strip()} ± {100 * level.band:g} %" if level.band else level.name.strip()


# ── series ────────────────────────────────────────────────────────────────────────────────────────


def _series_group(
    series: Series,
    number: int,
    runs: Sequence[Sequence[Pair]],
    at: Sequence[Sequence[Point]],
    chart: Lines,
) -> Group:
    color, dash, shape, marker = series_style(number)
    lines = tuple(tuple(_thinned(run)) for run in at if len(run) > 1)
    marks: list[Mark] = [Stroke(lines, f"c{color}", dash)] if lines else []
    every = ceil(sum(map(len, runs)) / MARKERS)
    for run, places in zip(runs, at, strict=True):
        last = len(run) - 1
        for k, ((x, y), (a, b)) in enumerate(zip(run, places, strict=True)):
            if k % every and k != last:
                continue
            title = f"{series.name}: {_said(chart.x, x)}, {_said(chart.y, y)}"
            marks.append(Symbol(a, b, shape, marker, 3.8, title))
    return Group(tuple(marks), data=(("series", series.name),))


def _said(axis: Axis, value: float) -> str:
    return f"{axis.name} {axis.said(value)}".strip()


def _thinned(points: Sequence[Point]) -> list[Point]:
    """Points of a line; of many the first, the least, the largest and the last in each px."""
    if len(points) <= POINTS:
        return list(points)
    columns: dict[int, list[int]] = {}
    for k, (x, _) in enumerate(points):
        columns.setdefault(round(x), []).append(k)
    kept = set[int]()
    for inside in columns.values():
        by_height = sorted(inside, key=lambda k: points[k][1])
        kept |= {inside[0], by_height[0], by_height[-1], inside[-1]}
    return [points[k] for k in sorted(kept)]


# ── what stands around them ───────────────────────────────────────────────────────────────────────


def _level_marks(level: Level, y: Side, left: float, right: float) -> list[Mark]:
    at = y.scale.at(level.y)
    marks: list[Mark] = []
    if level.band:
        low, high = sorted(y.scale.at(each) for each in _around(level))
        box = Box((left + right) / 2, (low + high) / 2, right - left, high - low)
        marks.append(Block(box, "bn"))
    marks.append(Stroke((((left, at), (right, at)),), "r"))
    title = f"{_level_name(level)}: {_said(y.axis, level.y)}"
    return [Group(tuple(marks), title)]


@dataclass(frozen=True)
class Flag:
    """The label of a threshold: its row above the data, its ends, on which side of its line."""

    row: int
    at: float
    left: float
    right: float
    shown: str

    def crosses(self, other: Flag) -> bool:
        """Whether the line of one, as high as its own label, runs through that of the other."""
        high, low = (self, other) if self.row > other.row else (other, self)
        return high.row > low.row and low.left < high.at < low.right


def _flags(thresholds: Sequence[Threshold], x: Side, view: float) -> list[Flag | None]:
    """Labels in rows, from right to left; those without room are left out."""
    found: list[Flag | None] = [None] * len(thresholds)
    for k in sorted(range(len(thresholds)), key=lambda k: -thresholds[k].x):
        shown = fitted(thresholds[k].name, 0.6 * view)
        at, wide = x.scale.at(thresholds[k].x), width(shown)
        sides = [(at + 4, at + 4 + wide), (at - 4 - wide, at - 4)]
        free = [
            flag
            for row in range(ROWS)
            for left, right in sides
            if (flag := Flag(row, at, left, right, shown)) and left >= EDGE
            and right <= view - EDGE and not any(_meet(flag, other) for other in found if other)
        ]  # fmt: skip
        if shown and free:
            clear = [f for f in free if not any(f.crosses(other) for other in found if other)]
            found[k] = (clear or free)[0]
    return found


def _meet(one: Flag, other: Flag) -> bool:
    """Whether two labels of a row are too near."""
    return one.row == other.row and one.left < other.right + 8 and other.left < one.right + 8


def _threshold_marks(
    thresholds: Sequence[Threshold],
    flags: Sequence[Flag | None],
    x: Side,
    top: float,
    bottom: float,
    rows_above: int,
) -> list[Mark]:
    marks: list[Mark] = []
    for threshold, flag in zip(thresholds, flags, strict=True):
        at = x.scale.at(threshold.x)
        end = top - (LINE * (flag.row + rows_above + 1) + 2 if flag else 0)
        title = f"{threshold.name}: {_said(x.axis, threshold.x)}"
        parts: list[Mark] = [Stroke((((at, end), (at, bottom)),), "v")]
        if flag:
            y = top - LINE * (flag.row + rows_above) - 6
            if flag.left > at:
                parts.append(text(flag.left, y, flag.shown, name="l"))
            else:
                parts.append(text(flag.right, y, flag.shown, "end", "l"))
        marks.append(Group(tuple(parts), title))
    return marks


def _highlight_marks(
    point: Highlight, chart: Lines, x: Side, y: Side, marks: Sequence[Mark], frame: Box
) -> list[Mark]:
    """A ring, and a label where it hides the fewest points of lines."""
    at, down = x.scale.at(point.x), y.scale.at(point.y)
    title = f"{point.name}: {_said(chart.x, point.x)}, {_said(chart.y, point.y)}"
    ring: Mark = Symbol(at, down, "circle", "q ring", RING, title)
    taken = Taken(frame)
    taken.boxes = [words.label.box for words in words_in([mark for mark, _ in placed(marks)])]
    lines = [p for mark, _ in placed(marks) if isinstance(mark, Stroke) and mark.name[0] == "c"
             for piece in mark.pieces for p in _along(piece)]  # fmt: skip
    best: tuple[int, Words] | None = None
    for each in around_point(at, down, fitted(point.name, 0.7 * frame.width), 14, bold=True):
        box = each.label.box
        if not taken.free(box):
            continue
        hidden = sum(box.holds(place, -2) for place in lines)
        if best is None or hidden < best[0]:
            best = (hidden, each)
    if best is None:
        return [ring]
    box = best[1].label.box
    near = (min(max(at, box.left), box.right), min(max(down, box.top), box.bottom))
    far = dist((at, down), near)
    if far < FAR:
        return [ring, best[1]]
    start = (at + (near[0] - at) * RING / far, down + (near[1] - down) * RING / far)
    return [ring, Stroke(((start, near),), "to"), best[1]]


def _along(piece: Sequence[Point]) -> Iterator[Point]:
    """Points of a line, at most 5 px apart."""
    for (a, b), (c, d) in pairwise(piece):
        steps = max(1, ceil(max(abs(c - a), abs(d - b)) / 5))
        yield from ((a + (c - a) * k / steps, b + (d - b) * k / steps) for k in range(steps + 1))


def _description(chart: Lines, pieces: Sequence[Sequence[Sequence[Pair]]]) -> str:
    """What the chart says, for those who do not see it."""
    kind = {True: ", logarithmic", False: ""}
    said = [f"{chart.y.name or 'y'}{kind[chart.y.log]}, against "
            f"{chart.x.name or 'x'}{kind[chart.x.log]}."]  # fmt: skip
    many = False
    for series, runs in zip(chart.series, pieces, strict=True):
        points = [pair for run in runs for pair in run]
        hidden = sum(y is not None for _, y in series.points) - len(points)
        if not points:
            said.append(f"{series.name}: nothing to show.")
            continue
        (x0, y0), (x1, y1) = points[0], points[-1]
        ys = [y for _, y in points]
        said.append(
            f"{series.name}: {chart.y.short(y0)} at {chart.x.short(x0)}, {chart.y.short(y1)} at "
            f"{chart.x.short(x1)}, from {chart.y.short(min(ys))} to {chart.y.short(max(ys))}."
        )
        if hidden:
            said.append(f"{hidden:,} of its points are not positive, so not on a log axis.")
        many |= len(points) > MARKERS
    if many:
        said.append(f"Series have about {MARKERS} markers at most.")
    if chart.level:
        said.append(f"A level: {_level_name(chart.level)}, {chart.y.short(chart.level.y)}.")
    said += [f"{t.name}: at {chart.x.short(t.x)}." for t in chart.thresholds[:SAID]]
    if chart.highlight:
        at = chart.highlight
        said.append(f"{at.name}: {chart.y.short(at.y)} at {chart.x.short(at.x)}.")
    return " ".join([*said, chart.note]).strip()
