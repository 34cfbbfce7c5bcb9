"""Costs as pictures: memory over time, time against batch, the plans that were compared."""

from __future__ import annotations

from collections.abc import Sequence

import tncompile.planning.wording as wording
from tncompile.inspection.charts.charts import (
    Dot,
    Line,
    Lines,
    Scatter,
    Stack,
    Stacks,
    chart_svg,
)
from tncompile.inspection.drawing.theme import Theme
from tncompile.inspection.report.markup import EMPTY, Html, element, joined, table, text
from tncompile.models.costs.report import ModelCost
from tncompile.network.model import DOTS
from tncompile.planning.report.candidates import CandidatePlan
from tncompile.planning.report.cost import Cost
from tncompile.planning.report.cost_table import TOTALS
from tncompile.planning.tolerances import CLEARLY
from tncompile.simulation.modes import MODES

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)

MOST_CANDIDATES = 60
"""Plans of a picture; the fastest, and all on the front, of more."""


def memory_figure(cost: Cost, theme: Theme) -> Html:
    """The bytes alive while each step runs: those of the cost itself, so that both are one."""
    memory = cost.live_bytes
    names = [step.result for step in cost.steps]
    stacks = []
    for step in memory.steps:
        name = "" if step.contraction is None else names[step.contraction]
        name = name or step.result
        stacks.append(
            Stack(
                f"{name}, backward" if step.backward else name,
                (memory.inputs, memory.parameters, step.waiting, step.written),
            )
        )
    backward = next((k for k, step in enumerate(memory.steps) if step.backward), None)
    chart = Stacks(
        title="Memory over time",
        layers=("inputs", "weights", "waiting", "written now"),
        stacks=tuple(stacks),
        divider=backward,
        text=wording.bytes_text,
    )
    waiting = "what waits" if backward is None else "what waits, gradients, what autograd saves"
    words = (
        f"Bytes alive while each step runs: inputs, weights, {waiting}, and what the step writes. "
        f"The peak, {wording.bytes_text(memory.peak)}, is the figure of the table."
    )
    return element("figure", Html(chart_svg(chart, theme)), element("figcaption", text(words)))


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
    costs = [cost.at(size) for size in sizes]
    if isinstance(cost, Cost):
        return _of_network(cost, sizes, [each for each in costs if isinstance(each, Cost)], theme)
    seconds = [each.seconds / size for size, each in zip(sizes, costs, strict=True)]
    chart = Lines(
        title="Time a row against batch",
        x="batch",
        lines=(Line("predicted", tuple(zip(map(float, sizes), seconds, strict=True))),),
        y_text=wording.seconds_text,
        highlighted=float(planned),
    )
    words = f"The predicted time over the batch; planned for {planned:,}, the same plans elsewhere."
    return element("figure", Html(chart_svg(chart, theme)), element("figcaption", text(words)))


def _of_network(cost: Cost, sizes: list[int], costs: list[Cost], theme: Theme) -> Html:
    leading = cost.leading
    assert leading is not None
    planned = cost.sizes[leading]
    dense = [each.figures.dense_seconds for each in costs]
    relative = all(dense)
    lines = []
    for mode in dict.fromkeys((cost.mode, "folded")):
        if cost.mode == "training" and mode == "folded":
            continue
        points = []
        for size, each in zip(sizes, costs, strict=True):
            unit = each.figures.dense_seconds if relative else float(size)
            points.append((float(size), each.chosen[mode].cost.seconds / (unit or 1.0)))
        lines.append(Line("plan" if mode == cost.mode else mode, tuple(points)))
    thresholds = [v.up_to for v in cost.plan.of(cost.mode) if v.up_to is not None]
    marks = tuple((float(size), f"up to {size:,}") for size in thresholds if size <= sizes[-1])
    chart = Lines(
        title=f"Time against batch, in units of {cost.dense_layer}" if relative else "Time a row",
        x="batch",
        lines=tuple(lines),
        y_text=wording.ratio_text if relative else wording.seconds_text,
        reference=(1.0, cost.dense_layer or "", CLEARLY - 1) if relative else None,
        marks=marks,
        highlighted=float(planned),
    )
    words = f"Planned for {planned:,}; the same plan at other sizes, and where it changes over."
    if relative:
        words = f"Below the line the network is faster; within the band nobody can tell. {words}"
    crossing = cost.crossings.get("dense layer")
    if crossing is not None:
        words += f" A dense layer is faster {crossing}."
    return element("figure", Html(chart_svg(chart, theme)), element("figcaption", text(words)))


def _front(cost: Cost, candidates: Sequence[CandidatePlan], theme: Theme) -> Html:
    """What the search compared: FLOPs across, time up, memory as area."""
    if len(candidates) < 2:
        return EMPTY
    rest = [e for e in candidates[MOST_CANDIDATES:] if e.on_front or e.chosen]
    shown = [*candidates[:MOST_CANDIDATES], *rest]
    chart = Scatter(
        title="Plans that were compared",
        x="FLOPs",
        y="time",
        dots=tuple(
            Dot(
                each.name,
                float(each.flops),
                each.seconds,
                float(each.peak_bytes),
                each.chosen,
                each.on_front,
                f"{wording.count_text(each.flops)} FLOPs, {wording.seconds_text(each.seconds)}, "
                f"{wording.bytes_text(each.peak_bytes)}",
            )
            for each in shown
        ),
        x_text=wording.count_text,
        y_text=wording.seconds_text,
    )
    words = (
        f"{len(candidates):,} scheduled trees that the search compared; areas are their peak "
        "memory. The ringed one runs; those joined by a line are beaten by none in FLOPs, time "
        "and memory at once."
    )
    return element("figure", Html(chart_svg(chart, theme)), element("figcaption", text(words)))


def _totals(cost: Cost) -> Html:
    rows = []
    for label, (name, shown) in TOTALS.items():
        values = [getattr(cost.chosen[mode].cost.figures, name) for mode in MODES]
        rows.append((label, *("—" if value is None else shown(value) for value in values)))
    return table(("total", *MODES), rows, caption="The figures of each mode.")


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
