"""The table of a cost: the contraction step by step, totals and alternatives, as text."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import tncompile.planning.wording as wording
from tncompile.simulation.costs import CostStep
from tncompile.simulation.modes import Mode

if TYPE_CHECKING:
    from tncompile.planning.report.cost import Cost


def cost_table(cost: Cost, width: int) -> str:
    """The table, of `width` columns, 100 at least, in the mode that was asked for."""
    parts = [
        _title(cost),
        _contraction(cost, max(wording.WIDTH, width)),
        _totals(cost),
        _compression(cost),
        _alternatives(cost),
        "\n".join(_remarks(cost)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _title(cost: Cost) -> str:
    plan = wording.plan_text(cost.found_by, cost.chosen[cost.mode].schedule)
    run = f"{wording.MODE_TEXT[cost.mode]} {wording.sizes_text(cost.sizes)}".rstrip()
    at = textwrap.fill(run, wording.WIDTH)
    return f"{wording.shortened(cost.name)}\n{at}\nplan: {plan}\npredicted for {cost.machine}"


def _contraction(cost: Cost, width: int) -> str:
    """One row a contraction: names, the indices of the result, work, size, share of the time."""
    if not cost.steps:
        return "Nothing is contracted."
    shown = wording.largest_rows([step.share for step in cost.steps])
    rows = [step_cells(cost.steps[k]) for k in shown]
    hidden = [step for k, step in enumerate(cost.steps) if k not in shown]
    if hidden:
        multiply_adds = wording.count_text(sum(step.multiply_adds for step in hidden))
        share = wording.percent_text(sum(step.share for step in hidden))
        rows.append(("…", f"{len(hidden):,} more", "", multiply_adds, "", share))
    rest = max(0.0, 1.0 - sum(step.share for step in cost.steps))
    if rest >= 0.005:
        share = wording.percent_text(rest)
        rows.append(("", "preparing inputs, weights and output", "", "", "", share))
    return wording.columns_text(step_head(cost.mode), rows, width, 3)


def step_head(mode: Mode) -> tuple[str, ...]:
    """What the cells of a step are: three texts, then numbers."""
    return "step", "contraction", "keeps", "multiply-adds", "size", f"{mode} time"


def step_cells(step: CostStep) -> tuple[str, ...]:
    """The row of a step."""
    return (
        step.result,
        f"{step.count} × {step.contraction}" if step.count > 1 else step.contraction,
        " ".join(step.indices) or "scalar",
        wording.count_text(step.multiply_adds),
        wording.bytes_text(step.bytes),
        wording.percent_text(step.share),
    )


TOTALS: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "multiply-adds": ("multiply_adds", wording.count_text),
    "FLOPs": ("flops", wording.count_text),
    "predicted time": ("seconds", wording.seconds_text),
    "peak memory": ("peak_bytes", wording.bytes_text),
    "bytes moved": ("moved_bytes", wording.bytes_text),
    "bytes copied": ("copied_bytes", wording.bytes_text),
    "largest intermediate": ("largest_intermediate", wording.count_text),
    "FLOPs per byte": ("intensity", wording.digits_text),
}


def _totals(cost: Cost) -> str:
    rows: list[tuple[str, ...]] = [("total", "inference", "folded", "training step")]
    for label, (name, text) in TOTALS.items():
        figures = (cost.inference, cost.folded, cost.training)
        rows.append((label, *(_cell(text, getattr(of, name)) for of in figures)))
    return _headed(rows, 24, 16, 16, 18)


def _cell(text: Callable[[Any], str], value: float | None) -> str:
    return "—" if value is None else text(value)


def _aligned(rows: Iterable[tuple[str, ...]], *widths: int) -> list[str]:
    """Lines of a column of text and columns of numbers."""
    sides = "<" + ">" * (len(widths) - 1)
    lines = []
    for row in rows:
        columns = zip(row, sides, widths, strict=True)
        lines.append("".join(f"{cell:{side}{size}}" for cell, side, size in columns).rstrip())
    return lines


def _headed(rows: Iterable[tuple[str, ...]], *widths: int) -> str:
    """The same as text with a line below the first row."""
    head, *lines = _aligned(rows, *widths)
    return "\n".join([head, "─" * len(head), *lines])


def _compression(cost: Cost) -> str:
    """The network beside the dense map that it stands for."""
    figures = cost.inference
    dense = figures.dense_parameters
    numbers = "more than 1e308" if dense is None else wording.count_text(dense)
    rows = [("parameters", f"{figures.parameters:,}"), ("of the dense map", numbers)]
    if figures.compression is not None:
        rows.append(("compression", wording.ratio_text(figures.compression)))
    lines = _aligned(rows, 24, 16)
    if cost.dense_layer == "nn.Embedding" and dense is not None:
        table = f"a table of {numbers} numbers, {wording.bytes_text(4 * dense)}"
        lines.append(f"The dense map is {table}: looked up, no products.")
    return "\n".join(lines)


def _alternatives(cost: Cost) -> str:
    """The plan beside its alternatives and beside the dense layer."""
    plan = cost.figures
    head = (wording.MODE_TEXT[cost.mode], "FLOPs", "time", "peak", "against the plan")
    rows: list[tuple[str, ...]] = [head]

    def row(name: str, flops: int | None, seconds: float | None, peak: int | None) -> None:
        times = "—"
        if seconds is not None and plan.seconds:
            slower = seconds / plan.seconds
            factor = wording.digits_text(slower) if slower < 1000 else f"{slower:.0e}"
            times = f"{factor} × the time"
        time, size = _cell(wording.seconds_text, seconds), _cell(wording.bytes_text, peak)
        rows.append((name, _cell(wording.count_text, flops), time, size, times))

    for name, figures in {"this plan": plan, **cost.alternatives}.items():
        row(name, figures.flops, figures.seconds, figures.peak_bytes)
        if figures == plan:
            rows[-1] = (*rows[-1][:-1], "the same" if name != "this plan" else "")
    if plan.dense_seconds is not None:
        name = f"dense layer, like {cost.dense_layer}"
        row(name, plan.dense_flops, plan.dense_seconds, plan.dense_peak_bytes)
    return _headed(rows, 32, 12, 12, 12, 20) if len(rows) > 2 else ""


def _remarks(cost: Cost) -> list[str]:
    """Where an alternative is faster, and why others are not compared; equal remarks together."""
    lines: list[str] = []
    for crossing, names in _together(cost.crossings.items()).items():
        subject = _listed(["a dense layer" if name == "dense layer" else name for name in names])
        verb = "is" if len(names) == 1 else "are"
        lines.append(f"{subject[:1].upper()}{subject[1:]} {verb} faster {crossing}.")
    for reason, names in _together(cost.reasons.items()).items():
        remark = f"Not compared: {_listed(names)}; {reason}."
        lines.append(textwrap.fill(remark, wording.WIDTH))
    return lines


def _together(items: Iterable[tuple[str, Hashable]]) -> dict[Hashable, list[str]]:
    """The names of each value."""
    names: dict[Hashable, list[str]] = {}
    for name, value in items:
        names.setdefault(value, []).append(name)
    return names


def _listed(names: list[str]) -> str:
    """Names in a sentence.

    >>> _listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
