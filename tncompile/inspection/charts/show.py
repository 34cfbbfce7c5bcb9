"""A chart as SVG, and as users hold it."""

from __future__ import annotations

from tncompile.inspection.charts.bars import bars_plot
from tncompile.inspection.charts.chart import (
    Bars,
    Chart,
    Lines,
    Scatter,
    Spectrum,
    Stacks,
    TreeMap,
)
from tncompile.inspection.charts.lines import lines_plot
from tncompile.inspection.charts.plot import Plot
from tncompile.inspection.charts.scatter import scatter_plot
from tncompile.inspection.charts.spectrum import spectrum_plot
from tncompile.inspection.charts.stacks import stacks_plot
from tncompile.inspection.charts.svg import plot_svg
from tncompile.inspection.charts.tree_map import tree_map_plot
from tncompile.inspection.drawing.drawing import THEMES, Drawing, require_width
from tncompile.inspection.drawing.theme import Theme
from tncompile.language.diagnostics.spelling import one_of


def plot_of(chart: Chart, width: int = 600) -> Plot:
    """What of a chart stands where, `width` px wide.

    Raises TypeError for what is no chart and no width, ValueError for widths below 240 or above
    10,000 px.
    """
    require_width(width)
    match chart:
        case Lines():
            return lines_plot(chart, width)
        case Stacks():
            return stacks_plot(chart, width)
        case Scatter():
            return scatter_plot(chart, width)
        case TreeMap():
            return tree_map_plot(chart, width)
        case Bars():
            return bars_plot(chart, width)
        case Spectrum():
            return spectrum_plot(chart, width)
    raise TypeError(f"{type(chart).__name__} is no chart")


def chart_svg(chart: Chart, theme: Theme = "auto", number: int = 0, *, width: int = 600) -> str:
    """The text of an SVG: the same for the same chart, on any machine; loads nothing.

    `number` tells apart copies on one page. A chart that is made for 390 px has larger type on a
    phone than one that is shrunk to it. Scripts of a page find groups by `data-series`,
    `data-point`, `data-bar`, `data-part`, `data-step` (with `data-first` and `data-last` where a
    bar stands for several steps), and the cut of a spectrum by its class `cut`. Raises as
    `plot_of`, and ValueError for another theme.

    >>> from tncompile.inspection.charts.chart import Bars
    >>> chart_svg(Bars("Shares", [("t1", 0.44), ("t2", 0.5)])).count("<title>t1: 0.44</title>")
    1
    """
    one_of("the theme", theme, THEMES)
    return plot_svg(plot_of(chart, width), theme, number=number)


def chart_drawing(chart: Chart, theme: Theme = "auto", *, width: int = 600) -> Drawing:
    """A chart with `svg`, `html()`, `png()` and `save(path)`, which notebooks show by itself.

    Raises as `chart_svg`.

    >>> from tncompile.inspection.charts.chart import Bars
    >>> chart_drawing(Bars("Shares of the time", [("t1", 0.44), ("t2", 0.5)]))
    Drawing(Shares of the time)
    """
    one_of("the theme", theme, THEMES)
    return Drawing(plot_of(chart, width), theme, write=plot_svg)
