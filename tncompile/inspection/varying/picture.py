"""The costs at several values of a number, as a chart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tncompile.planning.wording as wording
from tncompile.inspection.charts.chart import (
    Bars,
    Chart,
    Highlight,
    Level,
    Lines,
    Series,
    Threshold,
)
from tncompile.inspection.charts.numbers import Axis
from tncompile.inspection.varying.table import value_text
from tncompile.planning.report.cost import Cost
from tncompile.planning.tolerances import CLEARLY

if TYPE_CHECKING:
    from tncompile.inspection.varying.variation import Variation

SECONDS = Axis("predicted time", log=True, text=wording.seconds_text, unit="s")


def variation_chart(variation: Variation) -> Chart:
    """A line over values that are numbers, a bar for each of others.

    Both axes are logarithmic. Times are over those of the dense layer where there is one at every
    value; for run-time sizes marks say where the plan changes over.
    """
    values = [each for each in variation.values if _is_number(each)]
    if len(values) < len(variation.values) or len(set(values)) < 2:
        rows = [
            (f"{variation.name} = {value_text(value)}", cost.seconds)
            for value, cost in zip(variation.values, variation.costs, strict=True)
        ]
        return Bars(variation.title, rows, Axis(text=wording.seconds_text, unit="s"))
    ratios = [each for each in variation.against_dense if each is not None]
    relative = len(ratios) == len(variation.values)
    numbers = ratios if relative else variation.seconds
    pairs = zip(variation.values, numbers, strict=True)
    points = sorted((float(x), y) for x, y in pairs if not isinstance(x, tuple))
    kind = variation.dense_layer or "dense"
    planned = [y for x, y in points if x == variation.planned]
    return Lines(
        variation.title,
        [Series("this plan" if variation.planned else variation.target.partition("(")[0], points)],
        Axis(variation.name, log=points[0][0] > 0),
        Axis(f"time / {kind}", log=True, text=wording.ratio_text) if relative else SECONDS,
        level=Level(1.0, kind, CLEARLY - 1) if relative else None,
        thresholds=_thresholds(variation, points[-1][0]),
        highlight=None
        if not planned or variation.planned is None
        else Highlight(float(variation.planned), planned[0], f"planned: {variation.planned:,}"),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _thresholds(variation: Variation, largest: float) -> list[Threshold]:
    """Where the plan changes over, for the size that decides it."""
    cost = variation.costs[0]
    if not isinstance(cost, Cost) or variation.name not in ("batch", cost.leading):
        return []
    ends = [variant.up_to for variant in cost.plan.of(cost.mode)]
    return [Threshold(float(end), f"up to {end:,}") for end in ends if end and end < largest]
