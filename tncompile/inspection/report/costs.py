"""Costs as pictures: memory over time, time against batch, the plans that were compared."""

from __future__ import annotations

from collections.abc import Sequence

import tncompile.planning.wording as wording
from tncompile.inspection.charts.chart import (
    Chart,
    Dot,
    Highlight,
    Level,
    Lines,
    Scatter,
    Series,
    Stacks,
    Step,
    Threshold,
)
from tncompile.inspection.charts.numbers import Axis
from tncompile.inspection.charts.show import chart_svg
from tncompile.inspection.drawing.theme import Theme
from tncompile.inspection.report.markup import EMPTY, Html, element, joined, table, text
from tncompile.models.costs.report import ModelCost
from tncompile.network.model import DOTS
from tncompile.planning.report.candidates import CandidatePlan, fastest_of_each
from tncompile.planning.report.comparison import DENSE
from tncompile.planning.report.cost import Cost
from tncompile.planning.report.cost_table import TOTALS
from tncompile.planning.tolerances import CLEARLY
from tncompile.simulation.modes import Mode

WIDTH = 480
"""Pictures are made for so many px: half of a page, and not much more than a phone."""

SHOWN: tuple[Mode, ...] = ("inference", "folded", "training")

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


def memory_figure(cost: Cost, theme: Theme) -> Html:
    """The bytes alive while each step runs: those of the cost itself, so that both are one."""
    memory = cost.live_bytes
    names = [step.result for step in cost.steps]
    steps = []
    for step in memory.steps:
        name = "other" if step.contraction is None else names[step.contraction]
        amounts = (memory.inputs, memory.parameters, step.waiting, step.written)
        steps.append(Step(f"∂{name}" if step.backward else name, amounts))
    backward = next((k for k, step in enumerate(memory.steps) if step.backward), 0)
    chart = Stacks(
        "Memory over time",
        ("inputs", "weights", "waiting", "written now"),
        steps,
        Axis("bytes", text=wording.bytes_text, unit="B", binary=True),
        divider=backward or None,
    )
    waiting = "what waits" if not backward else "what waits, gradients, what autograd saves"
    words = (
        f"Bytes alive while each step runs: inputs, weights, {waiting}, and what the step writes. "
        f"{'∂t is the backward pass of t. ' if backward else ''}"
        f"The peak is {wording.bytes_text(memory.peak)}."
    )
    return _figure(chart, words, theme)


def _figure(chart: Chart, words: str, theme: Theme) -> Html:
    svg = Html(chart_svg(chart, theme, width=WIDTH))
    return element("figure", svg, element("figcaption", text(words)))


def costs_part(cost: Cost, candidates: Sequence[CandidatePlan], theme: Theme) -> Html:
    """Time against batch, the candidates, the figures by mode, the alternatives."""
    words = f"Predicted for {cost.machine}, {wording.MODE_TEXT[cost.mode]}."
    pictures = element(
        "div", batch_figure(cost, theme), _front(cost, candidates, theme), class_="two"
    )
    return joined(
        [
            element("p", text(words), class_="dim"),
            pictures,
            _totals(cost),
            _alternatives(cost),
        ]
    )


def batch_figure(cost: Cost | ModelCost, theme: Theme) -> Html:
    """The time at other batch sizes, over that of the dense layer; a row, where there is none."""
    if isinstance(cost, Cost):
        leading = cost.leading
        planned = None if leading is None else cost.sizes[leading]
    else:
        planned = cost.sizes.get(DOTS)
    if planned is None:
        return EMPTY
    sizes = sorted({*BATCHES, planned})
    if isinstance(cost, Cost):
        return _of_network(cost, sizes, [cost.at(size) for size in sizes], theme)
    costs = [cost.at(size) for size in sizes]
    points = [(float(size), each.seconds / size) for size, each in zip(sizes, costs, strict=True)]
    chart = Lines(
        "Time a row against batch",
        [Series("predicted", points)],
        Axis("batch", log=True),
        Axis("time a row", log=True, text=wording.seconds_text, unit="s"),
        highlight=_planned(planned, points),
    )
    words = f"The predicted time over the batch; planned for {planned:,}, the same plans elsewhere."
    return _figure(chart, words, theme)


