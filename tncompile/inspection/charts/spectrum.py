"""Spectra: singular values on a log axis, and a cut that scripts can move."""

from __future__ import annotations

from collections.abc import Sequence

from tncompile.inspection.charts.chart import Lines, Series, Spectrum
from tncompile.inspection.charts.frame import EDGE
from tncompile.inspection.charts.lines import laid
from tncompile.inspection.charts.numbers import Axis
from tncompile.inspection.charts.plot import LINE, Group, Plot, Stroke, text, width

SMALLEST = 1e-12
"""Values that are smaller parts of the largest one are rounding, and would hide all others."""


def spectrum_plot(chart: Spectrum, view: int) -> Plot:
    """The plot of a chart, `view` px wide.

    The cut is a group of class `cut` that stands at x = 0 and is moved: behind rank r, to
    `data-x0` + r · `data-dx`.
    """
    largest = max((*chart.values, *chart.fresh), default=0.0)
    least = SMALLEST * largest
    given = [(name, values) for name, values in
             zip(chart.names, (chart.values, chart.fresh), strict=True) if values]  # fmt: skip
    hidden = sum(value < least or value == 0 for _, values in given for value in values)
    note = chart.note
    if hidden:
        note = f"{hidden:,} values are zero but for rounding, and not shown. {note}"
    series = [Series(name, _points(values, least)) for name, values in given]
    y = Axis("singular value", log=True)
    lines = Lines(chart.title, series, Axis("number"), y, note=note)
    cut = chart.rank is not None
    made = laid(lines, view, int(cut), (0.5, len(chart.values) + 0.5) if cut else ())
    plot, x, frame = made.plot, made.x, made.frame
    if chart.rank is None or x is None or frame is None:
        return plot
    dx = x.scale.at(2) - x.scale.at(1)
    x0 = x.scale.at(1) - dx / 2
    shift = x0 + chart.rank * dx
    label = f"rank {chart.rank:,}"
    half = width(f"rank {len(chart.values):,}") / 2
    at = min(max(0.0, EDGE + half - shift), view - EDGE - half - shift)
    line = Stroke((((0, frame.top - LINE + 8), (0, frame.bottom)),), "v")
    words = text(at, frame.top - LINE + 4, label, "middle", "l", bold=True)
    data = (("rank", str(chart.rank)), ("x0", f"{x0:.3f}"), ("dx", f"{dx:.6g}"))
    title = f"Cut behind rank {chart.rank:,} of {len(chart.values):,}"
    plot.marks.append(Group((line, words), title, data, "cut", shift))
    plot.description += f" {title}."
    return plot


def _points(values: Sequence[float], least: float) -> list[tuple[float, float | None]]:
    return [
        (k, value if value > 0 and value >= least else None) for k, value in enumerate(values, 1)
    ]
