"""Stacks: where bars, their layers and their labels stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from tncompile.inspection.charts.chart import Stacks
from tncompile.inspection.charts.colors import FILLS
from tncompile.inspection.charts.frame import EDGE, Side, upright, upright_marks
from tncompile.inspection.charts.placing import Taken, spread
from tncompile.inspection.charts.plot import (
    LINE,
    Block,
    Group,
    Mark,
    Plot,
    Stroke,
    fitted,
    nothing,
    text,
    width,
)
from tncompile.inspection.drawing.scene import Box, Point

NARROWEST = 4.0
"""A bar, in px; more steps share bars, each as high as the highest of its steps."""

SWATCH = 10.0
LABEL_GAP = 16.0
LABEL_SHARE = 0.3


@dataclass(frozen=True)
class Bar:
    """The steps of a bar, the one that it shows, and where it stands."""

    first: int
    last: int
    shown: int
    left: float
    right: float


def stacks_plot(chart: Stacks, view: int) -> Plot:
    """The plot of a chart, `view` px wide."""
    totals = [step.total for step in chart.steps]
    if not totals or max(totals) <= 0:
        return nothing(chart.title, chart.note, view)
    named = [layer.strip() for layer in chart.layers]
    room = min(max(map(width, named), default=0.0) + SWATCH + 5, LABEL_SHARE * view)
    right = view - EDGE - room - 10
    tall = max(min(max(0.36 * view, 190.0), 300.0), LABEL_GAP * (len(named) + 1))
    top = 4 + (LINE if chart.y.name.strip() else 0) + (LINE if chart.divider else 0) + LINE + 6
    bottom = top + tall
    y = upright(chart.y, totals, top, bottom, zero=True)
    left = EDGE + 6 + y.widest
    bars = bars_of(totals, left + 3, right - 3)
    peak = next(bar for bar in bars if bar.first <= chart.peak <= bar.last)

    marks = upright_marks(y, left, right, 14)
    whole = len(bars) == len(totals)
    if whole:
        marks += [_bar_group(chart, bar, y) for bar in bars]
    else:
        marks += _area(chart, bars, y)
    marks.append(Stroke((((left, bottom), (right, bottom)),), "ax"))
    high = y.scale.at(totals[chart.peak])
    outline = Box((peak.left + peak.right) / 2, (high + bottom) / 2,
                  peak.right - peak.left, bottom - high)  # fmt: skip
    marks.append(Block(outline, "q"))
    marks += _divider(chart, bars, top, bottom, left, right)
    peak_text = f"peak {chart.y.short(totals[chart.peak])} at {chart.steps[chart.peak].name}"
    peak_text = fitted(peak_text, right - left, bold=True)
    half = width(peak_text, bold=True) / 2
    middle = max(min(outline.x, right - half), left + half)
    marks.append(text(middle, high - 6, peak_text, "middle", "l", bold=True))
    marks += _names(chart, bars, peak, bottom, view)
    marks += _layer_labels(chart, named, bars[-1], y, right, room, (top, bottom))
    return Plot(chart.title, _description(chart, whole, len(bars)), view, bottom + 26, marks)


def bars_of(totals: Sequence[float], left: float, right: float) -> list[Bar]:
    """A bar a step, or for as many steps as one has to stand for."""
    count = len(totals)
    most = max(1, int((right - left) / NARROWEST))
    many = min(count, most)
    pitch = (right - left) / many
    gap = min(0.2 * pitch, 6.0) if many == count and pitch > 6 else 0.0
    wide = min(pitch - gap, 56.0)
    found = []
    for k in range(many):
        first, last = k * count // many, (k + 1) * count // many - 1
        shown = max(range(first, last + 1), key=lambda step: (totals[step], -step))
        middle = left + (k + 0.5) * pitch
        found.append(Bar(first, last, shown, middle - wide / 2, middle + wide / 2))
    return found


def _title(chart: Stacks, bar: Bar) -> str:
    step = chart.steps[bar.shown]
    said = [f"{layer} {chart.y.said(value)}"
            for layer, value in zip(chart.layers, step.amounts, strict=True)]  # fmt: skip
    head = step.name
    if bar.first < bar.last:
        names = f"{chart.steps[bar.first].name} to {chart.steps[bar.last].name}"
        head = f"{names}, the highest of them {step.name}"
    return f"{head}: {', '.join(said)}; together {chart.y.said(step.total)}"


def _bar_group(chart: Stacks, bar: Bar, y: Side) -> Group:
    marks: list[Mark] = []
    level, wide = 0.0, bar.right - bar.left
    for place, value in enumerate(chart.steps[bar.shown].amounts):
        low, high = y.scale.at(level), y.scale.at(level + value)
        level += value
        if low - high >= 0.05:
            box = Box((bar.left + bar.right) / 2, (low + high) / 2, wide, low - high)
            marks.append(Block(box, f"a{place % FILLS}" if wide > 4 else f"b{place % FILLS}"))
    return Group(tuple(marks), _title(chart, bar), (("step", str(bar.shown)),), "step")


def _area(chart: Stacks, bars: Sequence[Bar], y: Side) -> list[Mark]:
    """Layers as areas with steps, and a bar that cannot be seen for each tooltip."""
    levels = [[0.0, *accumulate(chart.steps[bar.shown].amounts)] for bar in bars]
    marks: list[Mark] = []
    edges = [_stepped(bars, [y.scale.at(level[k]) for level in levels])
             for k in range(len(chart.layers) + 1)]  # fmt: skip
    for place in range(len(chart.layers)):
        outline = (*edges[place], *reversed(edges[place + 1]))
        marks.append(Stroke((outline,), f"b{place % FILLS}", closed=True))
    marks.append(Stroke(tuple(edges[1:]), "e"))
    top, bottom = y.scale.end, y.scale.start
    for bar in bars:
        box = Box((bar.left + bar.right) / 2, (top + bottom) / 2, bar.right - bar.left,
                  bottom - top)  # fmt: skip
        data = (("step", str(bar.shown)), ("first", str(bar.first)), ("last", str(bar.last)))
        marks.append(Group((Block(box, "hit"),), _title(chart, bar), data, "step"))
    return marks


def _stepped(bars: Sequence[Bar], heights: Sequence[float]) -> tuple[Point, ...]:
    """A line with steps; bars of one height share a piece of it."""
    points: list[Point] = []
    for bar, height in zip(bars, heights, strict=True):
        if points and points[-1][1] == height:
            points[-1] = (bar.right, height)
        else:
            points += [(bar.left, height), (bar.right, height)]
    return tuple(points)


def _divider(
    chart: Stacks, bars: Sequence[Bar], top: float, bottom: float, left: float, right: float
) -> list[Mark]:
    """A line where the second phase begins, the names of both beside it."""
    if chart.divider is None:
        return []
    after = next(k for k, bar in enumerate(bars) if bar.last >= chart.divider)
    x = bars[after].left - (bars[after].left - bars[after - 1].right) / 2 if after else left
    high = top - LINE - 4
    marks: list[Mark] = [Stroke((((x, high), (x, bottom)),), "v")]
    first, second = (fitted(each, room) for each, room in
                     zip(chart.phases, (x - EDGE - 6, right - x - 6), strict=True))  # fmt: skip
    marks += [text(x - 6, high + 11, first, "end", "t")] if first else []
    return marks + ([text(x + 6, high + 11, second, name="t")] if second else [])


def _names(chart: Stacks, bars: Sequence[Bar], peak: Bar, bottom: float, view: float) -> list[Mark]:
    """Names below bars: that of the highest, of the first and the last, then what has room."""
    taken = Taken(Box(view / 2, bottom + 13, view - 2, 26))
    every = [
        bars[k] for stride in (max(1, len(bars) // 12), 1) for k in range(0, len(bars), stride)
    ]
    marks: list[Mark] = []
    named = set[int]()
    for bar in (peak, bars[0], bars[-1], *every):
        if bar.shown in named or len(named) > 60:
            continue
        shown = fitted(chart.steps[bar.shown].name, max(70.0, bar.right - bar.left))
        x = (bar.left + bar.right) / 2
        if shown and (label := taken.first([text(x, bottom + 16, shown, "middle", "t")])):
            named.add(bar.shown)
            marks.append(label)
    return marks


def _layer_labels(
    chart: Stacks,
    named: Sequence[str],
    last: Bar,
    y: Side,
    right: float,
    room: float,
    bounds: tuple[float, float],
) -> list[Mark]:
    """Names in the order of the layers, the uppermost above, near the layers of the last bar."""
    if not named:
        return []
    levels = [0.0, *accumulate(chart.steps[last.shown].amounts)]
    wanted = [y.scale.at(levels[k] / 2 + levels[k + 1] / 2) for k in range(len(named))]
    ordered = spread([-each for each in wanted], LABEL_GAP, -bounds[1] + 6, -bounds[0] - 6)
    marks: list[Mark] = []
    x = right + 8
    for place, (layer, negative) in enumerate(zip(named, ordered, strict=True)):
        middle = -negative
        if abs(middle - wanted[place]) > 3 and chart.steps[last.shown].amounts[place] > 0:
            marks.append(Stroke((((last.right + 1, wanted[place]), (x - 1, middle)),), "to"))
        box = Box(x + SWATCH / 2, middle, SWATCH, SWATCH)
        marks.append(Block(box, f"a{place % FILLS}", 2))
        shown = fitted(layer, room - SWATCH - 5 + 0.01)
        if shown:
            marks.append(text(x + SWATCH + 5, middle + 4, shown))
    return marks


def _description(chart: Stacks, whole: bool, bars: int) -> str:
    peak = chart.steps[chart.peak]
    parts = ", ".join(f"{layer} {chart.y.short(value)}"
                      for layer, value in zip(chart.layers, peak.amounts, strict=True))  # fmt: skip
    said = [
        f"{chart.y.name or 'Amounts'} of {len(chart.steps):,} steps in layers: "
        f"{', '.join(chart.layers)}.",
        f"The peak is {chart.y.short(peak.total)} at {peak.name}: {parts}.",
    ]
    if chart.divider is not None:
        first, second = chart.phases
        said.append(f"{second} begins at {chart.steps[chart.divider].name}, after {first}.")
    if not whole:
        said.append(f"{bars} bars are as high as the highest of the steps that each stands for.")
    return " ".join([*said, chart.note]).strip()