def _of_network(cost: Cost, sizes: list[int], costs: list[Cost], theme: Theme) -> Html:
    leading = cost.leading
    assert leading is not None
    planned = cost.sizes[leading]
    dense = [each.figures.dense_seconds for each in costs]
    relative = all(dense)
    series = []
    modes: tuple[Mode, ...] = (cost.mode, "folded")
    for mode in dict.fromkeys(modes) if cost.mode == "inference" else (cost.mode,):
        points = []
        for size, each in zip(sizes, costs, strict=True):
            unit = each.figures.dense_seconds if relative else float(size)
            points.append((float(size), each.chosen[mode].cost.seconds / (unit or 1.0)))
        series.append(Series("this plan" if mode == cost.mode else mode, points))
    ends = [variant.up_to for variant in cost.plan.of(cost.mode)]
    marks = [Threshold(float(end), f"up to {end:,}") for end in ends if end and end < sizes[-1]]
    title = "Time a row against batch"
    y = Axis("time a row", log=True, text=wording.seconds_text, unit="s")
    if relative:
        title = f"Time against batch, in units of {cost.dense_layer}"
        y = Axis(f"time / {cost.dense_layer}", log=True, text=wording.ratio_text)
    chart = Lines(
        title,
        series,
        Axis("batch", log=True),
        y,
        level=Level(1.0, cost.dense_layer or "", CLEARLY - 1) if relative else None,
        thresholds=marks,
        highlight=_planned(planned, series[0].points),
    )
    words = f"Planned for {planned:,}; its variants at other sizes, and where they change over."
    if relative:
        words = f"Below the line the network is faster; within the band nobody can tell. {words}"
    crossing = cost.crossings.get(DENSE)
    if crossing is not None:
        words += f" A dense layer is faster {crossing}."
    return _figure(chart, words, theme)


def _planned(planned: int, points: Sequence[tuple[float, float | None]]) -> Highlight | None:
    """The size that was planned for, on the line."""
    at = next((y for x, y in points if x == planned), None)
    return None if at is None else Highlight(float(planned), at, f"batch {planned:,}")


def _front(cost: Cost, candidates: Sequence[CandidatePlan], theme: Theme) -> Html:
    """What the search compared: FLOPs across, time up, memory as area."""
    if len(candidates) < 2:
        return EMPTY
    fastest = fastest_of_each(candidates)
    shown = [e for e in candidates if e.on_front or e.chosen or e in fastest]
    chosen = [place for place, each in enumerate(shown) if each.chosen]
    chart = Scatter(
        "Plans that were compared",
        [Dot(e.name, float(e.flops), e.seconds, float(e.peak_bytes)) for e in shown],
        Axis("FLOPs", log=True, text=wording.count_text),
        Axis("predicted time", log=True, text=wording.seconds_text, unit="s"),
        Axis("peak memory", text=wording.bytes_text, unit="B"),
        chosen=chosen[0] if chosen else None,
    )
    words = (
        f"Of {len(candidates):,} scheduled trees that the search compared, the fastest of each "
        "order, and what no other beats in FLOPs, time and memory at once. Areas are peak memory; "
        "the ringed one runs; a line joins those that are beaten by none in both FLOPs and time. "
        "Times within 5 % count as equal: then copies, roundings, and one program for several "
        "sizes decide."
    )
    return _figure(chart, words, theme)


def _totals(cost: Cost) -> Html:
    rows = []
    for label, (name, shown) in TOTALS.items():
        values = [getattr(cost.chosen[mode].cost.figures, name) for mode in SHOWN]
        rows.append((label, *("—" if value is None else shown(value) for value in values)))
    return table(("total", *SHOWN), rows, caption="The figures of each mode.")


def _alternatives(cost: Cost) -> Html:
    """The plan beside other orders, and beside the dense layer."""
    plan = cost.figures
    rows = [("this plan", plan.flops, plan.seconds, plan.peak_bytes)]
    rows += [(n, f.flops, f.seconds, f.peak_bytes) for n, f in cost.alternatives.items()]
    if plan.dense_seconds is not None:
        name = f"dense layer, like {cost.dense_layer}"
        rows.append((name, plan.dense_flops, plan.dense_seconds, plan.dense_peak_bytes))
    if len(rows) < 2:
        return EMPTY
    shown = []
    for name, flops, seconds, peak in rows:
        times = "—" if seconds is None else wording.digits_text(seconds / (plan.seconds or 1.0))
        cells = (
            "—" if flops is None else wording.count_text(flops),
            "—" if seconds is None else wording.seconds_text(seconds),
            "—" if peak is None else wording.bytes_text(peak),
        )
        shown.append((name, *cells, times))
    head = (wording.MODE_TEXT[cost.mode], "FLOPs", "time", "peak", "× the time of the plan")
    return table(head, shown, caption="The plan beside its alternatives.")
