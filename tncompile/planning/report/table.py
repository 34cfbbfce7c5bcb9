"""Costs and plans as text: what a user came for, in 100 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from tncompile.network.model import DOTS
from tncompile.planning.costs import Cost, CostStep, Crossing, Figures
from tncompile.planning.plan import ContractionPlan, Variant
from tncompile.planning.report.wording import (
    bytes_text,
    count_text,
    digits_text,
    name_text,
    percent_text,
    ratio_text,
    seconds_text,
    strategy_text,
    way_text,
)
from tncompile.simulation.modes import MODES, Mode

WIDTH = 100
LONGEST = 48
"""Rows shown of a long contraction; the middle is summed up in one line."""


def cost_table(cost: Cost, mode: Mode, width: int = WIDTH) -> str:
    """The whole report: the contraction, totals, the dense map, alternatives and crossings.

    Shares, alternatives and crossings are those of `mode`; the contraction takes up to `width`
    columns.
    """
    cost = cost.of(mode)
    figures = cost.figures
    parts = [
        _title(cost, mode),
        _contraction(cost, mode, max(WIDTH, width)),
        _totals(cost),
        _compression(cost),
        _alternatives(cost, mode, figures),
        "\n".join((*_crossings(cost, mode), *_reasons(cost))),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def plan_text(plan: ContractionPlan) -> str:
    """What `--emit=plan` prints: every variant, a line a contraction."""
    lines = [
        f"plan of {plan.target}",
        f"least {plan.minimize}, {plan.decided_by}, search {plan.search}",
    ]
    for mode in MODES if plan.training else MODES[1:]:
        for before, variant in zip((None, *plan.of(mode)), plan.of(mode), strict=False):
            lines += ["", *_variant_lines(variant, before)]
    lines += ["", f"everywhere that a size decides nothing: {_way_of(plan.whole)}"]
    return "\n".join(lines) + "\n"


def plan_table(plan: ContractionPlan) -> str:
    """A line a variant: where it runs, what it is, what it takes at a size of its range."""
    rows = []
    for mode in MODES if plan.training else MODES[1:]:
        for before, variant in zip((None, *plan.of(mode)), plan.of(mode), strict=False):
            at = f" at {variant.batch:,}" if plan.sizes else ""
            rows.append(
                (
                    mode if before is None else "",
                    _range(variant, before).removeprefix(", batch ") or "any",
                    way_text(variant.found_by, variant.schedule),
                    f"{seconds_text(variant.cost.seconds)}{at}",
                    bytes_text(variant.cost.peak_bytes),
                )
            )
    head = ("mode", "batch", "way", "predicted time", "peak memory")
    planned = f"planned for a batch of {plan.batch:,}, " if plan.sizes else ""
    by = f"{planned}least {plan.minimize}, {plan.decided_by}, search {plan.search}"
    table = columns_text(head, rows, WIDTH, 3)
    return f"plan of {_name(plan.target)}\n{textwrap.fill(by, WIDTH)}\n\n{table}"


def _variant_lines(variant: Variant, before: Variant | None) -> list[str]:
    """One variant: its range, why it is there, and a line a contraction."""
    lines = [f"{variant.mode}{_range(variant, before)}: {_way_of(variant)}"]
    sizes = ", ".join(f"{name} = {size}" for name, size in variant.sizes.items())
    if sizes:
        lines.append(f"  planned for {sizes}")
    lines += textwrap.wrap(variant.reason, WIDTH, initial_indent="  ", subsequent_indent="    ")
    for step in variant.cost.steps:
        times = f"   × {step.count}" if step.count > 1 else ""
        lines.append(
            f"  {step.result} = {step.contraction}"
            f" -> {', '.join(step.indices) or 'a scalar'}   {step.multiply_adds:,}"
            f" multiply-adds{times}"
        )
    return lines


def _range(variant: Variant, before: Variant | None) -> str:
    """`, batch 9 to 100`; nothing for a variant that runs at every size."""
    first = None if before is None or before.up_to is None else before.up_to + 1
    match first, variant.up_to:
        case None, None:
            return ""
        case None, last:
            return f", batch up to {last:,}"
        case first, None:
            return f", batch from {first:,}"
        case first, last:
            return f", batch {first:,} to {last:,}"


def _way_of(variant: Variant) -> str:
    words = strategy_text(variant.schedule)
    return "; ".join([", ".join(variant.found_by), *([words] if words else [])])


# ── parts of the report ─────────────────────────────────────────────────────────────────────────


STEPS: Mapping[Mode, str] = {
    "inference": "a forward pass",
    "training": "a training step",
    "folded": "a forward pass, folded",
}


def _title(cost: Cost, mode: Mode) -> str:
    name = _name(cost.name)
    at = _sizes(cost.sizes)
    words = cost.chosen[mode].schedule
    plan = f"plan: {name_text(cost.found_by)}{', ' if words else ''}{words}"
    return (
        f"{name}\n{textwrap.fill(f'{STEPS[mode]} {at}'.rstrip(), WIDTH)}\n"
        f"{plan}\npredicted for {cost.machine}"
    )


def _name(target: str) -> str:
    """A target on one line of a table."""
    return _fit(target, WIDTH)


def _sizes(sizes: Mapping[str, int]) -> str:
    """What the run-time axes are planned as.

    >>> _sizes({"...": 64, "n": 8})
    'at a batch of 64 (the product of the leading axes `...`), n = 8'
    """
    parts = [
        f"a batch of {size:,} (the product of the leading axes `...`)"
        if name == DOTS
        else f"{name} = {size:,}"
        for name, size in sizes.items()
    ]
    return f"at {', '.join(parts)}" if parts else ""


def _contraction(cost: Cost, mode: Mode, width: int) -> str:
    """One row a contraction: names, what is kept, work, size, share of the time."""
    if not cost.steps:
        return "Nothing is contracted."
    rows = [_row(step) for step in cost.steps]
    shared = sum(step.share for step in cost.steps)
    if len(rows) > LONGEST:
        half = LONGEST // 2
        hidden = cost.steps[half:-half]
        rows = [*rows[:half], _hidden_row(hidden), *rows[-half:]]
    rest = max(0.0, 1.0 - shared)
    if rest >= 0.005:
        rows.append(("", "inputs, weights and output made ready", "", "", "", percent_text(rest)))
    head = ("step", "contraction", "keeps", "multiply-adds", "size", f"{mode} time")
    return columns_text(head, rows, width, 3)


def _row(step: CostStep) -> tuple[str, ...]:
    times = f"{step.count} × " if step.count > 1 else ""
    return (
        step.result,
        f"{times}{step.contraction}",
        " ".join(step.indices) or "scalar",
        count_text(step.multiply_adds),
        bytes_text(step.bytes),
        percent_text(step.share),
    )


def _hidden_row(steps: tuple[CostStep, ...]) -> tuple[str, ...]:
    share = sum(step.share for step in steps)
    return (
        "…",
        f"{len(steps):,} more",
        "",
        count_text(sum(step.multiply_adds for step in steps)),
        "",
        percent_text(share),
    )


def columns_text(
    head: tuple[str, ...], rows: Sequence[tuple[str, ...]], width: int, texts: int
) -> str:
    """A table: so many columns of text, of which all but the first give way, then numbers."""
    widths = [max(len(row[k]) for row in (head, *rows)) for k in range(len(head))]
    spare = width - sum(widths) - 2 * (len(widths) - 1)
    for k in range(texts - 1, 0, -1):
        if spare < 0:
            narrower = max(14, widths[k] + spare)
            spare += widths[k] - narrower
            widths[k] = narrower
    lines = []
    for row in (head, *rows):
        cells = [
            _fit(text, width).rjust(width) if k >= texts else _fit(text, width).ljust(width)
            for k, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "─" * max(len(line) for line in lines))
    return "\n".join(lines)


def _fit(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


TOTALS: tuple[tuple[str, str], ...] = (
    ("multiply-adds", "multiply_adds"),
    ("FLOPs", "flops"),
    ("predicted time", "seconds"),
    ("peak memory", "peak_bytes"),
    ("bytes moved", "moved_bytes"),
    ("bytes copied", "copied_bytes"),
    ("largest intermediate", "largest_intermediate"),
    ("FLOPs per byte", "intensity"),
)


def _totals(cost: Cost) -> str:
    head = f"{'total':<24}{'inference':>16}{'folded':>16}{'training step':>18}"
    lines = [head, "─" * len(head)]
    for label, name in TOTALS:
        found = (cost.inference, cost.folded, cost.training)
        cells = [_figure(name, figures) for figures in found]
        lines.append(f"{label:<24}{cells[0]:>16}{cells[1]:>16}{cells[2]:>18}")
    return "\n".join(lines)


def _compression(cost: Cost) -> str:
    """The network beside the dense map that it stands for."""
    figures = cost.inference
    dense = figures.dense_parameters
    numbers = count_text(dense) if dense is not None else "more than 1e308"
    lines = [
        f"{'parameters':<24}{figures.parameters:>16,}",
        f"{'of the dense map':<24}{numbers:>16}",
    ]
    if figures.compression is not None:
        lines.append(f"{'compression':<24}{ratio_text(figures.compression):>16}")
    if _looks_up(cost) and dense is not None:
        lines.append(
            f"The dense map is a table of {numbers} numbers, {bytes_text(4 * dense)}:"
            " looked up, no products."
        )
    return "\n".join(lines)


def _looks_up(cost: Cost) -> bool:
    """Whether the dense layer is a table of rows to look up."""
    return cost.dense_layer == "nn.Embedding"


def _alternatives(cost: Cost, mode: Mode, plan: Figures) -> str:
    """The plan beside its alternatives and beside the dense layer."""
    head = f"{STEPS[mode]:<32}{'FLOPs':>12}{'time':>12}{'peak':>12}{'against the plan':>20}"
    lines = [head, "─" * len(head)]
    for name, figures in {"this plan": plan, **cost.compared.get(mode, {})}.items():
        against = "" if name == "this plan" else _against(figures, plan)
        lines.append(
            _alternative(name, figures.flops, figures.seconds, figures.peak_bytes, against)
        )
    if plan.dense_seconds is not None:
        lines.append(
            _alternative(
                f"dense layer, like {cost.dense_layer}",
                plan.dense_flops,
                plan.dense_seconds,
                plan.dense_peak_bytes,
                _times(plan.dense_seconds, plan.seconds),
            )
        )
    return "\n".join(lines) if len(lines) > 3 else ""


def _alternative(
    name: str, flops: int | None, seconds: float | None, peak: int | None, against: str
) -> str:
    cells = (
        "—" if flops is None else count_text(flops),
        "—" if seconds is None else seconds_text(seconds),
        "—" if peak is None else bytes_text(peak),
    )
    return (f"{name:<32}" + "".join(f"{cell:>12}" for cell in cells) + f"{against:>20}").rstrip()


def _against(figures: Figures, plan: Figures) -> str:
    return "the same" if figures == plan else _times(figures.seconds, plan.seconds)


def _times(seconds: float | None, plan: float | None) -> str:
    if seconds is None or not plan:
        return "—"
    slower = seconds / plan
    return f"{digits_text(slower)} × the time" if slower < 1000 else f"{slower:.0e} × the time"


def _crossings(cost: Cost, mode: Mode) -> list[str]:
    """Where something else is faster; names of one plan, and of equal sizes, together."""
    together: dict[Crossing, list[str]] = {}
    for name, crossing in cost.crossed.get(mode, {}).items():
        together.setdefault(crossing, []).append(ARTICLES.get(name, name))
    lines = []
    for crossing, names in together.items():
        verb = "is" if len(names) == 1 else "are"
        lines.append(f"{_capital(_listed(names))} {verb} faster {_when(crossing)}.")
    return lines


ARTICLES = {"dense layer": "a dense layer"}


def _reasons(cost: Cost) -> list[str]:
    together: dict[str, list[str]] = {}
    for name, reason in cost.reasons.items():
        together.setdefault(reason, []).append(name)
    return [
        textwrap.fill(f"Not compared: {_listed(names)}; {reason}.", WIDTH)
        for reason, names in together.items()
    ]


def _listed(names: list[str]) -> str:
    """Names in a sentence.

    >>> _listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _when(crossing: Crossing) -> str:
    first, last = crossing.faster_from, crossing.faster_up_to
    if last is None:
        return "at every batch size" if first == 1 else f"from batch {first:,} on"
    if first is None or first == 1:
        return f"up to batch {last:,}"
    if first <= last:
        return f"from batch {first:,} to {last:,}"
    return f"up to batch {last:,} and from batch {first:,} on"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# ── numbers ─────────────────────────────────────────────────────────────────────────────────────


def _figure(name: str, figures: Figures) -> str:
    value = figures.to_dict()[name]
    if value is None:
        return "—"
    if name == "seconds":
        return seconds_text(float(value))
    if name.endswith("bytes"):
        return bytes_text(int(value))
    if name == "intensity":
        return digits_text(value)
    return count_text(int(value))
