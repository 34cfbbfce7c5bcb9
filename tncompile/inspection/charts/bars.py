"""Bars: a row each of a name, a bar and a number."""

from __future__ import annotations

from tncompile.inspection.charts.chart import Bars
from tncompile.inspection.charts.frame import EDGE
from tncompile.inspection.charts.numbers import total_of
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
from tncompile.inspection.drawing.scene import Box

ROW, BAR = 22.0, 14.0
"""The height of a row and of its bar."""

MOST = 40
"""The most rows; of more the largest are shown, and one for all others."""

NAME_SHARE, NUMBER_SHARE = 0.38, 0.25


def bars_plot(chart: Bars, view: int) -> Plot:
    """The plot of a chart, `view` px wide."""
    if not chart.rows:
        return nothing(chart.title, chart.note, view)
    rows, hidden = list(chart.rows), 0
    if len(rows) > MOST:
        largest = sorted(range(len(rows)), key=lambda k: (-rows[k][1], k))[: MOST - 1]
        hidden = len(rows) - len(largest)
        rest = total_of(
            (value for k, (_, value) in enumerate(rows) if k not in set(largest)), "the rest"
        )
        rows = [rows[k] for k in sorted(largest)] + [(f"{hidden:,} more", rest)]
    names = [fitted(name, NAME_SHARE * view) for name, _ in rows]
    numbers = [fitted(chart.measure.short(value), NUMBER_SHARE * view) for _, value in rows]
    left = EDGE + max(map(width, names)) + 8
    longest = view - EDGE - max(map(width, numbers)) - 6 - left
    most = max(value for _, value in rows) or 1.0
    top = 4 + (LINE + 4 if chart.measure.name.strip() else 0)
    marks: list[Mark] = []
    if head := fitted(chart.measure.name, view - 2 * EDGE):
        marks.append(text(EDGE, 14, head, name="t"))
    for place, ((name, value), shown, number) in enumerate(zip(rows, names, numbers, strict=True)):
        y = top + (place + 0.5) * ROW
        long = max(longest * (value / most), 0.3)
        parts: list[Mark] = [text(left - 8, y + 4, shown, "end")] if shown else []
        color = "mo" if hidden and place == len(rows) - 1 else "a1"
        parts.append(Block(Box(left + long / 2, y, long, BAR), color))
        parts += [text(left + long + 6, y + 4, number)] if number else []
        title = f"{name}: {chart.measure.said(value)}"
        marks.append(Group(tuple(parts), title, (("bar", name),)))
    bottom = top + len(rows) * ROW
    marks.append(Stroke((((left, top), (left, bottom)),), "ax"))
    said = [f"{chart.measure.name or 'Amounts'} as bars."]
    said += [f"{name}: {chart.measure.short(value)}." for name, value in rows]
    return Plot(chart.title, " ".join([*said, chart.note]).strip(), view, bottom + 6, marks)
