"""Scatter: where points, their front and their labels stand."""

from __future__ import annotations

from math import ceil, sqrt

from tncompile.inspection.charts.chart import Dot, Scatter, front_of
from tncompile.inspection.charts.frame import (
    EDGE,
    Side,
    below,
    lying,
    lying_marks,
    upright,
    upright_marks,
    words_in,
)
from tncompile.inspection.charts.numbers import Axis
from tncompile.inspection.charts.placing import Taken, around_point
from tncompile.inspection.charts.plot import (
    LINE,
    Group,
    Mark,
    Plot,
    Stroke,
    Symbol,
    fitted,
    nothing,
)
from tncompile.inspection.drawing.scene import Box

LARGEST, SMALLEST = 15.0, 3.5
"""The radius of the largest point, and of all that would be smaller than the smallest."""

RING = 4.5
"""How much farther out the ring of what is chosen is."""

MOST = 1_000
"""Of more points some are left out, none of the front."""

LABELS = 40
"""The most points that are tried to be labeled."""


def scatter_plot(chart: Scatter, view: int) -> Plot:
    """The plot of a chart, `view` px wide."""
    shown = [k for k, dot in enumerate(chart.dots) if _on(dot.x, chart.x) and _on(dot.y, chart.y)]
    if not shown:
        return nothing(chart.title, chart.note, view)
    best = {id(dot) for dot in front_of(chart.dots[k] for k in shown)}
    every = ceil(len(shown) / MOST)
    shown = [k for place, k in enumerate(shown) if not place % every or k == chart.chosen
             or id(chart.dots[k]) in best]  # fmt: skip
    dots = [chart.dots[k] for k in shown]
    xs, ys = [float(dot.x) for dot in dots], [float(dot.y) for dot in dots]
    tall = min(max(0.52 * view, 240.0), 360.0)
    top = 4 + (LINE if chart.y.name.strip() else 0) + 6
    bottom, right = top + tall, view - EDGE - 4
    y = upright(chart.y, ys, top, bottom, margin=0.12)
    left = EDGE + 6 + y.widest
    x = lying(chart.x, xs, left, right, view, margin=0.12)

    marks = upright_marks(y, left, right, 14)
    marks += lying_marks(x, left, right, bottom, view)
    front = front_of(dots)
    if len(front) > 1:
        line = tuple((x.scale.at(dot.x), y.scale.at(dot.y)) for dot in front)
        marks.append(Stroke((line,), "c0", "5 3"))
    largest = max(dot.size for dot in dots)
    on_front = {id(dot) for dot in front}
    # The largest first: small points stay in sight.
    for k in sorted(range(len(dots)), key=lambda k: (-dots[k].size, k)):
        name = "d0" if id(dots[k]) in on_front else "h0"
        symbol = Symbol(x.scale.at(dots[k].x), y.scale.at(dots[k].y), "circle", name,
                        _radius(dots[k], largest), _title(chart, dots[k]))  # fmt: skip
        marks.append(Group((symbol,), data=(("point", str(shown[k])),)))
    chosen = chart.dots[chart.chosen] if chart.chosen in shown else None
    if chosen is not None:
        ring = _radius(chosen, largest) + RING
        at = (x.scale.at(chosen.x), y.scale.at(chosen.y))
        marks.append(Symbol(*at, "circle", "q ring", ring, _title(chart, chosen)))
    frame = Box((left + right) / 2, (top + bottom) / 2, right - left, tall)
    marks += _labels(chosen, front, dots, largest, x, y, marks, frame)
    high = bottom + below(chart.x) + 6
    description = _description(chart, dots, front, chosen)
    return Plot(chart.title, description, view, high, marks)


def _on(value: float, axis: Axis) -> bool:
    return value > 0 or not axis.log


def _radius(dot: Dot, largest: float) -> float:
    share = dot.size / largest if largest > 0 else 0.0
    return max(SMALLEST, LARGEST * sqrt(share)) if largest > 0 else SMALLEST


def _title(chart: Scatter, dot: Dot) -> str:
    measured = ((chart.x, "x", dot.x), (chart.y, "y", dot.y), (chart.size, "size", dot.size))
    said = [f"{axis.name or name} {axis.said(value)}" for axis, name, value in measured]
    return f"{dot.name}: {', '.join(said)}"


def _labels(
    chosen: Dot | None,
    front: list[Dot],
    dots: list[Dot],
    largest: float,
    x: Side,
    y: Side,
    marks: list[Mark],
    frame: Box,
) -> list[Mark]:
    """The label of what is chosen, of the front, of others: those that fit, beside all points."""
    taken = Taken(frame)
    taken.boxes = [words.label.box for words in words_in(marks)]
    for dot in dots[:500]:
        side = 1.7 * _radius(dot, largest)
        taken.boxes.append(Box(x.scale.at(dot.x), y.scale.at(dot.y), side, side))
    if chosen is not None:
        ring = 2 * _radius(chosen, largest) + RING
        taken.boxes.append(Box(x.scale.at(chosen.x), y.scale.at(chosen.y), ring, ring))
    found: list[Mark] = []
    wanted = [*([chosen] if chosen is not None else []), *front, *dots]
    tried = set[int]()
    for dot in wanted:
        if id(dot) in tried or len(tried) >= LABELS:
            continue
        tried.add(id(dot))
        bold = dot is chosen
        away = _radius(dot, largest) + (8 if bold else 4)
        name = fitted(dot.name, 0.45 * frame.width, bold=bold)
        at = (x.scale.at(dot.x), y.scale.at(dot.y))
        if label := taken.first(around_point(*at, name, away, bold=bold, far=bold)):
            found.append(label)
    return found


def _description(chart: Scatter, dots: list[Dot], front: list[Dot], chosen: Dot | None) -> str:
    x, y = chart.x, chart.y
    said = [f"{len(dots):,} points: {y.name or 'y'} against {x.name or 'x'}, "
            f"areas are {chart.size.name or 'sizes'}."]  # fmt: skip
    if hidden := sum(not (_on(dot.x, x) and _on(dot.y, y)) for dot in chart.dots):
        said.append(f"{hidden:,} more are not positive, so not on a log axis.")
    if len(dots) + hidden < len(chart.dots):
        said.append(f"Of the {len(chart.dots) - hidden:,} in all these are a part.")
    names = ", ".join(dot.name for dot in front[:12]) + (", …" if len(front) > 12 else "")
    said.append(f"On the front, which no other beats on both axes: {names}.")
    if chosen is not None:
        said.append(f"Chosen: {chosen.name}, {y.short(chosen.y)} at {x.short(chosen.x)}.")
    return " ".join([*said, chart.note]).strip()
